"""Parameters of a simulation, drawn from a spec's priors."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bayeslat.model.groups import GroupTree, Level
from bayeslat.model.level_ratios import NamedScales, level_ratios
from bayeslat.model.priors import stage_features, stage_priors, stage_scales
from bayeslat.model.simulation_parameters import SimulationParameters, StageParameters
from bayeslat.model.simulation_plan import SimulationPlan

__all__ = ["draw_from_priors"]


def draw_from_priors(plan: SimulationPlan, seed: int) -> SimulationParameters:
    """Draw every stage's parameters: shared efficiencies, scales, effects given the scales.

    Parameters
    ----------
    plan : SimulationPlan
    seed : int

    Returns
    -------
    SimulationParameters
    """
    rng = np.random.default_rng([seed, 0])
    return SimulationParameters(
        stages={stage: _draw_stage(plan, stage, rng) for stage in plan.spec.stages}
    )


def _draw_stage(plan: SimulationPlan, stage: str, rng: np.random.Generator) -> StageParameters:
    """Draw scales, then effects down the tree of groups."""
    terms, basis = plan.spec.stages[stage].physics, plan.bases[stage]
    features = stage_features(plan.spec, stage, basis)
    layout = stage_scales(plan.spec, stage, basis, plan.groups, plan.tree)
    named = layout.name_draws(layout.draw_prior(rng))
    offset = dict(zip(layout.offset_names, named["offset_scale"], strict=True))
    shared = dict(zip(layout.shared_names, named["shared_scale"], strict=True))
    offset_sd = features.multiplier * np.array([offset[name] for name in features.offset_scales])
    drawn = features.multiplier * np.array([shared.get(kind, np.nan) for kind in features.kinds])
    shared_sd = np.where(np.isnan(features.shared_sd), drawn, features.shared_sd)
    effects = _draw_effects(plan.tree, named, offset_sd, shared_sd, rng)
    theta0 = [
        np.log(prior.slowdown) + prior.slowdown_log_sd * rng.standard_normal()
        for prior in stage_priors(plan.spec, stage)
    ]
    rows = {label: effects[group] for group, label in enumerate(plan.labels)}
    return StageParameters(
        shared_efficiency=_by_name(terms, theta0),
        offset={label: _by_name(terms, row[: len(terms)]) for label, row in rows.items()},
        residual={label: _by_name(basis.names, row[len(terms) :]) for label, row in rows.items()},
        noise=_by_name(plan.labels, named["noise"] * named["noise_ratio"]),
    )


def _draw_effects(
    tree: GroupTree,
    named: NamedScales,
    offset_sd: NDArray[np.float64],
    shared_sd: NDArray[np.float64],
    rng: np.random.Generator,
) -> dict[int, NDArray[np.float64]]:
    """Draw the effects of each group of rows, parents first. Shapes (feature,)."""
    ratio = level_ratios(named)
    effect = {-1: shared_sd * rng.standard_normal(len(shared_sd))}
    for node in reversed(range(len(tree.names))):
        departure = ratio[Level(tree.level[node])] * offset_sd * rng.standard_normal(len(offset_sd))
        effect[node] = effect[int(tree.parent[node])] + departure
    return {int(group): effect[node] for node, group in enumerate(tree.leaf) if group >= 0}


def _by_name(names: Iterable[str], values: Iterable[float]) -> dict[str, float]:
    """Pair names with plain floats."""
    return {name: float(value) for name, value in zip(names, values, strict=True)}
