"""A settled point in a tree of labelled arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeslat.features.corners import Corners
from bayeslat.features.noise_shape import NoiseShape
from bayeslat.features.residual import ResidualBasis
from bayeslat.inference.rows.pilot import Pilots
from bayeslat.inference.rows.repeats import UNTOLD_CONFIGS, UNTOLD_SHARED
from bayeslat.inference.rows.settled import SettledStage
from bayeslat.inference.storage.labelled import Variables, label
from bayeslat.model.problem import MOST_COUNTED

__all__ = ["read_settled", "settled_group"]

_DESCRIPTIONS: Mapping[str, str] = {
    "noise_slope": "log noise of a run per unit of the noise columns",
    "noise_centre": "mean of the noise columns (features on [-1, 1], then squares)",
    "shared_efficiency": "theta0: log of the shared slowdown against the data sheet",
    "departure": "each GPU's own log slowdown less the shared one, where it was linearised",
    "projection": "what makes each GPU's residual columns orthogonal to its shares",
    "low": "lower end of the training range",
    "high": "upper end of the training range",
    "corner_pair": "positions of two features with an empty corner in their training range",
    "corner_depth": "how deep in it each cell of their range lies, in half widths",
    "pilot_effect": "of the pilot fit round which a group's outliers are calmed",
    "pilot_sd": "scale of that fit's Student-t noise, over the noise shape",
    "row_weight": "how many rows a row counts for, on average",
}


def settled_group(
    part: SettledStage, features: Sequence[str], gpus: Sequence[str], groups: Sequence[str]
) -> xr.Dataset:
    """Lay a stage's settled point out.

    Parameters
    ----------
    part : SettledStage
    features : sequence of str
        Physics terms, then residual columns.
    gpus : sequence of str
        The GPUs, in order.
    groups : sequence of str
        Labels of the groups.

    Returns
    -------
    Dataset
    """
    basis = part.basis
    variables: Variables = {
        "noise_slope": (("noise_column",), part.noise_shape.slopes),
        "noise_centre": (("noise_column",), part.noise_shape.centre),
        "shared_efficiency": (("term",), part.shared_efficiency),
        "departure": (("gpu", "term"), part.departure),
        "projection": (("gpu", "term", "column"), part.projection),
        "low": (("coordinate",), basis.low),
        "high": (("coordinate",), basis.high),
        "corner_pair": (("corner", "feature_of_pair"), basis.corners.pairs),
        "corner_depth": (("corner", "cell", "cell_of_second"), basis.corners.depth),
        "pilot_effect": (("group", "feature"), part.pilots.effect),
        "pilot_sd": (("group",), part.pilots.sd),
        "row_weight": (("group",), part.pilots.weight),
    }
    labels = {
        "feature": features,
        "term": features[: len(part.shared_efficiency)],
        "gpu": gpus,
        "group": groups,
        "column": basis.names,
        "coordinate": (*basis.features, *basis.watched),
    }
    attrs = {
        "basis": json.dumps(
            {name: getattr(basis, name) for name in ("features", "degree", "watched", "tasks")}
        ),
        "corner_margin": float(basis.corners.margin),
        "noise_dof": float(part.noise_dof),
        "noise_shared": float(part.noise_shared),
        "noise_shared_configs": float(part.noise_shared_configs),
        "most_counted": float(part.most_counted),
        "untold": json.dumps(part.untold),
        "minor": json.dumps(part.minor),
    }
    # NetCDF has no arrays without elements.
    held = {name: pair for name, pair in variables.items() if pair[1].size}
    return label(held, labels, _DESCRIPTIONS).assign_attrs(attrs)


def read_settled(stored: xr.Dataset) -> SettledStage:
    """Rebuild what `settled_group` made.

    Parameters
    ----------
    stored : Dataset

    Returns
    -------
    SettledStage

    Raises
    ------
    KeyError, ValueError
        If something is missing or does not fit.
    """
    departure = stored["departure"].to_numpy()
    return SettledStage(
        basis=_read_basis(stored),
        shared_efficiency=stored["shared_efficiency"].to_numpy(),
        departure=departure,
        projection=_array(stored, "projection", (*departure.shape, 0)),
        noise_shape=NoiseShape(
            _array(stored, "noise_slope", (0,)), _array(stored, "noise_centre", (0,))
        ),
        noise_dof=float(stored.attrs["noise_dof"]),
        pilots=Pilots(
            effect=stored["pilot_effect"].to_numpy(),
            sd=stored["pilot_sd"].to_numpy(),
            weight=stored["row_weight"].to_numpy(),
        ),
        most_counted=float(stored.attrs.get("most_counted", MOST_COUNTED)),
        noise_shared=float(stored.attrs.get("noise_shared", UNTOLD_SHARED)),
        noise_shared_configs=float(stored.attrs.get("noise_shared_configs", UNTOLD_CONFIGS)),
        untold=tuple(json.loads(stored.attrs.get("untold", "[]"))),
        minor=tuple(json.loads(stored.attrs.get("minor", "[]"))),
    )


def _read_basis(stored: xr.Dataset) -> ResidualBasis:
    """Rebuild the residual basis, with the training ranges."""
    text = json.loads(stored.attrs["basis"])
    corners = Corners(margin=float(stored.attrs.get("corner_margin", Corners.margin)))
    if "corner_pair" in stored:
        pairs, depth = (stored[name].to_numpy() for name in ("corner_pair", "corner_depth"))
        corners = replace(corners, pairs=pairs.astype(np.int64), depth=depth)
    return ResidualBasis(
        features=tuple(text["features"]),
        low=_array(stored, "low", (0,)),
        high=_array(stored, "high", (0,)),
        degree=text["degree"],
        watched=tuple(text["watched"]),
        tasks=tuple(text["tasks"]),
        corners=corners,
    )


def _array(stored: xr.Dataset, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a variable; one without elements was not stored."""
    return stored[name].to_numpy() if name in stored else np.empty(shape)
