"""Draws in a posterior's tree: by name and dimension for people, and exactly for reading back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeslat.inference.posteriors.posterior import PosteriorData, StagePosterior
from bayeslat.inference.storage.labelled import Variables, label
from bayeslat.model.groups import Level

__all__ = ["Drawn", "draw_groups", "read_draws", "read_statistics"]

_DRAWN = ("chain", "draw")

_DESCRIPTIONS: Mapping[str, str] = {
    "shared_effect": "m: effect on log latency that all GPUs share, per unit of the feature",
    "family_effect": "the same of an architecture generation with two or more GPUs",
    "gpu_effect": "the same of a GPU: shared effect plus its departures",
    "stack_effect": "the same of a stack on a GPU that was measured under several",
    "coefficient": "exp(theta0 + u): how many times slower than its data sheet a GPU is",
    "offset": "what a GPU's log coefficient departs by from the one that all GPUs share",
    "offset_scale": "sd between GPUs, by physics term and residual feature",
    "shared_scale": "prior sd of the shared effects, by kind of feature",
    "family_share": "part of the variance between GPUs that architecture generations explain",
    "stack_ratio": "sd between stacks on one GPU over the sd between GPUs",
    "noise": "sd of the fit's residuals in log latency, with outliers calmed",
    "noise_ratio": "a group's noise over the stage's",
    "noise_sd": "scale of the Student-t noise of one run in log latency (dof: stages/*.noise_dof)",
    "scales": "logs of the scales and logit of the family share, as they were sampled",
}


@dataclass(frozen=True)
class Drawn:
    """One stage's draws as a fit made them, all chains one after the other.

    Attributes
    ----------
    scales : ndarray, shape (draw, scale)
    effects : ndarray, shape (draw, node + 1, feature)
    """

    scales: NDArray[np.float64]
    effects: NDArray[np.float64]


def draw_groups(data: PosteriorData) -> dict[str, xr.Dataset]:
    """Lay the draws out by name and dimension.

    Parameters
    ----------
    data : PosteriorData

    Returns
    -------
    dict
        `posterior` with the dimensions chain and draw, then feature (`stage/feature`), term
        (`stage/term`), gpu, family, stack, kind, stage or group; `unconstrained`, the scales as
        they were sampled; `sample_stats`.
    """
    return {
        "posterior": _posterior(data),
        "unconstrained": _unconstrained(data),
        "sample_stats": _sample_stats(data),
    }


def read_draws(tree: xr.DataTree, stages: Mapping[str, Any]) -> dict[str, Drawn]:
    """Read back each stage's draws, to the last bit.

    Parameters
    ----------
    tree : DataTree
    stages : mapping
        Its keys are the stages.

    Returns
    -------
    dict of stage to Drawn

    Raises
    ------
    KeyError, ValueError
        If something is missing or does not fit.
    """
    effects = _node_effects(tree["posterior"].dataset)
    scales = tree["unconstrained"].dataset["scales"]
    return {
        stage: Drawn(_of_stage(scales, "scale", stage), _of_stage(effects, "feature", stage))
        for stage in stages
    }


def read_statistics(
    tree: xr.DataTree, stages: Mapping[str, Any]
) -> dict[str, dict[str, NDArray[Any]]]:
    """Read back what the engine said of each draw. Arrays of shape (chain, draw)."""
    stored = tree["sample_stats"].dataset
    return {
        stage: {str(name): stored[name].sel(stage=stage).to_numpy() for name in stored}
        for stage in stages
    }


def _posterior(data: PosteriorData) -> xr.Dataset:
    """Draws of every effect, coefficient, offset, scale and noise."""
    parts = data.stages
    problem = next(iter(parts.values())).problem
    tree = problem.tree
    nodes = {
        "family": tree.nodes(Level.FAMILY),
        "gpu": tree.gpus,
        "stack": tree.nodes(Level.STACK),
    }
    effects = _chained(data, np.concatenate([p.effects for p in parts.values()], axis=2))
    variables: Variables = {"shared_effect": ((*_DRAWN, "feature"), effects[:, :, -1])}
    for level, at in nodes.items():
        if len(at):
            variables[f"{level}_effect"] = ((*_DRAWN, level, "feature"), effects[:, :, at])
    variables |= _efficiencies(data, tree.gpus) | _named_scales(data)
    labels = {
        "feature": _labels(parts, lambda part: part.problem.features.names),
        "term": _labels(parts, lambda part: part.problem.features.names[: part.terms]),
        "offset_feature": _labels(parts, lambda part: part.problem.layout.offset_names),
        "shared_kind": _labels(parts, lambda part: part.problem.layout.shared_names),
        **{level: [tree.names[node] for node in at] for level, at in nodes.items()},
        "stage": list(parts),
        "group": list(problem.layout.groups),
    }
    return _count(data, label(variables, labels, _DESCRIPTIONS))


def _efficiencies(data: PosteriorData, gpus: NDArray[np.int64]) -> Variables:
    """How efficient each kind of work is on each GPU."""
    coefficient, offset = [], []
    for part in data.stages.values():
        own = part.effects[:, gpus, : part.terms]
        coefficient.append(np.exp(part.shared_efficiency + own))
        offset.append(own - part.effects[:, [-1], : part.terms])
    dims = (*_DRAWN, "gpu", "term")
    return {
        "coefficient": (dims, _chained(data, np.concatenate(coefficient, axis=2))),
        "offset": (dims, _chained(data, np.concatenate(offset, axis=2))),
    }


def _named_scales(data: PosteriorData) -> Variables:
    """Scales as positive numbers and shares."""
    parts = data.stages.values()
    named = [part.problem.layout.name_draws(_chained(data, part.scales)) for part in parts]
    variables: Variables = {}
    for name, dim in (("offset_scale", "offset_feature"), ("shared_scale", "shared_kind")):
        joined = np.concatenate([each[name] for each in named], axis=2)
        if joined.shape[2]:
            variables[name] = ((*_DRAWN, dim), joined)
    for name in ("family_share", "stack_ratio", "noise", "noise_ratio"):
        if name in named[0]:
            dims = (*_DRAWN, "stage", *(["group"] if name == "noise_ratio" else []))
            variables[name] = (dims, np.stack([each[name] for each in named], axis=2))
    groups = range(len(data.groups))
    sd = np.stack([[part.noise_sd(group) for group in groups] for part in parts])
    variables["noise_sd"] = ((*_DRAWN, "stage", "group"), _chained(data, np.moveaxis(sd, 2, 0)))
    return variables


def _unconstrained(data: PosteriorData) -> xr.Dataset:
    """Logs and logits of the scales, as they were sampled."""
    parts = data.stages
    scales = _chained(data, np.concatenate([part.scales for part in parts.values()], axis=1))
    labels = {"scale": _labels(parts, lambda part: part.problem.layout.names)}
    return _count(data, label({"scales": ((*_DRAWN, "scale"), scales)}, labels, _DESCRIPTIONS))


def _sample_stats(data: PosteriorData) -> xr.Dataset:
    """What the engine said of each draw in each stage."""
    per_stage = list(data.statistics.values())
    variables: Variables = {
        name: ((*_DRAWN, "stage"), np.stack([each[name] for each in per_stage], axis=2))
        for name in per_stage[0]
    }
    return _count(data, label(variables, {"stage": list(data.statistics)}))


def _node_effects(posterior: xr.Dataset) -> xr.DataArray:
    """Join the effects of all nodes in the tree's order: stacks, GPUs, families, shared."""
    levels = [level for level in ("stack", "gpu", "family") if f"{level}_effect" in posterior]
    parts = [
        posterior[f"{level}_effect"].rename({level: "node"}).drop_vars("node") for level in levels
    ]
    parts.append(posterior["shared_effect"].expand_dims("node", axis=2))
    return xr.concat(parts, dim="node", join="exact").transpose(*_DRAWN, "node", "feature")


def _of_stage(array: xr.DataArray, dim: str, stage: str) -> NDArray[np.float64]:
    """Draws of a stage, all chains one after the other, without the labels."""
    mine = np.char.startswith(array[dim].to_numpy().astype(str), f"{stage}/")
    values = array.isel({dim: np.flatnonzero(mine)}).to_numpy()
    return np.ascontiguousarray(values.reshape(-1, *values.shape[2:]))


def _labels(
    parts: Mapping[str, StagePosterior], names: Callable[[StagePosterior], tuple[str, ...]]
) -> list[str]:
    """Name the same thing in every stage."""
    return [f"{stage}/{name}" for stage, part in parts.items() for name in names(part)]


def _chained(data: PosteriorData, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Split the first dimension into chain and draw."""
    return draws.reshape(data.chains, -1, *draws.shape[1:])


def _count(data: PosteriorData, dataset: xr.Dataset) -> xr.Dataset:
    """Count chains and draws from 0."""
    draws = len(next(iter(data.stages.values())).scales) // data.chains
    return dataset.assign_coords(chain=np.arange(data.chains), draw=np.arange(draws))
