"""A series of files that grows by lines, each file within a size, no more than a number of them."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

__all__ = ["LineFiles"]


class LineFiles:
    """Files `<stem>.0000.jsonl`, `<stem>.0001.jsonl`, ..., of which the oldest are removed.

    A write has reached the operating system when it returns, so that it outlives the process.

    Parameters
    ----------
    folder : Path
        Made when the first file is opened.
    stem : str
        What the names of this series begin with; no other process may use it.
    header : callable
        Returns the first line of a file from its number: each file stands alone.
    max_file_bytes : int
        A file that has grown to this is followed by the next.
    max_files : int
        Files that are kept.
    """

    def __init__(
        self,
        folder: Path,
        stem: str,
        header: Callable[[int], bytes],
        max_file_bytes: int,
        max_files: int,
    ) -> None:
        self._folder, self._stem, self._header = folder, stem, header
        self._max_file_bytes, self._max_files = max_file_bytes, max_files
        self._next = 0
        self._handle: int | None = None
        self._path = folder
        self._size = 0
        self._torn = False
        self._kept: deque[Path] = deque()

    def write(self, lines: bytes) -> None:
        """Append whole lines to the newest file, after opening it where need be.

        Raises
        ------
        OSError
            If they cannot be written. Part of them may have been: the next write starts a line.
        """
        if self._handle is not None and (self._size >= self._max_file_bytes or self._is_gone()):
            self.close()
        handle = self._open() if self._handle is None else self._handle
        self._append(handle, lines)

    def close(self) -> None:
        """Close the newest file; a further write opens the next."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)

    def _is_gone(self) -> bool:
        """Tell whether someone has moved or removed the file: what is written there is lost."""
        return not self._path.exists()

    def _open(self) -> int:
        header = self._header(self._next)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._stem}.{self._next:04d}.jsonl"
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        self._size, self._torn = 0, False
        try:
            self._append(handle, header)
        except OSError:  # rows without their server tell nothing: no file, rather than this one
            os.close(handle)
            path.unlink()
            raise
        self._handle, self._path = handle, path
        self._next += 1
        self._kept.append(path)
        while len(self._kept) > self._max_files:
            with contextlib.suppress(OSError):  # someone else may have removed it
                self._kept[0].unlink()
            self._kept.popleft()
        return handle

    def _append(self, handle: int, lines: bytes) -> None:
        """Write all bytes; after some that were not written whole, a new line begins."""
        left = memoryview(b"\n" + lines if self._torn else lines)
        self._torn = True
        while left:
            written = os.write(handle, left)
            self._size += written
            left = left[written:]
        self._torn = False
