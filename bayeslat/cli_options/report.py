"""Options of `report`."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["NextCount", "ReportBudget", "ReportTraces"]

ReportTraces = Annotated[
    list[str],
    typer.Argument(
        help="Measurements of the GPU, and of donors to compare with: Parquet, CSV or JSON Lines "
        "files, folders, globs.",
        metavar="TRACES",
    ),
]
ReportBudget = Annotated[
    float, typer.Option("--budget-ms", help="Latency budget of the total.", metavar="MS")
]
NextCount = Annotated[
    int, typer.Option("-n", help="How many configurations to suggest.", min=1, metavar="N")
]
