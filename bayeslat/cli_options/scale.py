"""Options of `compress` and `update`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["LeaveOut", "Like", "NewTraces", "ParquetTraces", "Retire", "Window"]

ParquetTraces = Annotated[
    list[str],
    typer.Argument(help="Traces: Parquet files, folders, globs.", metavar="TRACES"),
]
NewTraces = Annotated[
    list[str] | None,
    typer.Argument(
        help="New rows of the GPUs that were fitted: Parquet files, folders, globs.",
        metavar="TRACES",
    ),
]
LeaveOut = Annotated[
    bool,
    typer.Option("--drop-invalid", help="Leave out rows that break a rule; count and tell them."),
]
Like = Annotated[
    Path | None,
    typer.Option(
        help="Statistics or a posterior that the rows are to be added to.", metavar="FILE.nc"
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        help="Name of these rows, to retire them by; that of their file by default.",
        metavar="NAME",
    ),
]
Retire = Annotated[
    list[str] | None,
    typer.Option(
        help="Window to take out; several with several --retire. `fit`: the rows of a posterior "
        "that was fitted from rows.",
        metavar="WINDOW",
    ),
]
