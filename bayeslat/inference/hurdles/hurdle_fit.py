"""Fitting a hurdle: a logistic regression that groups share partially."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.thinning import evenly
from bayeslat.inference.hurdles.hurdle import GroupHurdle, HurdlePosterior, HurdleRows, hurdle_rows
from bayeslat.inference.hurdles.logistic import logistic_modes
from bayeslat.inference.rows.plan import FitPlan
from bayeslat.inference.rows.stage_rows import least_ms
from bayeslat.inference.rows.strata import stratified_normal, stratified_uniform

__all__ = ["condition_hurdle", "fit_hurdle"]

_SHARED_SD = 2.5  # of a logit per half range of a feature (Gelman et al. 2008, section 2)
_SPREAD_SCALE = 1.0  # HalfNormal scale of the sd between groups
_SPREADS = np.geomspace(0.05, 4.0, 12)  # where the sd between groups is looked at
_ROWS = 4000  # of a group: enough for a handful of coefficients
_QUANTILES = 64  # of the latency below the hurdle
_PRIOR_ROWS = 10.0  # what other groups' latency below the hurdle counts for, in rows of a group


def fit_hurdle(plan: FitPlan, stage: str, draws: int, seed: int) -> HurdlePosterior | None:
    """Fit a stage's hurdle to every group.

    Group g has effects c_g ~ Normal(m, spread^2) with m ~ Normal(0, 2.5^2) per half range and
    spread ~ HalfNormal(1). The spread is integrated over a grid, the effects by Laplace's
    approximation at each of its points (Rue, Martino and Chopin 2009, section 3). The latency below
    the hurdle has any distribution: the mean of a Dirichlet process round that of all groups, which
    counts for ten rows (Ferguson 1973, section 5).

    Parameters
    ----------
    plan : FitPlan
    stage : str
    draws : int
    seed : int

    Returns
    -------
    HurdlePosterior or None
        None where the stage has no hurdle.
    """
    if plan.spec.stages[stage].hurdle is None:
        return None
    rows = [
        hurdle_rows(plan.spec, stage, plan.frame.iloc[members], plan.hardware[gpu])
        for (gpu, _), members in zip(plan.groups, plan.members, strict=True)
    ]
    table = np.concatenate([part.table for part in rows])
    least = least_ms(plan.spec, stage)
    below = [part.latency_ms[~part.above] for part in rows]
    shared = _together([part for part in below if part.size] or [np.array([0.1 * least])])
    flat = HurdlePosterior(
        low=table.min(axis=0),
        high=table.max(axis=0),
        spread=np.empty(0),
        effects=np.empty((0, 0, 0)),
        below_ms=np.stack([*(_mix(part, shared) for part in below), shared]),
        below_rows=np.array([*map(len, below), 0]) + _PRIOR_ROWS,
    )
    rng = np.random.default_rng([seed, list(plan.spec.stages).index(stage), 3])
    spread, effects = _draw(flat, rows, draws, rng)
    return replace(flat, spread=spread, effects=effects)


def condition_hurdle(
    hurdle: HurdlePosterior,
    prior: GroupHurdle | None,
    rows: HurdleRows,
    rng: np.random.Generator,
) -> GroupHurdle:
    """Draw the hurdle of a group given its rows.

    Each draw of what groups share, and of their spread, is a prior of its own; Laplace's
    approximation gives the posterior under each and its weight. The latency below the hurdle is
    mixed as in `fit_hurdle`.

    Parameters
    ----------
    hurdle : HurdlePosterior
    prior : GroupHurdle or None
        The group's own, where it was fitted: its rows are new ones.
    rows : HurdleRows
    rng : Generator

    Returns
    -------
    GroupHurdle
    """
    if not len(rows.above):
        return hurdle.draw_group(rng) if prior is None else prior
    columns = hurdle.columns(rows.table)
    count, size = len(hurdle.spread), columns.shape[1]
    if prior is None:
        mean = hurdle.effects[:, -1]
        precision = np.eye(size) / hurdle.spread[:, None, None] ** 2
    else:
        mean = prior.effects.mean(axis=0, keepdims=True)
        covariance = np.atleast_2d(np.cov(prior.effects.T))
        precision = np.linalg.inv(covariance + 1e-9 * np.eye(size))[None]
    modes = logistic_modes(columns, rows.above.astype(float), mean, precision)
    chosen = _resample(modes.log_evidence, count, rng)
    effects = modes.draw(chosen, stratified_normal((count, size), rng))
    others_ms = hurdle.below_ms[-1] if prior is None else prior.below_ms
    own_ms = rows.latency_ms[~rows.above]
    return GroupHurdle(effects, _mix(own_ms, others_ms), len(own_ms) + _PRIOR_ROWS)


def _draw(
    flat: HurdlePosterior, rows: Sequence[HurdleRows], draws: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw the spread and the effects of groups and of what they share, which comes last."""
    parts = []
    for part in rows:
        kept = evenly(len(part.above), _ROWS)
        parts.append((flat.columns(part.table[kept]), part.above[kept].astype(float)))
    groups, size = len(parts), flat.columns(rows[0].table).shape[1]
    design = np.zeros((sum(len(outcome) for _, outcome in parts), (groups + 1) * size))
    start = 0
    for group, (columns, _) in enumerate(parts):
        design[start : start + len(columns), group * size : (group + 1) * size] = columns
        start += len(columns)
    precision = np.stack([_precision(spread, groups, size) for spread in _SPREADS])
    outcome = np.concatenate([outcome for _, outcome in parts])
    modes = logistic_modes(design, outcome, np.zeros(precision.shape[:2]), precision)
    # HalfNormal density over a grid that is even in the log.
    prior = -0.5 * (_SPREADS / _SPREAD_SCALE) ** 2 + np.log(_SPREADS)
    chosen = _resample(modes.log_evidence + prior, draws, rng)
    effects = modes.draw(chosen, stratified_normal((draws, precision.shape[1]), rng))
    return _SPREADS[chosen], effects.reshape(draws, groups + 1, size)


def _precision(spread: float, groups: int, size: int) -> NDArray[np.float64]:
    """Prior precision of the groups' effects and, last, the shared ones."""
    arrow = np.zeros((groups + 1, groups + 1))
    at = np.arange(groups)
    arrow[at, at] = spread**-2
    arrow[at, groups] = arrow[groups, at] = -(spread**-2)
    arrow[groups, groups] = groups * spread**-2 + _SHARED_SD**-2
    precision: NDArray[np.float64] = np.kron(arrow, np.eye(size)).astype(np.float64)
    return precision


def _resample(
    log_weight: NDArray[np.float64], draws: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Choose by weight, in random order. Shape (draw,)."""
    weight = np.exp(log_weight - log_weight.max())
    ends = np.cumsum(weight / weight.sum())
    at = np.searchsorted(ends, stratified_uniform((draws,), rng))
    return at.clip(0, len(ends) - 1)


def _together(groups: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the latency of all groups, each counting alike. Shape (quantile,)."""
    weights = np.concatenate([np.full(len(group), 1.0 / len(group)) for group in groups])
    return _quantiles(np.concatenate(groups), weights)


def _mix(own_ms: NDArray[np.float64], others_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mix a group's rows, which count for one each, with what others say. Shape (quantile,)."""
    others = np.full(len(others_ms), _PRIOR_ROWS / len(others_ms))
    weights = np.concatenate([np.ones(len(own_ms)), others])
    return _quantiles(np.concatenate([own_ms, others_ms]), weights)


def _quantiles(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weighted quantiles, at the middles of equally likely parts."""
    order = np.argsort(values, kind="stable")
    ends = np.cumsum(weights[order])
    levels = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    middles = (ends - 0.5 * weights[order]) / ends[-1]
    quantiles: NDArray[np.float64] = np.interp(levels, middles, values[order])
    return quantiles
