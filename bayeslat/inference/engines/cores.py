"""How many cores there are to compute on, and computing on all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from joblib import cpu_count

__all__ = ["available_cores", "on_all_cores"]


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return int(cpu_count())


def on_all_cores[T, R](function: Callable[[T], R], parts: Sequence[T]) -> list[R]:
    """Call a function with each part, side by side in threads.

    For compiled functions, which hold no lock. They take milliseconds, and joblib waits for its
    threads in steps of 10 ms.

    Parameters
    ----------
    function : callable
    parts : sequence

    Returns
    -------
    list
        What it returns, in the order of the parts.
    """
    threads = min(available_cores(), len(parts))
    if threads <= 1:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, parts))
