"""Which rows of a trace were measured in one pass over the configurations."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.traces.names import COLLECTED_AT, REPEAT
from bayeslat.traces.times import read_times

__all__ = ["FEWEST_CONFIGS", "Kind", "Passes", "label_passes"]

FEWEST_CONFIGS = 5
"""A repeat number that fewer configurations have is no pass over them."""

type Kind = Literal["pass", "session", "repeat"]

_MISPLACED = 0.1  # part of the rows; with more, repeats were not measured one after the other
_BREAK_S = 600.0  # at least, between two sessions
_BREAK_STEPS = 20.0  # in median steps between two rows


@dataclass(frozen=True)
class Passes:
    """The passes that rows of one GPU and stack were measured in.

    Attributes
    ----------
    kind : {"pass", "session", "repeat"}
        `pass`: repeat numbers follow each other in time (each went over the configurations);
        `session`: blocks of rows with a long break between them; `repeat`: neither can be told, or
        the repeats of a configuration were measured one after the other, and the numbers are all
        that there is.
    names : tuple over pass of str
        In order of time; numbers in order of size for the kind `repeat`.
    label : ndarray of int, shape (row,)
        Which pass a row is of; -1 for none.
    """

    kind: Kind
    names: tuple[str, ...]
    label: NDArray[np.int64]


def label_passes(frame: pd.DataFrame, configs: NDArray[np.int64]) -> Passes | None:
    """Tell the passes of a trace by `repeat` and `collected_at`.

    A repeat number that many configurations share is a pass where its rows were measured together:
    in order of `collected_at`, or as they stand, one number follows the other but for a tenth of
    the rows. A row is then of the pass that it was measured in, whatever its number says: a
    reference that is measured again and again counts its repeats on its own. Otherwise, breaks of
    at least 10 minutes and 20 times the median step between rows part sessions.

    Parameters
    ----------
    frame : DataFrame, one row a measurement
        Of one GPU and stack.
    configs : ndarray of int, shape (row,)
        Equal for rows of one configuration.

    Returns
    -------
    Passes or None
        None where there are no two of them.
    """
    moments = _moments(frame)
    place = np.arange(len(frame)) if moments is None else _ranks(moments)
    numbers = _shared_numbers(frame, configs)
    if numbers is not None:
        names, label = numbers
        in_time = _part(label, place, len(names))
        if in_time is not None:
            order, block = in_time
            return Passes("pass", tuple(f"{REPEAT} {names[each]}" for each in order), block)
    if moments is not None and (sessions := _sessions(moments)) is not None:
        return sessions
    if numbers is None:
        return None
    return Passes("repeat", tuple(f"{REPEAT} {name}" for name in names), label)


def _moments(frame: pd.DataFrame) -> NDArray[np.float64] | None:
    """When each row was collected, in s; None unless all of them tell. Shape (row,)."""
    if COLLECTED_AT not in frame or frame.empty:
        return None
    times = read_times(frame[COLLECTED_AT])
    if times.isna().any():
        return None
    return np.asarray((times - times.min()).dt.total_seconds(), dtype=float)


def _ranks(moments: NDArray[np.float64]) -> NDArray[np.int64]:
    """Place of each row in time. Shape (row,)."""
    place = np.empty(len(moments), dtype=np.int64)
    place[np.argsort(moments, kind="stable")] = np.arange(len(moments))
    return place


def _shared_numbers(
    frame: pd.DataFrame, configs: NDArray[np.int64]
) -> tuple[tuple[str, ...], NDArray[np.int64]] | None:
    """Repeat numbers that enough configurations have, and each row's; None without two."""
    if REPEAT not in frame:
        return None
    numbers = frame[REPEAT].reset_index(drop=True)
    counts = pd.Series(configs).groupby(numbers).nunique()
    kept = [number for number, held in counts.items() if held >= FEWEST_CONFIGS]
    if len(kept) < 2:
        return None
    found = {number: at for at, number in enumerate(kept)}
    label = np.asarray(numbers.map(found).fillna(-1), dtype=np.int64)
    names = tuple(f"{n:g}" if isinstance(n, (int, float, np.number)) else str(n) for n in kept)
    return names, label


def _part(
    label: NDArray[np.int64], place: NDArray[np.int64], count: int
) -> tuple[list[int], NDArray[np.int64]] | None:
    """Cut the course of time between numbers; None where they do not follow each other.

    Returns
    -------
    order : list of int
        Numbers in order of time.
    block : ndarray of int, shape (row,)
        Which of them each row was measured in.
    """
    order = sorted(range(count), key=lambda each: float(np.median(place[label == each])))
    course = label[np.argsort(place)]  # numbers in order of time
    cuts = [
        int(np.argmax(np.cumsum((course == earlier) * 1 - (course == later) * 1)))
        for earlier, later in pairwise(order)
    ]
    block = np.searchsorted(np.array(cuts), place, side="left")
    held = label >= 0
    misplaced = np.mean(np.array(order)[block[held]] != label[held])
    if any(a >= b for a, b in pairwise(cuts)) or misplaced > _MISPLACED:
        return None
    return order, block.astype(np.int64)


def _sessions(moments: NDArray[np.float64]) -> Passes | None:
    """Part rows at long breaks; None without any."""
    place = np.argsort(moments, kind="stable")
    steps = np.diff(moments[place])
    if not len(steps):
        return None
    breaks = steps >= max(_BREAK_S, _BREAK_STEPS * float(np.median(steps)))
    if not breaks.any():
        return None
    label = np.empty(len(moments), dtype=np.int64)
    label[place] = np.concatenate([[0], np.cumsum(breaks)])
    return Passes(
        "session", tuple(f"session {each + 1}" for each in range(int(label.max()) + 1)), label
    )
