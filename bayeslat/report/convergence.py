"""Whether a fit converged: the record, and the table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console

from bayeslat.counted import counted
from bayeslat.inference.engines.diagnostics import MAX_PARETO_K, MAX_RHAT, MIN_ESS
from bayeslat.inference.posteriors.caveats import caveats_of
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.report.tables import flag, format_percent, make_table, print_line, print_table

__all__ = ["convergence_record", "show_convergence", "show_verdict"]


def convergence_record(data: PosteriorData) -> dict[str, Any]:
    """What was fitted, and how well the draws did.

    Parameters
    ----------
    data : PosteriorData

    Returns
    -------
    dict
        For JSON: spec, GPUs, rows, `sources` (kinds of traces: measured, composed, simulated,
        unknown), engine and seed; the verdict; per stage the worst diagnostics with
        their parameters, and the noise of a run (`noise`: scale of the log latency; `noise_dof`:
        degrees of freedom of its Student-t, none if it is normal).
    """
    stages = {}
    for verdict in data.diagnostics.stages:
        part = data.stages[verdict.stage]
        stages[verdict.stage] = {
            "rows": sum(part.measured),
            "rhat": verdict.rhat[0],
            "rhat_parameter": verdict.rhat[1],
            "ess_bulk": verdict.ess_bulk[0],
            "ess_bulk_parameter": verdict.ess_bulk[1],
            "ess_tail": verdict.ess_tail[0],
            "ess_tail_parameter": verdict.ess_tail[1],
            "divergences": verdict.divergences,
            "bfmi": verdict.bfmi,
            "pareto_k": verdict.pareto_k,
            "noise": float(np.median(part.noise_sd())),
            "noise_dof": part.noise_dof,
        }
    return {
        "spec": data.spec.name,
        "gpus": list(data.fitted_gpus),
        "rows": data.attrs["rows"],
        "sources": list(data.sources),
        "engine": data.attrs["engine"],
        "seed": data.attrs["seed"],
        "converged": data.diagnostics.converged,
        "problems": list(data.diagnostics.problems),
        "caveats": list(caveats_of(data)),
        "stages": stages,
    }


def show_verdict(console: Console, record: Mapping[str, Any]) -> None:
    """Print in one line what was fitted, and whether it converged."""
    gpus, rows = counted(len(record["gpus"]), "GPU"), counted(record["rows"], "row")
    what = f"{record['spec']} on {gpus}, {rows}"
    good = record["converged"]
    print_line(
        console,
        f"{what}: {'converged' if good else 'not converged'} ({record['engine']})",
        style="bold green" if good else "bold red",
    )
    console.print()


def show_convergence(console: Console, stages: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a row a stage: how well it converged, and how noisy its runs are."""
    sampled = all(math.isnan(row["pareto_k"]) for row in stages.values())
    heads = ["R-hat", "bulk\nESS", "tail\nESS", "diverged"] if sampled else ["Pareto k"]
    table = make_table(["stage", "rows", *heads, "noise\n%", "noise\ndof"])
    for stage, row in stages.items():
        numbers = (
            [
                flag(_number(row["rhat"], ".3f"), row["rhat"] > MAX_RHAT),
                *(
                    flag(_number(row[name], ",.0f"), row[name] < MIN_ESS)
                    for name in ("ess_bulk", "ess_tail")
                ),
                flag(str(row["divergences"]), row["divergences"] > 0),
            ]
            if sampled
            else [flag(f"{row['pareto_k']:.2f}", row["pareto_k"] > MAX_PARETO_K)]
        )
        dof = "normal" if math.isinf(row["noise_dof"]) else f"{row['noise_dof']:.0f}"
        table.add_row(stage, f"{row['rows']:,}", *numbers, format_percent(row["noise"]), dof)
    print_table(console, "Convergence, worst parameter of each stage", table)


def _number(value: float, form: str) -> str:
    """A number, or a dash where there is none: one chain has no R-hat."""
    return "-" if math.isnan(value) else f"{value:{form}}"
