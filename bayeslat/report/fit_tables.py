"""What a fit found: the record for machines, the tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bayeslat.evaluation.coefficients import coefficient_table
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.report.convergence import convergence_record, show_convergence, show_verdict
from bayeslat.report.gross_errors import gross_error_records
from bayeslat.report.tables import (
    GpuRow,
    format_percent,
    open_console,
    print_by_gpu,
    print_line,
)

__all__ = ["coefficients", "fit_record", "show_fit"]


def fit_record(data: PosteriorData, errors: pd.DataFrame, path: Path | None) -> dict[str, Any]:
    """What a fit found.

    Parameters
    ----------
    data : PosteriorData
    errors : DataFrame
        Of `in_sample_errors`.
    path : Path or None
        Where the posterior was saved.

    Returns
    -------
    dict
        For JSON: `convergence_record`, `posterior`, by stage and GPU the errors and
        coefficients, and the rows that were set aside (`gross_error_records`).
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in errors.to_dict("records"):
        cell = {name: row[name] for name in ("rows", "mape", "coverage_90")}
        found.setdefault(row["stage"], {})[row["gpu"]] = cell
    return {
        "posterior": path,
        **convergence_record(data),
        "in_sample": found,
        "coefficients": coefficients(data),
        "gross_errors": gross_error_records(data.set_aside),
    }


def coefficients(data: PosteriorData) -> dict[str, dict[str, dict[str, float]]]:
    """Posterior median of how many times slower than its data sheet each GPU does each term.

    Returns
    -------
    dict
        By stage, term and GPU.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in coefficient_table(data).query("fitted").to_dict("records"):
        terms = found.setdefault(row["stage"], {})
        terms.setdefault(row["term"], {})[row["gpu"]] = row["median"]
    return found


def show_fit(record: Mapping[str, Any]) -> None:
    """Print convergence, fit, coefficients and what the fit cannot know."""
    console = open_console()
    show_verdict(console, record)
    show_convergence(console, record["stages"])
    if record["in_sample"]:
        print_by_gpu(
            console,
            "Error of the fitted rows: MAPE % (% inside their 90 % intervals)",
            record["gpus"],
            _error_rows(record["in_sample"]),
        )
    print_by_gpu(
        console,
        "Times slower than the data sheet, posterior median",
        record["gpus"],
        _coefficient_rows(record["coefficients"]),
    )
    for caveat in record["caveats"]:
        print_line(console, f"Note: {caveat}")
    if record["posterior"]:
        print_line(console, f"Saved in {record['posterior']}")


def _error_rows(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[GpuRow]:
    return [
        GpuRow(
            stage,
            {
                gpu: f"{format_percent(cell['mape'])} ({100 * cell['coverage_90']:.0f})"
                for gpu, cell in cells.items()
            },
        )
        for stage, cells in found.items()
    ]


def _coefficient_rows(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[GpuRow]:
    """Rows of the terms under the name of each stage."""
    rows = []
    for stage, terms in found.items():
        rows.append(GpuRow(stage))
        for term, values in terms.items():
            rows.append(GpuRow(f"  {term}", {gpu: f"{x:.2f}" for gpu, x in values.items()}))
    return rows
