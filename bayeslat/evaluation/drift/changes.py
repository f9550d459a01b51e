"""Which features moved, by how much, and since when: the posterior over what may have changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bayeslat.evaluation.drift.scores import Scores
from bayeslat.evaluation.drift.stage_drift import CORRECTION, TOGETHER

__all__ = ["Change", "ChangeDraws", "draw_changes"]

_MOST_MOVED = 3  # features at once
_TERM_SD = 0.3  # log efficiency: prior size of a change, as of a GPU's offsets
_CORRECTION_SD = 0.05
_FURTHER = 4.0  # what each further feature costs, as a factor of the prior
_DRAWS = 4000
_NOTHING = (np.empty(0, dtype=np.int64), np.empty(0))  # that moves, by any size


@dataclass(frozen=True)
class Change:
    """A set of features that may have moved together.

    Attributes
    ----------
    features : tuple of str
    columns : ndarray of int, shape (column,)
        Directions that they move.
    sd : ndarray, shape (column,)
        Prior size of each, over the typical noise.
    log_prior : float
    """

    features: tuple[str, ...]
    columns: NDArray[np.int64]
    sd: NDArray[np.float64]
    log_prior: float


@dataclass(frozen=True)
class ChangeDraws:
    """Draws of what changed.

    Attributes
    ----------
    features : tuple of str
    p_prior : ndarray, shape (feature,)
        Probability that each moved, before the rows were seen.
    moved : ndarray of bool, shape (draw, feature)
    steps : ndarray, shape (draw, direction)
        Changes in log latency per unit of the direction's column; 0 where none.
    start : ndarray of int, shape (draw,)
        First row after the change.
    """

    features: tuple[str, ...]
    p_prior: NDArray[np.float64]
    moved: NDArray[np.bool_]
    steps: NDArray[np.float64]
    start: NDArray[np.int64]


def draw_changes(
    scores: Scores, error: NDArray[np.float64], noise_ratio: float, rng: np.random.Generator
) -> ChangeDraws:
    """Draw what changed and since when.

    Each set of at most three features, and each start, is a model: the features' coefficients step
    at the start, by Normal(0, sd^2). Its marginal likelihood is closed form, the effects before the
    step integrated over the posterior; models are averaged by it (George and McCulloch 1993). Half
    of the prior goes to a change before the window; each further feature costs a factor of four,
    shared among the sets of that size. One model is that nothing moved: only the noise changed.

    Parameters
    ----------
    scores : Scores
        With a course as fine as the start is to be told.
    error : ndarray, shape (row,)
        Outliers calmed.
    noise_ratio : float
        Noise of the window over that of the posterior, where it is larger.
    rng : Generator

    Returns
    -------
    ChangeDraws
    """
    window, starts = scores.window, scores.course.starts
    ratio = max(noise_ratio, 1.0)
    features, models = _models(scores)
    found, known = scores.likelihood(scores.of_changes(error[:, None])[:, :, 0])
    found, known = found / ratio**2, known / ratio**2
    log_start = np.full(len(starts), np.log(0.5 / max(len(starts) - 1, 1)))
    log_start[0] = np.log(0.5)
    log_weight = np.array(
        [log_start + model.log_prior + _log_evidence(found, known, model) for model in models]
    )
    weight = np.exp(log_weight - log_weight.max()).ravel()
    chosen = rng.choice(weight.size, size=_DRAWS, p=weight / weight.sum())
    moved = np.zeros((_DRAWS, len(features)), dtype=bool)
    steps = np.zeros((_DRAWS, found.shape[1]))
    for number in np.unique(chosen):
        draws = np.flatnonzero(chosen == number)
        model, at = models[number // len(starts)], number % len(starts)
        if not model.features:
            continue
        moved[np.ix_(draws, [features.index(name) for name in model.features])] = True
        drawn = _draw(found[at], known[at], model, len(draws), rng)
        steps[np.ix_(draws, model.columns)] = drawn * window.noise_sd
    prior = np.exp([model.log_prior for model in models])
    inside = np.array([[name in model.features for name in features] for model in models])
    p_prior = prior @ inside / prior.sum()
    return ChangeDraws(tuple(features), p_prior, moved, steps, starts[chosen % len(starts)])


def _models(scores: Scores) -> tuple[list[str], list[Change]]:
    """Name the features, and list the sets of them that may have moved."""
    window = scores.window
    count, size = len(window.terms), window.design.shape[1]
    blocks: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = {
        name: (np.array([k]), np.array([_TERM_SD])) for k, name in enumerate(window.terms)
    }
    if size > count:
        blocks[CORRECTION] = (np.arange(count, size), _CORRECTION_SD * window.residual_size)
    sets: list[tuple[str, ...]] = [
        chosen
        for number in range(min(_MOST_MOVED, len(blocks)) + 1)
        for chosen in combinations(blocks, number)
    ]
    features = list(blocks)
    if count > 1:
        blocks[TOGETHER] = (np.array([size]), np.array([_TERM_SD]))
        features.append(TOGETHER)
        sets.append((TOGETHER,))
    return features, [_change(chosen, blocks, sets, window.noise_sd) for chosen in sets]


def _change(
    chosen: tuple[str, ...],
    blocks: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]],
    sets: Sequence[tuple[str, ...]],
    noise_sd: float,
) -> Change:
    alike = sum(len(other) == len(chosen) for other in sets)
    further = max(len(chosen) - 1, 0)
    return Change(
        features=chosen,
        columns=np.concatenate(
            [np.empty(0, dtype=np.int64), *(blocks[name][0] for name in chosen)]
        ),
        sd=np.concatenate([np.empty(0), *(blocks[name][1] for name in chosen)]) / noise_sd,
        log_prior=-further * float(np.log(_FURTHER)) - float(np.log(alike)),
    )


def _log_evidence(
    found: NDArray[np.float64], known: NDArray[np.float64], model: Change
) -> NDArray[np.float64]:
    """Log Bayes factor of a change against none, for each start. Shape (start,).

    With scores h and information J over the model's directions, steps Normal(0, S^2):
    -1/2 log|I + S J S| + 1/2 h' S (I + S J S)^-1 S h.
    """
    if not model.features:
        return np.zeros(len(found))
    scaled = found[:, model.columns] * model.sd
    at = np.ix_(np.arange(len(found)), model.columns, model.columns)
    inner = known[at] * np.outer(model.sd, model.sd) + np.eye(len(model.sd))
    quadratic = np.sum(scaled * np.linalg.solve(inner, scaled[:, :, None])[:, :, 0], axis=1)
    evidence: NDArray[np.float64] = 0.5 * quadratic - 0.5 * np.linalg.slogdet(inner)[1]
    return evidence


def _draw(
    found: NDArray[np.float64],
    known: NDArray[np.float64],
    model: Change,
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw the steps of a model. Shape (draw, column)."""
    inner = known[np.ix_(model.columns, model.columns)] * np.outer(model.sd, model.sd)
    covariance = np.linalg.inv(inner + np.eye(len(model.sd)))
    mean = covariance @ (found[model.columns] * model.sd)
    root = np.linalg.cholesky(0.5 * (covariance + covariance.T))
    drawn: NDArray[np.float64] = mean + rng.standard_normal((count, len(mean))) @ root.T
    return drawn * model.sd
