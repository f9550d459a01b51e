"""A posterior as a tree of labelled arrays: what the posterior file holds, and ArviZ takes.

Groups: `posterior` (draws by name), `unconstrained` (scales as they were sampled), `sample_stats`,
`stages/<stage>` (statistics and linearisation points) and `reference` (the knob grid). The tree of
GPUs, the features and the priors follow from the specification and are built anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayeslat.features.gpu import Gpu
from bayeslat.features.residual import ResidualBasis
from bayeslat.features.spec import Spec
from bayeslat.inference.diagnostics import Diagnostics, StageDiagnostics
from bayeslat.inference.posterior import PosteriorData, StagePosterior
from bayeslat.model.groups import GroupTree, Level, grow_tree
from bayeslat.model.priors import stage_features, stage_scales
from bayeslat.model.problem import StageProblem
from bayeslat.model.statistics import Statistics

__all__ = ["from_tree", "to_tree"]

type Variables = dict[str, tuple[tuple[str, ...], NDArray[Any]]]

_DRAWN = ("chain", "draw")


def to_tree(data: PosteriorData) -> xr.DataTree:
    """Lay a posterior out by name and dimension.

    Parameters
    ----------
    data : PosteriorData

    Returns
    -------
    DataTree
        `posterior` has the dimensions chain and draw, then feature (`stage/feature`), term
        (`stage/term`), gpu, family, stack, kind, stage or group.
    """
    groups: dict[str, xr.Dataset] = {
        "/": xr.Dataset(attrs=_attributes(data)),
        "/posterior": _posterior(data),
        "/unconstrained": _unconstrained(data),
        "/sample_stats": _sample_stats(data),
        "/reference": xr.Dataset(
            {name: ("config", _plain(column)) for name, column in data.reference.items()}
        ),
    }
    for stage, part in data.stages.items():
        groups[f"/stages/{stage}"] = _stage(data, part)
    return xr.DataTree.from_dict(groups)


def from_tree(tree: xr.DataTree) -> PosteriorData:
    """Rebuild a posterior from what `to_tree` made.

    Parameters
    ----------
    tree : DataTree

    Returns
    -------
    PosteriorData

    Raises
    ------
    KeyError, ValueError, SpecError
        If something is missing or does not fit.
    """
    attrs = tree.attrs
    spec = Spec.loads(attrs["spec"])
    groups = tuple((gpu, stack) for gpu, stack in json.loads(attrs["groups"]))
    hardware = {key: Gpu(**entry) for key, entry in json.loads(attrs["hardware"]).items()}
    families = json.loads(attrs["families"])
    group_tree = grow_tree(groups, families)
    stats = tree["sample_stats"].dataset
    effects = _node_effects(tree["posterior"].dataset)
    scales = tree["unconstrained"].dataset["scales"]
    return PosteriorData(
        spec=spec,
        hardware=hardware,
        groups=groups,
        families=families,
        reference=_reference(tree["reference"].dataset),
        stages={
            stage: _read_stage(tree[f"stages/{stage}"].dataset, spec, stage, groups, group_tree)(
                _of_stage(scales, "scale", stage), _of_stage(effects, "feature", stage)
            )
            for stage in spec.stages
        },
        chains=int(scales.sizes["chain"]),
        statistics={
            stage: {str(name): stats[name].sel(stage=stage).to_numpy() for name in stats}
            for stage in spec.stages
        },
        diagnostics=_read_diagnostics(attrs["diagnostics"]),
        attrs=json.loads(attrs["fit"]),
    )


def _attributes(data: PosteriorData) -> dict[str, Any]:
    """What is not an array, as text."""
    fit = dict(data.attrs)
    return {
        "spec": data.spec.dumps(),
        "spec_hash": data.spec.hash,
        "hardware": json.dumps(
            {key: gpu.model_dump(mode="json") for key, gpu in data.hardware.items()}
        ),
        "groups": json.dumps(data.groups),
        "families": json.dumps(dict(data.families)),
        "diagnostics": json.dumps([asdict(stage) for stage in data.diagnostics.stages]),
        "converged": int(data.diagnostics.converged),
        "caveats": json.dumps(data.caveats),
        "fit": json.dumps(fit),
        **{name: fit[name] for name in ("engine", "seed", "rows", "fingerprint") if name in fit},
    }


def _posterior(data: PosteriorData) -> xr.Dataset:
    """Draws of every effect, coefficient, offset, scale and noise."""
    parts = data.stages
    problem = next(iter(parts.values())).problem
    tree, layout = problem.tree, problem.layout
    effects = _chained(data, np.concatenate([p.effects for p in parts.values()], axis=2))
    gpus = tree.gpus
    variables: Variables = {
        "shared_effect": ((*_DRAWN, "feature"), effects[:, :, -1]),
        "gpu_effect": ((*_DRAWN, "gpu", "feature"), effects[:, :, gpus]),
    }
    above_and_below = {"family": tree.nodes(Level.FAMILY), "stack": tree.nodes(Level.STACK)}
    for level, nodes in above_and_below.items():
        if len(nodes):
            variables[f"{level}_effect"] = ((*_DRAWN, level, "feature"), effects[:, :, nodes])
    log = np.concatenate(
        [p.shared_efficiency + p.effects[:, gpus, : p.terms] for p in parts.values()], axis=2
    )
    shared = np.concatenate([p.effects[:, [-1], : p.terms] for p in parts.values()], axis=2)
    of_gpu = np.concatenate([p.effects[:, gpus, : p.terms] for p in parts.values()], axis=2)
    variables["coefficient"] = ((*_DRAWN, "gpu", "term"), _chained(data, np.exp(log)))
    variables["offset"] = ((*_DRAWN, "gpu", "term"), _chained(data, of_gpu - shared))
    variables |= _named_scales(data)
    labels = {
        "feature": [f"{s}/{name}" for s, p in parts.items() for name in p.problem.features.names],
        "term": [f"{s}/{name}" for s in parts for name in data.spec.stages[s].physics],
        "kind": [f"{s}/{kind}" for s, p in parts.items() for kind in p.problem.layout.offset_names],
        "shared_kind": [
            f"{s}/{kind}" for s, p in parts.items() for kind in p.problem.layout.shared_names
        ],
        "gpu": [tree.names[node] for node in gpus],
        **{level: [tree.names[node] for node in at] for level, at in above_and_below.items()},
        "stage": list(parts),
        "group": list(layout.groups),
    }
    return _dataset(data, variables, labels)


def _named_scales(data: PosteriorData) -> Variables:
    """Scales as positive numbers and shares."""
    named = [p.problem.layout.name_draws(_chained(data, p.scales)) for p in data.stages.values()]
    variables: Variables = {}
    for name, dim in (("offset_scale", "kind"), ("shared_scale", "shared_kind")):
        joined = np.concatenate([each[name] for each in named], axis=2)
        if joined.shape[2]:
            variables[name] = ((*_DRAWN, dim), joined)
    for name in ("family_share", "stack_ratio", "noise", "noise_ratio"):
        if name in named[0]:
            dims = (*_DRAWN, "stage", *(["group"] if name == "noise_ratio" else []))
            variables[name] = (dims, np.stack([each[name] for each in named], axis=2))
    return variables


def _unconstrained(data: PosteriorData) -> xr.Dataset:
    """Logs and logits of the scales, as they were sampled."""
    parts = data.stages
    scales = _chained(data, np.concatenate([part.scales for part in parts.values()], axis=1))
    labels = [f"{s}/{name}" for s, part in parts.items() for name in part.problem.layout.names]
    return _dataset(data, {"scales": ((*_DRAWN, "scale"), scales)}, {"scale": labels})


def _sample_stats(data: PosteriorData) -> xr.Dataset:
    """What the engine said of each draw in each stage."""
    per_stage = list(data.statistics.values())
    variables: Variables = {
        name: ((*_DRAWN, "stage"), np.stack([each[name] for each in per_stage], axis=2))
        for name in per_stage[0]
    }
    return _dataset(data, variables, {"stage": list(data.statistics)})


def _stage(data: PosteriorData, part: StagePosterior) -> xr.Dataset:
    """Sufficient statistics of a stage, and what it was linearised round."""
    basis, statistics = part.basis, part.problem.statistics
    variables: Variables = {
        "gram": (("group", "feature", "other_feature"), statistics.gram),
        "moment": (("group", "feature"), statistics.moment),
        "square": (("group",), statistics.square),
        "rows": (("group",), statistics.rows),
        "shared_efficiency": (("term",), part.shared_efficiency),
        "departure": (("gpu", "term"), part.departure),
        "projection": (("gpu", "term", "column"), part.projection),
        "low": (("coordinate",), basis.low),
        "high": (("coordinate",), basis.high),
    }
    names = part.problem.features.names
    labels = {
        "feature": list(names),
        "term": list(names[: part.terms]),
        "gpu": list(data.gpus),
        "group": list(part.problem.layout.groups),
        "column": list(basis.names),
        "coordinate": [*basis.features, *basis.watched],
    }
    attrs = {
        "basis": json.dumps(
            {name: getattr(basis, name) for name in ("features", "degree", "watched", "tasks")}
        ),
        "noise_dof": float(part.noise_dof),
    }
    # NetCDF has no arrays without elements.
    held = {name: pair for name, pair in variables.items() if pair[1].size}
    return _labelled(held, labels).assign_attrs(attrs)


def _read_stage(
    stored: xr.Dataset,
    spec: Spec,
    stage: str,
    groups: tuple[tuple[str, str], ...],
    tree: GroupTree,
) -> Any:
    """Return a function that makes a stage's posterior from its scales and effects."""
    text = json.loads(stored.attrs["basis"])
    basis = ResidualBasis(
        features=tuple(text["features"]),
        low=_array(stored, "low", 0),
        high=_array(stored, "high", 0),
        degree=text["degree"],
        watched=tuple(text["watched"]),
        tasks=tuple(text["tasks"]),
    )
    problem = StageProblem(
        statistics=Statistics(
            *(stored[name].to_numpy() for name in ("gram", "moment", "square", "rows"))
        ),
        tree=tree,
        features=stage_features(spec, stage, basis),
        layout=stage_scales(spec, stage, basis, groups, tree),
    )
    departure = stored["departure"].to_numpy()

    def join(scales: NDArray[np.float64], effects: NDArray[np.float64]) -> StagePosterior:
        return StagePosterior(
            problem=problem,
            basis=basis,
            shared_efficiency=stored["shared_efficiency"].to_numpy(),
            departure=departure,
            projection=_array(stored, "projection", (*departure.shape, 0)),
            noise_dof=float(stored.attrs["noise_dof"]),
            scales=scales,
            effects=effects,
        )

    return join


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


def _reference(stored: xr.Dataset) -> pd.DataFrame:
    """Rebuild the knob grid."""
    return pd.DataFrame({str(name): stored[name].to_numpy() for name in stored})


def _read_diagnostics(text: str) -> Diagnostics:
    """Rebuild the verdict."""
    stages: list[dict[str, Any]] = json.loads(text)
    for stage in stages:
        stage |= {name: tuple(value) for name, value in stage.items() if isinstance(value, list)}
    return Diagnostics(tuple(StageDiagnostics(**stage) for stage in stages))


def _chained(data: PosteriorData, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Split the first dimension into chain and draw."""
    return draws.reshape(data.chains, -1, *draws.shape[1:])


def _dataset(
    data: PosteriorData, variables: Variables, labels: Mapping[str, list[str]]
) -> xr.Dataset:
    """Name dimensions, with chain and draw counted from 0."""
    draws = len(next(iter(data.stages.values())).scales) // data.chains
    counted = {"chain": np.arange(data.chains), "draw": np.arange(draws)}
    return _labelled(variables, labels).assign_coords(counted)


def _labelled(variables: Variables, labels: Mapping[str, list[str]]) -> xr.Dataset:
    """Label the dimensions that some variable has."""
    used = {dim for dims, _ in variables.values() for dim in dims}
    coords = {dim: np.array(names, dtype=object) for dim, names in labels.items() if dim in used}
    return xr.Dataset(variables, coords=coords)


def _plain(column: pd.Series) -> NDArray[Any]:
    """Numbers as they are, anything else as text."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()
    return column.astype(object).to_numpy()


def _array(stored: xr.Dataset, name: str, shape: int | tuple[int, ...]) -> NDArray[np.float64]:
    """Return a variable; one without elements was not stored."""
    return stored[name].to_numpy() if name in stored else np.empty(shape)
