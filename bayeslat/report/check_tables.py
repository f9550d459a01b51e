"""What a check found: the record for machines, the tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bayeslat.inference.posterior import PosteriorData
from bayeslat.report.convergence import convergence_record, show_convergence, show_verdict
from bayeslat.report.tables import (
    format_percent,
    make_table,
    open_console,
    print_line,
    print_table,
)

if TYPE_CHECKING:
    from bayeslat.evaluation.checks import PosteriorCheck

__all__ = ["check_record", "show_check"]

_HEADS = ["stage", "rows", "MAPE\n%", "bias\n%", "50 %\ncovers", "90 %\ncovers", "extra-\npolates"]
_PARTS = ("mape", "bias", "coverage_50", "coverage_90")


def check_record(data: PosteriorData, found: PosteriorCheck, path: Path) -> dict[str, Any]:
    """What a check found.

    Parameters
    ----------
    data : PosteriorData
    found : PosteriorCheck
    path : Path
        The posterior.

    Returns
    -------
    dict
        For JSON: `convergence_record`; `predictions`, a record a GPU and stage; `findings`.
    """
    rows = [] if found.frame is None else found.frame.to_dict("records")
    return {
        "posterior": path,
        **convergence_record(data),
        "predictions": rows,
        "findings": list(found.findings),
    }


def show_check(record: Mapping[str, Any]) -> None:
    """Print convergence, predictions against measurements, and findings."""
    console = open_console()
    show_verdict(console, record)
    show_convergence(console, record["stages"])
    if record["predictions"]:
        _show_predictions(console, record["predictions"])
    for finding in record["findings"]:
        print_line(console, f"Finding: {finding}")
    for caveat in record["caveats"]:
        print_line(console, f"Note: {caveat}")


def _show_predictions(console: Console, rows: list[dict[str, Any]]) -> None:
    """Print a row a stage under the name of each GPU."""
    table = make_table(_HEADS)
    for gpu, stages in groupby(rows, key=lambda row: str(row["gpu"])):
        held = list(stages)
        unseen = all(row["zero_shot"] for row in held)
        table.add_row(f"{gpu} (zero-shot)" if unseen else gpu)
        for row in held:
            mark = " (zero-shot)" if row["zero_shot"] and not unseen else ""
            table.add_row(
                f"  {row['stage']}{mark}",
                f"{row['rows']:,}",
                *(format_percent(row[part]) for part in _PARTS),
                f"{row['extrapolates']:.0%}",
            )
    print_table(console, "Predictions against measurements", table)
