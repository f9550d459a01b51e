"""Choosing the configurations to measure next on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bayeslat.counted import counted
from bayeslat.decisions.suggest.belief import prior_belief
from bayeslat.decisions.suggest.check import check_request, stacks_named
from bayeslat.decisions.suggest.options import FREE, LATENCY, SuggestOptions
from bayeslat.decisions.suggest.outlook import look_ahead
from bayeslat.decisions.suggest.points import POINTS, choose_points, count_near, density_at
from bayeslat.decisions.suggest.pool import Pool, make_pool
from bayeslat.decisions.suggest.pose import Posed, pose
from bayeslat.decisions.suggest.problem import DesignProblem
from bayeslat.decisions.suggest.registry import METHODS
from bayeslat.decisions.suggest.strata import Strata, bands_of, strata_of
from bayeslat.decisions.suggest.suggestion import Suggestion
from bayeslat.errors import InputError
from bayeslat.features.admit import admit_configs
from bayeslat.features.gpu import Gpu
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.thin_draws import DRAWS, thin_draws

__all__ = ["suggest"]


def suggest(
    data: PosteriorData,
    candidates: pd.DataFrame,
    gpu: Gpu,
    count: int,
    *,
    stack: str | None = None,
    exclude: pd.DataFrame | None = None,
    options: SuggestOptions | None = None,
) -> Suggestion:
    """Choose the configurations to measure next.

    Parameters
    ----------
    data : PosteriorData
    candidates : DataFrame, one row a candidate
        With the spec's knobs. They are also the configurations whose uncertainty is to be lowered.
    gpu : Gpu
        Fitted, calibrated, or known by its data sheet alone.
    count : int
    stack : str, optional
        The one that the candidates name, or else that of the GPU's rows that name none, or its
        only one, by default.
    exclude : DataFrame, one row a config, optional
        Configurations not to choose.
    options : SuggestOptions, optional

    Returns
    -------
    Suggestion

    Raises
    ------
    InputError
        With every argument that has an impossible value; if there are fewer candidates; or if the
        GPU was measured with several stacks and none is named.
    TraceError
        With every candidate that the spec cannot take.
    HardwareError
        If the GPU has no value of a hardware field that the spec needs.
    """
    options = options or SuggestOptions()
    check_request(data.spec, candidates, count, stack, options)
    candidates = admit_configs(candidates, data.spec, [gpu], stack)
    if exclude is not None:
        exclude = admit_configs(exclude, data.spec, [gpu])
    group = _group(data, candidates, gpu, stack)
    pool = make_pool(data, candidates, group, exclude)
    if count > pool.size:
        raise InputError(
            f"n is {count}, but there are {pool.size} to choose from: {pool}. "
            "Ask for at most as many, or give more candidates"
        )
    with threadpool_limits(1):  # the same numbers on every machine
        thin = thin_draws(data, DRAWS)
        posed = pose(thin, candidates, gpu, group[1], options.seed)
        _check_takes_time(posed.log_total)
        cost_ms = _cost_ms(candidates, posed, options.cost)
        problem, evenly, near = _problem(data, candidates, posed, pool.eligible, cost_ms, options)

        def log_total(configs: pd.DataFrame) -> NDArray[np.float64]:
            return pose(thin, configs, gpu, group[1], options.seed).log_total

        strata = _strata(candidates, posed, pool, options.strata, log_total)
        problem = replace(problem, strata=strata)
        rng = np.random.default_rng([options.seed, 4])
        chosen = METHODS[options.method](problem, count, rng)
        outlook = look_ahead(problem, chosen, evenly)
    return Suggestion(
        *(candidates, chosen, cost_ms[chosen], outlook, pool, group[1], problem.strata, near)
    )


def _problem(
    data: PosteriorData,
    candidates: pd.DataFrame,
    posed: Posed,
    eligible: NDArray[np.bool_],
    cost_ms: NDArray[np.float64],
    options: SuggestOptions,
) -> tuple[DesignProblem, NDArray[np.int64], int | None]:
    """Return the problem, the points that stand for all candidates alike, and how many are near.

    Near the budget, that is; None without one.
    """
    rng = np.random.default_rng([options.seed, 5])
    evenly, weights = choose_points(np.ones(len(candidates)), POINTS, rng)
    problem = DesignProblem(
        stages=posed.stages,
        noise_correlation=posed.noise_correlation,
        log_total=posed.log_total,
        knobs=candidates[list(data.spec.knobs)].to_numpy(dtype=float),
        eligible=eligible,
        points=evenly,
        weights=weights,
        cost_ms=None if options.cost == FREE else cost_ms,
    )
    if options.budget_ms is None or options.objective == "total":
        return problem, evenly, None
    variance = problem.run_variance.copy()
    for stage in problem.stages:
        variance += stage.share**2 * (prior_belief(stage).variance + stage.beyond_sd**2)
    density = density_at(options.budget_ms, posed.log_total, variance)
    points, weights = choose_points(density, POINTS, rng)
    near = count_near(options.budget_ms, posed.log_total[eligible], variance[eligible])
    return replace(problem, points=points, weights=weights), evenly, near


def _check_takes_time(log_total: NDArray[np.float64]) -> None:
    """Refuse candidates in which no stage runs: there is nothing to measure."""
    idle = np.isneginf(log_total)
    if idle.any():
        raise InputError(
            f"no stage takes any time in {counted(int(idle.sum()), 'candidate')} (`times` is 0), "
            f"first in row {int(idle.argmax()) + 1}; leave these candidates out"
        )


def _group(
    data: PosteriorData, candidates: pd.DataFrame, gpu: Gpu, stack: str | None
) -> tuple[str, str | None]:
    """Return the GPU and stack to choose for; None for a GPU without rows."""
    if named := stacks_named(candidates, stack):
        return gpu.key, str(named[0])
    unnamed, known = data.unnamed_stack(gpu.key), data.known_stacks(gpu.key)
    if unnamed is None and known:
        raise InputError(
            f"{gpu.key} was measured with the stacks {', '.join(map(repr, known))}, and none is "
            "named; name one of them, or a new one: --stack NAME, or stack=NAME"
        )
    return gpu.key, unnamed


def _strata(
    candidates: pd.DataFrame,
    posed: Posed,
    pool: Pool,
    strata: str | None,
    log_total: Callable[[pd.DataFrame], NDArray[np.float64]],
) -> Strata | None:
    """Return the regions to cover; what was measured counts for its own, candidate or not."""
    elsewhere = pool.elsewhere
    if strata is None:
        return None
    if strata == LATENCY:
        known = log_total(elsewhere) if len(elsewhere) else None
        return bands_of(posed.log_total, pool.distinct, pool.seen, known)
    # A calibration keeps knobs and tasks alone.
    values = elsewhere[strata] if strata in elsewhere else len(elsewhere)
    return strata_of(candidates[strata], pool.distinct, pool.seen, values)


def _cost_ms(candidates: pd.DataFrame, posed: Posed, cost: str) -> NDArray[np.float64]:
    """Cost of each measurement. Shape (candidate,)."""
    if cost in (FREE, LATENCY):
        return np.exp(posed.log_total)
    return pd.to_numeric(candidates[cost]).to_numpy(dtype=float)
