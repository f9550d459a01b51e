"""The thread that turns what the server told into lines, and brings them to the disk."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable

from bayeslat.serving.files import LineFiles
from bayeslat.serving.history import History
from bayeslat.serving.read_fields import Row, field, number
from bayeslat.serving.rows import finished_requests, queued_at_s, request_row, step_row
from bayeslat.serving.troubles import Troubles

__all__ = ["Told", "Writer", "to_line"]

# What `record` puts in the queue: Unix time in s, SchedulerStats or None, IterationStats or None.
Told = tuple[float, object, object]

_JSON = json.JSONEncoder(separators=(",", ":"), default=str)
_AT_ONCE = 8  # records between two writes: while rows are made, the server's thread waits


class Writer:
    """Empties a queue into files.

    Parameters
    ----------
    queue : deque of Told
        Filled by another thread.
    files : LineFiles
    troubles : Troubles
    overflow : callable
        Returns how many records have been dropped so far since the queue was full.
    """

    def __init__(
        self,
        queue: deque[Told],
        files: LineFiles,
        troubles: Troubles,
        overflow: Callable[[], int],
    ) -> None:
        self._queue, self._files, self._troubles = queue, files, troubles
        self._overflow = overflow
        self._history = History()
        self._lock = threading.Lock()
        self._dropped = 0  # of the overflow, what has been written down
        self._unwritten = 0  # rows that no file took

    def drain(self) -> None:
        """Write all that waits in the queue; never raises."""
        with self._lock:
            waiting = len(self._queue)
            while waiting > 0:
                some = min(waiting, _AT_ONCE)
                waiting -= some
                self._write([line for _ in range(some) for line in self._next_lines()])
            if self._overflow() > self._dropped:
                self._write([])

    def finish(self) -> None:
        """Write the rest, and that this was the end."""
        self.drain()
        with self._lock:
            end = {"kind": "end", "at_s": round(time.time(), 6), "errors": self._troubles.count}
            self._write([to_line(end)])
            try:
                self._files.close()
            except OSError as error:
                self._troubles.note("closing the log", error)

    def _next_lines(self) -> list[bytes]:
        """Return the lines of one record."""
        try:
            return [to_line(row) for row in self._next_rows()]
        except Exception as error:  # noqa: BLE001 - whatever it is, the next record is another
            self._troubles.note("a record cannot be written down", error)
            self._unwritten += 1
            return []

    def _next_rows(self) -> list[Row]:
        taken_at_s, scheduler, iteration = self._queue.popleft()
        # From which vLLM counts the latencies of requests.
        at_s = number(field(iteration, "iteration_timestamp")) or number(taken_at_s) or 0.0
        step: Row = {} if scheduler is None else step_row(at_s, scheduler, iteration)
        rows = []
        if step:
            self._history.add(step)
            rows.append(step)
        for request in finished_requests(iteration):
            met = self._history.before(queued_at_s(at_s, request))
            rows.append(request_row(at_s, step, request, met))
        return rows

    def _write(self, lines: list[bytes]) -> None:
        """Bring lines to the disk, after a note of rows that are missing before them."""
        dropped = self._overflow()
        lost = [
            to_line({"kind": "lost", "rows": rows, "reason": reason})
            for rows, reason in (
                (dropped - self._dropped, "the queue was full"),
                (self._unwritten, "they could not be written"),
            )
            if rows
        ]
        if not lost and not lines:
            return
        try:
            self._files.write(b"".join([*lost, *lines]))
        except Exception as error:  # noqa: BLE001 - a full disk, a folder that is gone, ...
            self._unwritten += len(lines)
            self._troubles.note("the log cannot be written", error)
        else:
            self._dropped, self._unwritten = dropped, 0


def to_line(row: Row) -> bytes:
    """Return a row as a line of JSON.

    Its numbers are finite, and Python writes those as JSON does, faster than its encoder.
    """
    cells = [
        f'"{name}":{value!r}'
        if type(value) is int or type(value) is float
        else f'"{name}":{_JSON.encode(value)}'
        for name, value in row.items()
    ]
    return f"{{{','.join(cells)}}}\n".encode()
