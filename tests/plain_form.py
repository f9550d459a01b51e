"""Points and draws of the plain PyMC form, in the order that the collapsed form uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.model.groups import Level
from bayeslat.model.problem import StageProblem
from bayeslat.model.scales import ScaleLayout

type Array = NDArray[np.float64]

_POSITIVE = ("offset_scale", "shared_scale", "stack_ratio", "noise", "noise_ratio")


def name_effects(problem: StageProblem, effects: Array) -> dict[str, Array]:
    """Split effects of all nodes, shape (..., node + 1, feature), by the plain form's names."""
    level = problem.tree.level
    named = {"shared_effect": effects[..., -1, :]}
    for name, levels in (
        ("family_effect", [Level.FAMILY]),
        ("gpu_effect", [Level.GPU, Level.MEMBER]),
        ("stack_effect", [Level.STACK]),
    ):
        at = np.flatnonzero(np.isin(level, levels))
        if len(at):
            named[name] = effects[..., at, :]
    return named


def name_scales(layout: ScaleLayout, scales: Array) -> dict[str, Array]:
    """Split scales by name, without those that have no entry."""
    named = layout.name_draws(scales)
    return {name: values for name, values in named.items() if np.size(values)}


def value_point(problem: StageProblem, scales: Array, effects: Array) -> dict[str, Array]:
    """One point of the plain model in its unconstrained variables."""
    point: dict[str, Any] = dict(name_effects(problem, effects))
    for name, value in name_scales(problem.layout, scales).items():
        if name in _POSITIVE:
            point[f"{name}_log__"] = np.log(value)
        else:
            point[f"{name}_logodds__"] = np.log(value / (1 - value))
    return point


def flatten(named: Mapping[str, Array], batch: int = 2) -> dict[str, Array]:
    """One entry a scalar parameter: `name[i, j]` to its values of shape (chain, draw)."""
    flat = {}
    for name, values in named.items():
        for at in np.ndindex(values.shape[batch:]):
            label = f"{name}[{', '.join(map(str, at))}]" if at else name
            flat[label] = values[(..., *at)]
    return flat
