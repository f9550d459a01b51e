"""How improbable a window is under no drift: by windows that the posterior simulates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.evaluation.drift.row_errors import RowErrors
from bayeslat.evaluation.drift.scores import TESTS, Scores
from bayeslat.evaluation.drift.window import Window

__all__ = ["DriftTest", "compare_window", "simulate_errors"]

_PILOT = 1000  # windows that only put the tests on one scale
_BATCH = 500
_EXCEEDED = 50  # by so many windows: the p-value is known well enough
_LEAST = 5000
_PER_REJECTION = 5.0  # windows beyond the smallest level at which a test has to reject
_TAIL = 0.1  # part of the pilot windows whose excess tells how the tail goes on


@dataclass(frozen=True)
class DriftTest:
    """How improbable a window is under no drift.

    Attributes
    ----------
    p_value : float
        Of the most improbable of the tests, so that it is uniform without drift.
    p_tests : mapping of test to float
        Of each alone.
    windows : int
        Simulated, to compare with.
    critical : float
        What a part `level` of the windows passes in the test of one direction.
    """

    p_value: float
    p_tests: dict[str, float]
    windows: int
    critical: float


def simulate_errors(
    window: Window, errors: RowErrors, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw a window's errors from the posterior predictive, at its configurations.

    Parameters
    ----------
    window : Window
    errors : RowErrors
    count : int
    rng : Generator

    Returns
    -------
    ndarray, shape (row, draw)
        Over the typical noise.
    """
    at = rng.integers(len(window.noise), size=count)
    allowed = window.allowed
    effects = window.departures[at] + rng.standard_normal((count, allowed.shape[1])) @ allowed.T
    drawn: NDArray[np.float64] = window.design @ effects.T
    drawn += window.noise[at] * errors.draw(count, rng)
    return drawn


def compare_window(scores: Scores, level: float, rng: np.random.Generator) -> DriftTest:
    """Compare a window's statistics with those of windows without drift (Box 1980).

    The four tests are put on one scale, minus the log of the part of pilot windows beyond, and the
    largest is the statistic. Pilot windows are not those that it is compared with, so observed and
    simulated windows are exchangeable, and the p-value is exact up to the linearisation. It is
    counted sequentially (Besag and Clifford 1991): improbable windows are compared with more.

    Parameters
    ----------
    scores : Scores
    level : float
        The smallest at which the test has to be able to reject.
    rng : Generator

    Returns
    -------
    DriftTest
    """
    window, errors = scores.window, scores.errors

    def draw(count: int) -> NDArray[np.float64]:
        return scores.statistics(simulate_errors(window, errors, count, rng))

    pilot = np.concatenate([draw(_BATCH) for _ in range(_PILOT // _BATCH)], axis=1)
    scale = _Scale(pilot)
    observed = scores.statistics(window.error[:, None])
    most = max(_LEAST, int(np.ceil(_PER_REJECTION / level)))
    beyond, by_test, windows = _count(draw, scale, observed, most)
    critical = float(scale.at(TESTS.index("direction"), level))
    alone = (1.0 + by_test) / (1.0 + windows)
    p_tests = {name: float(p) for name, p in zip(TESTS, alone, strict=True)}
    return DriftTest((1.0 + beyond) / (1.0 + windows), p_tests, windows, critical)


def _count(
    draw: Callable[[int], NDArray[np.float64]],
    scale: _Scale,
    observed: NDArray[np.float64],
    most: int,
) -> tuple[int, NDArray[np.int64], int]:
    """Count windows at least as improbable: by all tests together, and by each."""
    limit = scale.surprise(observed).max()
    beyond, windows = 0, 0
    by_test = np.zeros(len(TESTS), dtype=np.int64)
    while windows < most and beyond < _EXCEEDED:
        simulated = draw(_BATCH)
        beyond += int((scale.surprise(simulated).max(axis=0) >= limit).sum())
        by_test += (simulated >= observed).sum(axis=1)
        windows += _BATCH
    return beyond, by_test, windows


class _Scale:
    """Minus the log of the part of pilot windows beyond a value, with an exponential tail."""

    def __init__(self, pilot: NDArray[np.float64]) -> None:
        self.sorted = np.sort(pilot, axis=1)
        count = self.sorted.shape[1]
        self.edge = self.sorted[:, int((1.0 - _TAIL) * count)]
        excess = self.sorted[:, int((1.0 - _TAIL) * count) :] - self.edge[:, None]
        self.mean_excess = np.maximum(excess.mean(axis=1), 1e-12)

    def surprise(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shapes (test, draw) to (test, draw)."""
        found = []
        for ranked, edge, mean, row in zip(
            self.sorted, self.edge, self.mean_excess, values, strict=True
        ):
            beyond = 1.0 - np.searchsorted(ranked, row, side="left") / (len(ranked) + 1.0)
            tail = -np.log(_TAIL) + (row - edge) / mean
            found.append(np.where(row > edge, tail, np.minimum(-np.log(beyond), -np.log(_TAIL))))
        return np.array(found)

    def at(self, test: int, level: float) -> float:
        """Value that a part of the windows passes."""
        if level >= _TAIL:
            return float(np.quantile(self.sorted[test], 1.0 - level))
        return float(self.edge[test] + self.mean_excess[test] * np.log(_TAIL / level))
