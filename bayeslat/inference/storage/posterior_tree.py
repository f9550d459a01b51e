"""A posterior as a tree of labelled arrays: what the posterior file holds, and ArviZ takes.

Groups: `posterior` (draws by name), `unconstrained` (scales as they were sampled), `sample_stats`,
`stages/<stage>` (statistics and linearisation points, what tells its fitted latencies from others,
and its `hurdle`, if it has one),
`reference` (the knob grid) and `targets/<number>` (GPUs that were calibrated, with their rows),
`windows` (statistics of the rows that came together, if they were fitted so), `noise`
where stages of a run are noisy together, and `gross_errors` (rows of donors that were set aside).
The tree of GPUs, the features and the priors follow from the specification and are built anew.

Stages are sampled one by one, so `sample_stats` has the dimension stage: what ArviZ draws of a
single sampler, such as its energy, takes `tree.sel(stage=...)`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import xarray as xr

from bayeslat.features.gpu import Gpu
from bayeslat.features.spec import Spec
from bayeslat.inference.engines.diagnostics import Diagnostics, StageDiagnostics
from bayeslat.inference.posteriors.caveats import caveats_of
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.storage.labelled import label, read_table, table_group
from bayeslat.inference.storage.tree_draws import draw_groups, read_draws, read_statistics
from bayeslat.inference.storage.tree_hurdle import hurdle_group
from bayeslat.inference.storage.tree_set_aside import read_set_aside, set_aside_group
from bayeslat.inference.storage.tree_stage import read_stage, stage_group
from bayeslat.inference.storage.tree_sums import read_windows, window_groups
from bayeslat.inference.storage.tree_targets import read_targets, target_groups
from bayeslat.model.groups import grow_tree

__all__ = ["from_tree", "to_tree"]

_INT64 = 2**63
_DESCRIPTIONS = {"correlation": "of the stages' noise in one run, as a Gaussian copula"}


def to_tree(data: PosteriorData) -> xr.DataTree:
    """Lay a posterior out by name and dimension.

    Parameters
    ----------
    data : PosteriorData

    Returns
    -------
    DataTree
        Its groups are described at the top of this module.
    """
    groups = {"/": xr.Dataset(attrs=_attributes(data)), **draw_groups(data)}
    groups["reference"] = table_group(data.reference, "config")
    for stage, part in data.stages.items():
        groups[f"stages/{stage}"] = stage_group(part, data.gpus)
        if stage in data.fitted_latencies:
            known = ("fitted_row", data.fitted_latencies[stage])
            groups[f"stages/{stage}"]["fitted_latencies"] = known
        if part.hurdle is not None:
            labels = part.problem.layout.groups
            groups[f"stages/{stage}/hurdle"] = hurdle_group(part.hurdle, data.spec, stage, labels)
    groups |= target_groups(data)
    names = {stage: part.problem.features.names for stage, part in data.stages.items()}
    labels = next(iter(data.stages.values())).problem.layout.groups
    groups |= window_groups(data.windows, names, labels)
    if data.noise_correlation is not None:
        pair = (("stage", "other_stage"), data.noise_correlation)
        groups["noise"] = label({"correlation": pair}, {"stage": list(data.stages)}, _DESCRIPTIONS)
    if data.set_aside:
        groups["gross_errors"] = set_aside_group(data.set_aside)
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
    KeyError, ValueError, TypeError, SpecError
        If something is missing or does not fit.
    """
    attrs = tree.attrs
    spec = Spec.loads(attrs["spec"])
    groups = tuple((gpu, stack) for gpu, stack in json.loads(attrs["groups"]))
    reference = read_table(tree["reference"].dataset, [*spec.knobs, "task"])
    targets = read_targets(tree, spec, reference)
    names = [*(stack for _, stack in (*groups, *targets)), *reference.get("task", ())]
    if spaced := [name for name in names if name != name.strip()]:
        raise ValueError(f"{spaced[0]!r} has spaces around it, which names of rows lose")
    families = json.loads(attrs["families"])
    group_tree = grow_tree(groups, families)
    drawn = read_draws(tree, spec.stages)
    return PosteriorData(
        spec=spec,
        hardware={key: Gpu(**entry) for key, entry in json.loads(attrs["hardware"]).items()},
        groups=groups,
        families=families,
        reference=reference,
        stages={
            stage: read_stage(
                tree["stages"].children[stage], spec, stage, groups, group_tree, drawn[stage]
            )
            for stage in spec.stages
        },
        chains=int(tree["posterior"].sizes["chain"]),
        statistics=read_statistics(tree, spec.stages),
        diagnostics=_read_diagnostics(attrs["diagnostics"]),
        attrs=json.loads(attrs["fit"]),
        targets=targets,
        windows=read_windows(tree, list(spec.stages)),
        noise_correlation=(
            tree["noise"].dataset["correlation"].to_numpy() if "noise" in tree.children else None
        ),
        set_aside=(
            read_set_aside(tree["gross_errors"].dataset) if "gross_errors" in tree.children else ()
        ),
        fitted_latencies={
            stage: node.dataset["fitted_latencies"].to_numpy()
            for stage, node in tree["stages"].children.items()
            if "fitted_latencies" in node.dataset
        },
    )


def _attributes(data: PosteriorData) -> dict[str, Any]:
    """What is not an array, as text; `fit` holds all that the fit noted, the rest is for people."""
    fit = dict(data.attrs)
    noted = {name: fit[name] for name in ("engine", "seed", "rows", "fingerprint") if name in fit}
    return {
        "spec": data.spec.dumps(),
        "spec_hash": data.spec.hash,
        "hardware": json.dumps(
            {key: gpu.model_dump(mode="json") for key, gpu in data.hardware.items()}
        ),
        "groups": json.dumps(data.groups),
        "families": json.dumps(dict(data.families)),
        "diagnostics": _diagnostics_text(data.diagnostics),
        "converged": int(data.diagnostics.converged),
        "caveats": json.dumps(caveats_of(data)),
        "library_versions": json.dumps(fit.get("versions", {})),
        "fit": json.dumps(fit),
        **{name: _storable(value) for name, value in noted.items()},
    }


def _storable(value: Any) -> Any:
    """Numbers beyond 64 bits, which seeds may have, as text."""
    return str(value) if isinstance(value, int) and abs(value) >= _INT64 else value


def _diagnostics_text(diagnostics: Diagnostics) -> str:
    """Write the verdict down as strict JSON, which has no NaN."""
    stages = [
        {
            "stage": stage.stage,
            "rhat": [_number(stage.rhat[0]), stage.rhat[1]],
            "ess_bulk": [_number(stage.ess_bulk[0]), stage.ess_bulk[1]],
            "ess_tail": [_number(stage.ess_tail[0]), stage.ess_tail[1]],
            "divergences": stage.divergences,
            "bfmi": _number(stage.bfmi),
            "pareto_k": _number(stage.pareto_k),
        }
        for stage in diagnostics.stages
    ]
    return json.dumps(stages, allow_nan=False)


def _number(value: float) -> float | str:
    """Return a number; what JSON lacks becomes text that `float` reads."""
    return value if math.isfinite(value) else str(value)


def _read_diagnostics(text: str) -> Diagnostics:
    """Rebuild the verdict."""
    return Diagnostics(
        tuple(
            StageDiagnostics(
                stage=stage["stage"],
                rhat=_worst(stage["rhat"]),
                ess_bulk=_worst(stage["ess_bulk"]),
                ess_tail=_worst(stage["ess_tail"]),
                divergences=stage["divergences"],
                bfmi=float(stage["bfmi"]),
                pareto_k=float(stage["pareto_k"]),
            )
            for stage in json.loads(text)
        )
    )


def _worst(pair: Sequence[Any]) -> tuple[float, str]:
    """Rebuild a worst value and where it is."""
    value, parameter = pair
    return float(value), parameter
