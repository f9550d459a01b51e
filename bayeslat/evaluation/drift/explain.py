"""From draws of what changed to a line for each feature, and to a start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bayeslat.evaluation.drift.changes import ChangeDraws
from bayeslat.evaluation.drift.p_values import DriftTest
from bayeslat.evaluation.drift.scores import Scores
from bayeslat.evaluation.drift.stage_drift import (
    CORRECTION,
    TOGETHER,
    FeatureChange,
    Since,
)
from bayeslat.evaluation.drift.window import Window

__all__ = ["detectable_changes", "feature_changes", "tell_start"]

_POWER = 0.9
_CONFUSED = 0.1  # probability of the one without the other, and of the other without the one
_EVEN = 0.5
_INTERVAL = (0.05, 0.5, 0.95)
_MOST_FOUND = 1000.0  # no coefficient grows as much: who would find no less, can tell nothing of it


def detectable_changes(scores: Scores, test: DriftTest) -> dict[str, float]:
    """Return the change of each physics term that is found with 90 % probability.

    Of its coefficient alone, in the whole window, by the test of one direction: the score's mean is
    then as far beyond the critical value as the power asks.

    Parameters
    ----------
    scores : Scores
    test : DriftTest

    Returns
    -------
    mapping of feature to float
        0.05 is 5 %; NaN where the window says nothing of the feature, or so little that its
        coefficient would have to grow a thousandfold.
    """
    window = scores.window
    directions = {name: k for k, name in enumerate(window.terms)}
    if len(window.terms) > 1:
        directions[TOGETHER] = window.design.shape[1]
    scatter = np.diagonal(scores.scatter[0])
    size = np.diagonal(scores.information[0]) ** 2 / np.where(scores.told[0], scatter, np.inf)
    reach = np.sqrt(test.critical) + ndtri(_POWER)
    found = {}
    for name, k in directions.items():
        log_change = reach / np.sqrt(size[k]) * window.noise_sd if scores.told[0, k] else np.inf
        tells = log_change < np.log1p(_MOST_FOUND)
        found[name] = float(np.expm1(log_change)) if tells else float("nan")
    return found


def feature_changes(
    scores: Scores, detectable: dict[str, float], draws: ChangeDraws | None
) -> tuple[FeatureChange, ...]:
    """Sum up what changed, the most likely feature first.

    Parameters
    ----------
    scores : Scores
    detectable : mapping of feature to float
    draws : ChangeDraws or None
        None without drift: nothing moved, and what would have been found is all there is to say.

    Returns
    -------
    tuple of FeatureChange
    """
    window, shares = scores.window, _shares(scores.window)
    if draws is None:
        nan = float("nan")
        return tuple(
            FeatureChange(name, shares[name], nan, nan, nan, nan, nan, least)
            for name, least in detectable.items()
        )
    told = []
    for k, name in enumerate(draws.features):
        moved = draws.moved[:, k]
        steps = _relative_change(window, name, draws.steps[moved])
        low, middle, high = np.quantile(steps, _INTERVAL) if len(steps) else [float("nan")] * 3
        told.append(
            FeatureChange(
                feature=name,
                share=shares[name],
                p_moved=float(moved.mean()),
                p_prior=float(draws.p_prior[k]),
                change=float(middle),
                low=float(low),
                high=float(high),
                detectable=detectable.get(name, float("nan")),
                confused_with=_confused(draws, k),
            )
        )
    return tuple(sorted(told, key=lambda each: -each.p_moved))


def tell_start(draws: ChangeDraws, window: Window, times: Sequence[str] | None) -> Since | None:
    """Say since when.

    Parameters
    ----------
    draws : ChangeDraws
    window : Window
    times : sequence of str, shape (row of the group,), or None

    Returns
    -------
    Since or None
        The interval spans the fewest starts with 90 % of the probability. None if it is likelier
        that no coefficient moved.
    """
    moved = draws.moved.any(axis=1)
    if moved.mean() < _EVEN:
        return None
    starts, counts = np.unique(draws.start[moved], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    enough = int(np.searchsorted(np.cumsum(counts[order]), 0.9 * counts.sum())) + 1
    likely = starts[order[:enough]]
    row, low, high = (int(window.position[i]) for i in (starts[order[0]], min(likely), max(likely)))
    time, time_low, time_high = (times[i] if times else None for i in (row, low, high))
    return Since(
        p_before=float((draws.start[moved] == 0).mean()),
        row=row + 1,
        low=low + 1,
        high=high + 1,
        time=time,
        time_low=time_low,
        time_high=time_high,
    )


def _shares(window: Window) -> dict[str, float]:
    """Mean share of each feature in the stage's time."""
    shares = window.design[:, : len(window.terms)]
    mean = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
    known = dict(zip(window.terms, map(float, mean), strict=True))
    return {**known, TOGETHER: 1.0, CORRECTION: float("nan")}


def _relative_change(window: Window, name: str, steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Change of a coefficient, or root mean square of the correction's. Shape (draw,)."""
    if name == CORRECTION:
        columns = slice(len(window.terms), window.design.shape[1])
        moved = window.design[:, columns] @ steps[:, columns].T
        return np.expm1(np.sqrt(np.mean(moved**2, axis=0)))
    direction = window.design.shape[1] if name == TOGETHER else window.terms.index(name)
    return np.expm1(steps[:, direction])


def _confused(draws: ChangeDraws, k: int) -> tuple[str, ...]:
    """Features that moved in the stead of one in some draws, and it in theirs in others.

    Only those of which the rows say more than the prior did.
    """
    own, likelier = draws.moved[:, k], draws.moved.mean(axis=0) > draws.p_prior
    return tuple(
        name
        for other, name in enumerate(draws.features)
        if other != k
        and likelier[k]
        and likelier[other]
        and (own & ~draws.moved[:, other]).mean() >= _CONFUSED
        and (~own & draws.moved[:, other]).mean() >= _CONFUSED
    )
