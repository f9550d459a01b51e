"""Results as short tables for people, and as records for machines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from bayeslat.inference.posterior import PosteriorData

if TYPE_CHECKING:
    from bayeslat.evaluation.checks import PosteriorCheck

__all__ = [
    "check_record",
    "fit_record",
    "prediction_record",
    "show_check",
    "show_fit",
    "show_prediction",
]

_PIPE_WIDTH = 160
_MOST_GPUS = 8  # columns of the coefficient table


def fit_record(data: PosteriorData, path: Path | None) -> dict[str, Any]:
    """What a fit found.

    Parameters
    ----------
    data : PosteriorData
    path : Path or None
        Where it was saved.

    Returns
    -------
    dict
        For JSON: the verdict, and per stage the diagnostics, the noise and the coefficients.
    """
    return {
        "posterior": path,
        "spec": data.spec.name,
        "gpus": list(data.gpus),
        "rows": data.attrs["rows"],
        **_convergence(data),
        "caveats": list(data.caveats),
        "coefficients": coefficients(data),
    }


def coefficients(data: PosteriorData) -> dict[str, dict[str, dict[str, float]]]:
    """Posterior median of how many times slower than its data sheet each GPU does each term.

    Returns
    -------
    dict
        By stage, term and GPU.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for stage, part in data.stages.items():
        nodes = [part.problem.tree.index(gpu) for gpu in data.gpus]
        log = part.shared_efficiency + part.effects[:, nodes, : part.terms]
        median = np.exp(np.median(log, axis=0))  # shape: (gpu, term)
        found[stage] = {
            term: {gpu: float(median[g, k]) for g, gpu in enumerate(data.gpus)}
            for k, term in enumerate(data.spec.stages[stage].physics)
        }
    return found


def show_fit(data: PosteriorData, record: dict[str, Any]) -> None:
    """Print convergence, coefficients and what the fit cannot know."""
    console = _console()
    _show_convergence(console, record["stages"])
    gpus = data.gpus[:_MOST_GPUS]
    table = _table(["stage", "term", *gpus], "Times slower than the data sheet (posterior median)")
    for stage, terms in record["coefficients"].items():
        for term, values in terms.items():
            table.add_row(stage, term, *(f"{values[gpu]:.2f}" for gpu in gpus))
        table.add_section()
    console.print(table)
    if len(data.gpus) > len(gpus):
        console.print(f"and {len(data.gpus) - len(gpus)} more GPUs")
    for caveat in record["caveats"]:
        console.print(f"Note: {caveat}")
    if record["posterior"]:
        console.print(f"Saved in {record['posterior']}")


def check_record(data: PosteriorData, found: PosteriorCheck) -> dict[str, Any]:
    """What a check found, for JSON."""
    rows = [] if found.frame is None else found.frame.to_dict("records")
    return {**_convergence(data), "predictions": rows, "findings": list(found.findings)}


def show_check(data: PosteriorData, found: PosteriorCheck) -> None:
    """Print convergence, predictions against measurements, and findings."""
    console = _console()
    _show_convergence(console, _convergence(data)["stages"])
    for problem in data.diagnostics.problems:
        console.print(f"Not converged: {problem}")
    if found.frame is None or found.frame.empty:
        return
    table = _table(
        ["gpu", "stage", "rows", "MAPE %", "bias %", "50 % covers", "90 % covers", "extrapolates"],
        "Predictions against measurements",
    )
    for gpu, rows in found.frame.groupby("gpu", sort=False):
        for row in rows.to_dict("records"):
            name = f"{gpu} (zero-shot)" if row["zero_shot"] else str(gpu)
            table.add_row(
                name,
                row["stage"],
                str(row["rows"]),
                *(
                    f"{100 * row[key]:.1f}"
                    for key in ("mape", "bias", "coverage_50", "coverage_90")
                ),
                f"{row['extrapolates']:.0%}",
            )
        table.add_section()
    console.print(table)
    for finding in found.findings:
        console.print(f"Finding: {finding}")


def prediction_record(
    data: PosteriorData, frame: pd.DataFrame, gpu: str, path: Path
) -> dict[str, Any]:
    """What was predicted, in short.

    Parameters
    ----------
    data : PosteriorData
    frame : DataFrame, one row a config
        Of the prediction, with p_exceed if a budget was given.
    gpu : str
    path : Path

    Returns
    -------
    dict
        For JSON: per stage the smallest, middle and largest point, and the middle width of the
        90 % interval over the median.
    """
    stages = {}
    for stage in (*data.spec.stages, "total"):
        point, low, high, middle = (
            frame[f"{stage}_{name}_ms"] for name in ("point", "q05", "q95", "q50")
        )
        stages[stage] = {
            "least_ms": float(point.min()),
            "median_ms": float(point.median()),
            "most_ms": float(point.max()),
            "width_90": float(((high - low) / middle).median()),
        }
    record: dict[str, Any] = {
        "predictions": path,
        "gpu": gpu,
        "configs": len(frame),
        "zero_shot": bool(frame["zero_shot"].any()),
        "extrapolates": int(frame["extrapolates"].sum()),
        "stages": stages,
    }
    if "p_exceed" in frame:
        record["mean_p_exceed"] = float(frame["p_exceed"].mean())
    return record


def show_prediction(record: dict[str, Any]) -> None:
    """Print the range of the predictions and what to be wary of."""
    console = _console()
    title = f"{record['configs']} configs on {record['gpu']}"
    table = _table(["stage", "least, ms", "median, ms", "most, ms", "90 % width"], title)
    for stage, row in record["stages"].items():
        values = (f"{row[name]:,.3g}" for name in ("least_ms", "median_ms", "most_ms"))
        table.add_row(stage, *values, f"{row['width_90']:.0%}")
    console.print(table)
    if record["zero_shot"]:
        console.print("Zero-shot: from the data sheet alone; a few measurements narrow it a lot.")
    if record["extrapolates"]:
        console.print(
            f"{record['extrapolates']} of {record['configs']} leave the range of the fit: see the "
            "columns extrapolates and extrapolates_in."
        )
    if "mean_p_exceed" in record:
        console.print(f"p_exceed is {record['mean_p_exceed']:.3f} on average.")
    console.print(f"Saved in {record['predictions']}")


def _convergence(data: PosteriorData) -> dict[str, Any]:
    """The verdict, and each stage's worst diagnostics."""
    stages = {}
    for verdict in data.diagnostics.stages:
        part = data.stages[verdict.stage]
        stages[verdict.stage] = {
            "rows": int(part.problem.statistics.rows.sum()),
            "rhat": verdict.rhat[0],
            "ess_bulk": verdict.ess_bulk[0],
            "ess_tail": verdict.ess_tail[0],
            "divergences": verdict.divergences,
            "pareto_k": verdict.pareto_k,
            "noise": float(np.median(part.noise_sd())),
            "noise_dof": part.noise_dof,
        }
    return {
        "engine": data.attrs["engine"],
        "converged": data.diagnostics.converged,
        "problems": list(data.diagnostics.problems),
        "stages": stages,
    }


def _show_convergence(console: Console, stages: dict[str, dict[str, Any]]) -> None:
    """Print a row a stage: how well it converged, and how noisy its rows are."""
    sampled = np.isnan([row["pareto_k"] for row in stages.values()]).all()
    heads = ["R-hat", "bulk ESS", "tail ESS", "divergences"] if sampled else ["Pareto k"]
    table = _table(["stage", "rows", *heads, "noise %", "t dof"], "Convergence, worst parameter")
    for stage, row in stages.items():
        numbers = (
            [
                f"{row['rhat']:.3f}",
                *(f"{row[name]:.0f}" for name in ("ess_bulk", "ess_tail", "divergences")),
            ]
            if sampled
            else [f"{row['pareto_k']:.2f}"]
        )
        dof = "normal" if np.isinf(row["noise_dof"]) else f"{row['noise_dof']:.0f}"
        table.add_row(stage, str(row["rows"]), *numbers, f"{100 * row['noise']:.1f}", dof)
    console.print(table)


class _Output(Console):
    """Standard output; that a reader left early is told to the caller."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _console() -> Console:
    """A pipe gets wide lines and no colour."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return _Output(width=width, highlight=False, markup=False, emoji=False)


def _table(heads: list[str], title: str) -> Table:
    """A table with numbers to the right."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(head, justify="left" if head in ("gpu", "stage", "term") else "right")
    return table
