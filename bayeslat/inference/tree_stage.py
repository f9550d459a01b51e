"""A stage in a posterior's tree: its sufficient statistics, and what it was linearised round."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeslat.features.noise_shape import NoiseShape
from bayeslat.features.residual import ResidualBasis
from bayeslat.features.spec import Spec
from bayeslat.inference.labelled import Variables, label
from bayeslat.inference.posterior import StagePosterior
from bayeslat.inference.tree_draws import Drawn
from bayeslat.inference.tree_hurdle import read_hurdle
from bayeslat.model.groups import GroupTree
from bayeslat.model.priors import stage_features, stage_scales
from bayeslat.model.problem import StageProblem
from bayeslat.model.statistics import Statistics

__all__ = ["read_stage", "stage_group"]

_DESCRIPTIONS: Mapping[str, str] = {
    "gram": "Z'Z: cross products of the design, which with moment, square and rows replace rows",
    "moment": "Z'y",
    "square": "y'y",
    "rows": "number of rows, of which repeats count for less than one",
    "measured": "number of rows",
    "noise_slope": "log noise of a run per unit of the noise columns",
    "noise_centre": "mean of the noise columns (features on [-1, 1], then squares)",
    "shared_efficiency": "theta0: log of the shared slowdown against the data sheet",
    "departure": "each GPU's own log slowdown less the shared one, where it was linearised",
    "projection": "what makes each GPU's residual columns orthogonal to its shares",
    "low": "lower end of the training range",
    "high": "upper end of the training range",
}


def stage_group(part: StagePosterior, gpus: Sequence[str]) -> xr.Dataset:
    """Lay out what a stage knows besides its draws.

    Parameters
    ----------
    part : StagePosterior
    gpus : sequence of str
        The fitted GPUs, in order.

    Returns
    -------
    Dataset
    """
    basis, statistics = part.basis, part.problem.statistics
    variables: Variables = {
        "gram": (("group", "feature", "other_feature"), statistics.gram),
        "moment": (("group", "feature"), statistics.moment),
        "square": (("group",), statistics.square),
        "rows": (("group",), statistics.rows),
        "measured": (("group",), np.array(part.measured)),
        "noise_slope": (("noise_column",), part.noise_shape.slopes),
        "noise_centre": (("noise_column",), part.noise_shape.centre),
        "shared_efficiency": (("term",), part.shared_efficiency),
        "departure": (("gpu", "term"), part.departure),
        "projection": (("gpu", "term", "column"), part.projection),
        "low": (("coordinate",), basis.low),
        "high": (("coordinate",), basis.high),
    }
    names = part.problem.features.names
    labels = {
        "feature": names,
        "term": names[: part.terms],
        "gpu": gpus,
        "group": part.problem.layout.groups,
        "column": basis.names,
        "coordinate": (*basis.features, *basis.watched),
    }
    attrs = {
        "basis": json.dumps(
            {name: getattr(basis, name) for name in ("features", "degree", "watched", "tasks")}
        ),
        "noise_dof": float(part.noise_dof),
    }
    # NetCDF has no arrays without elements.
    held = {name: pair for name, pair in variables.items() if pair[1].size}
    return label(held, labels, _DESCRIPTIONS).assign_attrs(attrs)


def read_stage(
    node: xr.DataTree,
    spec: Spec,
    stage: str,
    groups: Sequence[tuple[str, str]],
    tree: GroupTree,
    drawn: Drawn,
) -> StagePosterior:
    """Rebuild a stage; its features and priors follow from the specification.

    Parameters
    ----------
    node : DataTree
        Holds what `stage_group` made, and the hurdle below it.
    spec : Spec
    stage : str
    groups : sequence of (gpu, stack)
    tree : GroupTree
    drawn : Drawn

    Returns
    -------
    StagePosterior

    Raises
    ------
    KeyError, ValueError
        If something is missing or does not fit.
    """
    stored = node.dataset
    basis = _read_basis(stored)
    problem = StageProblem(
        statistics=Statistics(
            *(stored[name].to_numpy() for name in ("gram", "moment", "square", "rows"))
        ),
        tree=tree,
        features=stage_features(spec, stage, basis),
        layout=stage_scales(spec, stage, basis, groups, tree),
    )
    departure = stored["departure"].to_numpy()
    return StagePosterior(
        problem=problem,
        basis=basis,
        shared_efficiency=stored["shared_efficiency"].to_numpy(),
        departure=departure,
        projection=_array(stored, "projection", (*departure.shape, 0)),
        noise_shape=NoiseShape(
            _array(stored, "noise_slope", (0,)), _array(stored, "noise_centre", (0,))
        ),
        noise_dof=float(stored.attrs["noise_dof"]),
        measured=tuple(stored["measured"].to_numpy().tolist()),
        scales=drawn.scales,
        effects=drawn.effects,
        hurdle=read_hurdle(node["hurdle"].dataset) if "hurdle" in node.children else None,
    )


def _read_basis(stored: xr.Dataset) -> ResidualBasis:
    """Rebuild the residual basis, with the training ranges."""
    text = json.loads(stored.attrs["basis"])
    return ResidualBasis(
        features=tuple(text["features"]),
        low=_array(stored, "low", (0,)),
        high=_array(stored, "high", (0,)),
        degree=text["degree"],
        watched=tuple(text["watched"]),
        tasks=tuple(text["tasks"]),
    )


def _array(stored: xr.Dataset, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a variable; one without elements was not stored."""
    return stored[name].to_numpy() if name in stored else np.empty(shape)
