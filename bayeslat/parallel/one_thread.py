"""One thread of linear algebra for each task, whichever thread of a process runs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["one_thread"]

_lock = threading.Lock()
_holders: list[object] = []
_limits: list[object] = []


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep the libraries of linear algebra to one thread while the block runs.

    Their number of threads is one setting of the whole process. A worker runs tasks in threads side
    by side: the first sets the limit and the last takes it away, whichever these are. A limit of
    each task's own would end with the first of them that is done.
    """
    from threadpoolctl import threadpool_limits

    holder = object()
    with _lock:
        if not _holders:
            _limits.append(threadpool_limits(1))
        _holders.append(holder)
    try:
        yield
    finally:
        with _lock:
            _holders.remove(holder)
            if not _holders:
                _limits.pop().restore_original_limits()  # type: ignore[attr-defined]
