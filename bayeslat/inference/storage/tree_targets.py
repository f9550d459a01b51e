"""Calibrated GPUs in a posterior's tree: their rows, draws and linearisation points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayeslat.features.spec import Spec
from bayeslat.inference.hurdles.hurdle import GroupHurdle
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.target import ORIGIN, Target, TargetStage
from bayeslat.inference.posteriors.walk import Trail, Walk
from bayeslat.inference.storage.labelled import Variables, label, read_table, table_group

__all__ = ["read_targets", "target_groups"]

_DESCRIPTIONS: Mapping[str, str] = {
    "effect": "effect on log latency, per unit of the feature, given the GPU's rows",
    "noise_sd": "scale of the Student-t noise of one run in log latency",
    "departure": "log slowdown less the shared one, where the physics was linearised",
    "projection": "what makes the residual columns orthogonal to the shares",
    "set_aside": "rows that the others make impossible, on which no draw stands; 0 is the first",
    "set_aside_ratio": "their latency over what the other rows say it is",
    "walk": "what log latency gains beyond the training range, by stretches of the way",
    "walk_direction": "position of the coordinate in which the range is left",
    "walk_sign": "1 above the range, -1 below it",
    "walk_start": "of the stretch, in half widths of the range",
    "walk_end": "of the stretch; infinite for a line",
    "reached": "how far beyond the training range the GPU's rows lie, in half widths of it",
    "hurdle_below_ms": "quantiles of the latency below the hurdle, equally likely parts",
    "hurdle_effect": "effect on the logit of P(latency above the hurdle), constant first",
}


def target_groups(data: PosteriorData) -> dict[str, xr.Dataset]:
    """Lay the calibrated GPUs out.

    Parameters
    ----------
    data : PosteriorData

    Returns
    -------
    dict
        For each, by its number: `rows`, their `origin`, and a group a stage. A target's draws are
        no chains of a sampler, so their dimension has a name of its own.
    """
    groups: dict[str, xr.Dataset] = {}
    for number, ((gpu, stack), target) in enumerate(data.targets.items()):
        top = f"targets/{number}"
        groups[top] = xr.Dataset(attrs={"gpu": gpu, "stack": stack})
        groups[f"{top}/rows"] = table_group(target.rows, "row")
        groups[f"{top}/origin"] = table_group(target.origin, "measurement")
        for stage, part in target.stages.items():
            features = data.stages[stage].problem.features.names
            groups[f"{top}/stages/{stage}"] = _stage_group(part, features)
    return groups


def read_targets(
    tree: xr.DataTree, spec: Spec, reference: pd.DataFrame
) -> dict[tuple[str, str], Target]:
    """Rebuild the calibrated GPUs.

    Parameters
    ----------
    tree : DataTree
    spec : Spec
    reference : DataFrame, one row a config
        The knob grid: its columns are those of the targets' rows, beside the latencies.

    Returns
    -------
    dict of (gpu, stack) to Target

    Raises
    ------
    KeyError, ValueError
        If something is missing or does not fit.
    """
    if "targets" not in tree.children:
        return {}
    stored = tree["targets"].children
    columns = [*map(str, reference), *spec.latency_columns]
    found = {}
    for number in range(len(stored)):
        node = stored[str(number)]
        stages = {stage: _read_stage(node[f"stages/{stage}"].dataset) for stage in spec.stages}
        rows = _read_rows(node["rows"].dataset, columns)
        origin = _read_rows(node["origin"].dataset, ORIGIN)
        group = (str(node.attrs["gpu"]), str(node.attrs["stack"]))
        found[group] = Target(rows, origin, stages)
    return found


def _read_rows(stored: xr.Dataset, columns: Sequence[str]) -> pd.DataFrame:
    """Rebuild a table; one without rows, of which nothing was stored, has its columns."""
    table = read_table(stored, columns)
    return table if len(table) else table.reindex(columns=list(columns))


def _stage_group(part: TargetStage, features: tuple[str, ...]) -> xr.Dataset:
    """Lay one stage out."""
    variables: Variables = {
        "effect": (("sample", "feature"), part.effects),
        "noise_sd": (("sample",), part.noise_sd),
        "departure": (("term",), part.departure),
        "projection": (("term", "column"), part.projection),
        "set_aside": (("gross",), part.set_aside),
        "set_aside_ratio": (("gross",), part.set_aside_ratio),
    }
    if part.hurdle is not None:
        variables["hurdle_effect"] = (("sample", "hurdle_column"), part.hurdle.effects)
        variables["hurdle_below_ms"] = (("quantile",), part.hurdle.below_ms)
    if part.walk is not None:
        variables["walk"] = (("sample", "stretch"), part.walk.steps)
        variables["reached"] = (("place", "side"), part.walk.reached)
        for field in fields(Trail):
            values = getattr(part.walk.trail, field.name)
            variables[f"walk_{field.name}"] = (("stretch",), values)
    terms = len(part.departure)
    labels = {"feature": features, "term": features[:terms], "column": features[terms:]}
    attrs = {"measured": part.measured, "effective_draws": part.effective_draws}
    if part.hurdle is not None:
        attrs["hurdle_below_rows"] = part.hurdle.below_rows
    # NetCDF has no arrays without elements.
    held = {name: pair for name, pair in variables.items() if pair[1].size}
    return label(held, labels, _DESCRIPTIONS).assign_attrs(attrs)


def _read_stage(stored: xr.Dataset) -> TargetStage:
    """Rebuild one stage."""
    departure = stored["departure"].to_numpy()
    empty = np.empty((len(departure), 0))
    return TargetStage(
        departure=departure,
        projection=stored["projection"].to_numpy() if "projection" in stored else empty,
        effects=stored["effect"].to_numpy(),
        noise_sd=stored["noise_sd"].to_numpy(),
        measured=int(stored.attrs["measured"]),
        effective_draws=float(stored.attrs["effective_draws"]),
        set_aside=_gross(stored, "set_aside", np.int64),
        set_aside_ratio=_gross(stored, "set_aside_ratio", np.float64),
        hurdle=_read_hurdle(stored) if "hurdle_effect" in stored else None,
        walk=_read_walk(stored) if "walk" in stored else None,
    )


def _gross(stored: xr.Dataset, name: str, kind: type[np.generic]) -> NDArray[Any]:
    """Return what is known of the rows that were set aside; without any, nothing was stored."""
    return stored[name].to_numpy() if name in stored else np.empty(0, dtype=kind)


def _read_walk(stored: xr.Dataset) -> Walk:
    """Rebuild what is known of a stage beyond the training range."""
    trail = Trail(*(stored[f"walk_{field.name}"].to_numpy() for field in fields(Trail)))
    return Walk(trail, stored["walk"].to_numpy(), stored["reached"].to_numpy())


def _read_hurdle(stored: xr.Dataset) -> GroupHurdle:
    """Rebuild a stage's hurdle."""
    return GroupHurdle(
        effects=stored["hurdle_effect"].to_numpy(),
        below_ms=stored["hurdle_below_ms"].to_numpy(),
        below_rows=float(stored.attrs["hurdle_below_rows"]),
    )
