"""Options of `drift`."""

from __future__ import annotations

from typing import Annotated

import typer

from bayeslat.cli_options.common import without_spaces

__all__ = ["AlarmRate", "Allowance", "DriftGpu", "DriftStack", "DriftTraces"]

DriftTraces = Annotated[
    list[str],
    typer.Argument(
        help="Rows measured after the fit: Parquet, CSV or JSON Lines files, folders, globs.",
        metavar="TRACES",
    ),
]
DriftGpu = Annotated[
    str | None,
    typer.Option(
        "--gpu",
        help="Judge this GPU alone; all that the posterior holds by default.",
        metavar="GPU",
    ),
]
DriftStack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        help="Compare all rows with this stack of the posterior, whatever they name: has an "
        "update changed anything?",
        metavar="STACK",
        callback=without_spaces,
    ),
]
Allowance = Annotated[
    float,
    typer.Option(
        help="How far the fit may be off while nothing has changed, as a part of the noise in each "
        "direction of the features.",
        metavar="SHARE",
    ),
]
AlarmRate = Annotated[
    float,
    typer.Option(
        help="Probability that a call finds a drift while nothing has changed; 0.0001 or more.",
        metavar="SHARE",
    ),
]
