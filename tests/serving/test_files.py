from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bayeslat.serving.files import LineFiles


def _files(folder: Path, max_bytes: int = 100, max_files: int = 3) -> LineFiles:
    return LineFiles(folder, "log", lambda file: b"header %d\n" % file, max_bytes, max_files)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_file_begins_with_its_header_and_lines_stay_whole(tmp_path: Path) -> None:
    files = _files(tmp_path, max_files=100)
    written = [b"line %03d\n" % number for number in range(100)]
    for line in written:
        files.write(line)
    files.close()
    read = [path.read_bytes().splitlines(keepends=True) for path in sorted(tmp_path.iterdir())]
    assert [lines[0] for lines in read] == [b"header %d\n" % n for n in range(len(read))]
    assert [line for lines in read for line in lines[1:]] == written
    assert len(read) > 5


def test_the_oldest_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text("of another run")
    files = _files(tmp_path)
    for number in range(200):
        files.write(b"line %03d\n" % number)
    names = _names(tmp_path)
    assert len(names) == 4
    assert names[-1] == "other.jsonl"
    assert b"line 199\n" in (tmp_path / names[-2]).read_bytes()
    assert sum(path.stat().st_size for path in tmp_path.glob("log.*")) <= 3 * (100 + 10)


def test_what_is_written_is_there_at_once(tmp_path: Path) -> None:
    files = _files(tmp_path)
    files.write(b"line\n")
    assert (tmp_path / "log.0000.jsonl").read_bytes() == b"header 0\nline\n"


def test_a_file_that_was_moved_away_is_followed_by_another(tmp_path: Path) -> None:
    files = _files(tmp_path)
    files.write(b"a\n")
    (tmp_path / "log.0000.jsonl").rename(tmp_path / "kept")
    files.write(b"b\n")
    assert (tmp_path / "kept").read_bytes() == b"header 0\na\n"
    assert (tmp_path / "log.0001.jsonl").read_bytes() == b"header 1\nb\n"


def test_a_file_that_is_there_already_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "log.0000.jsonl").write_text("of another process\n")
    with pytest.raises(FileExistsError):
        _files(tmp_path).write(b"a\n")
    assert (tmp_path / "log.0000.jsonl").read_text() == "of another process\n"


class Disk:
    """Takes some bytes, and then is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
        self.free = free
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, handle: int, data: memoryview) -> int:
        if self.free == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = self._write(handle, data[: self.free])
        self.free -= count
        return count


def test_a_full_disk_cuts_a_line_and_the_next_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, free=len("header 0\n") + 3)
    files = _files(tmp_path)
    with pytest.raises(OSError, match="No space"):
        files.write(b"first\n")
    disk.free = 100
    files.write(b"second\n")
    lines = (tmp_path / "log.0000.jsonl").read_bytes().splitlines()
    assert lines == [b"header 0", b"fir", b"second"]


def test_no_file_is_left_whose_header_had_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, free=4)
    files = _files(tmp_path)
    for _ in range(5):
        with pytest.raises(OSError, match="No space"):
            files.write(b"first\n")
    assert _names(tmp_path) == []
    disk.free = 100
    files.write(b"second\n")
    assert (tmp_path / "log.0000.jsonl").read_bytes() == b"header 0\nsecond\n"
