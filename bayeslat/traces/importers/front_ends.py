"""Logs of the front ends of one engine, each of which was told of a part of its steps.

An engine tells of a step to one of the servers that it answers to, and of a request to its own. So
no log alone has all steps, and a request may have met one that another log holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_met", "find_steps", "front_ends", "series_key", "tell_of_missing"]


def series_key(row: Mapping[str, Any], path: Path) -> object:
    """Return what files that belong together have in common.

    Parameters
    ----------
    row : mapping
        The first of the file.
    path : Path
        Of the file, which stands alone if it does not say of which engine it is.
    """
    if row.get("kind") != "server" or not isinstance(row.get("file", 0), int) or "run" not in row:
        return path
    engine = str(row.get("engine"))
    if front_ends(row) > 1 and "launch" in row:
        return str(row.get("host")), str(row["launch"]), engine
    return str(row.get("run")), engine


def front_ends(row: Mapping[str, Any]) -> int:
    """Return how many front ends an engine answers to."""
    config = row.get("config")
    told = config.get("front_ends") if isinstance(config, dict) else None
    return told if isinstance(told, int) else 1


def tell_of_missing(servers: Sequence[Mapping[str, Any]]) -> str | None:
    """Return what is to be said of front ends whose logs are not at hand."""
    wanted, found = front_ends(servers[0]), len({str(each.get("run")) for each in servers})
    if found >= wanted:
        return None
    return (
        f"engine {servers[0].get('engine', 0)} answered to {wanted} front ends, of which "
        f"{found} wrote these files: steps that the others were told of are missing, and what "
        "requests met is what is known here; name the files of all of them"
    )


def find_steps(
    at_s: NDArray[np.float64], steps_at_s: NDArray[np.float64], ids: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the number of the step whose outputs came when each request finished.

    Parameters
    ----------
    at_s : ndarray, shape (request,)
    steps_at_s, ids : ndarray, shape (step,)
        Front ends are told at the same time: the nearest is meant.
    """
    if not ids.size:
        return np.full(at_s.size, np.nan)
    order = np.argsort(steps_at_s)
    times = steps_at_s[order]
    after = np.minimum(np.searchsorted(times, at_s), times.size - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(at_s - times[before] <= times[after] - at_s, before, after)
    found: NDArray[np.float64] = ids[order[nearest]]
    return found


def find_met(
    queued_s: NDArray[np.float64],
    steps_at_s: NDArray[np.float64],
    elapsed_ms: NDArray[np.float64],
) -> NDArray[np.intp]:
    """Return the place of the last step before each request was queued; -1 where none was.

    As the logger finds it (`bayeslat.serving.history`): by the middles of the steps, since the
    clocks of engine and server are a message apart.

    Parameters
    ----------
    queued_s : ndarray, shape (request,)
    steps_at_s, elapsed_ms : ndarray, shape (step,)
        In the order of the steps.
    """
    middles = np.fmax.accumulate(steps_at_s - np.nan_to_num(elapsed_ms) / 2e3)
    return np.searchsorted(middles, queued_s, side="left") - 1
