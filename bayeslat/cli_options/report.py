"""Options of `report`."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["NextCount", "ReportStageBudget", "ReportTraces"]

ReportTraces = Annotated[
    list[str],
    typer.Argument(
        help="Measurements of the GPU, and of donors to compare with: Parquet, CSV or JSON Lines "
        "files, folders, globs.",
        metavar="TRACES",
    ),
]
ReportStageBudget = Annotated[
    list[str] | None,
    typer.Option(
        "--stage-budget",
        help="Of a stage instead, or of several joined by +: llm_decode_per_token=40.",
        metavar="STAGE=MS",
    ),
]
NextCount = Annotated[
    int, typer.Option("-n", help="How many configurations to suggest.", min=1, metavar="N")
]
