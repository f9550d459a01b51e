"""Options of `fit` and `check`, and of what draws a posterior."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "Chains",
    "CheckTraces",
    "Draws",
    "DropInvalid",
    "Engine",
    "EngineName",
    "FitTraces",
    "Force",
    "Gpus",
    "ModelOrNone",
    "SuggestFeatures",
    "Tune",
]

EngineName = Literal["nuts", "laplace"]
CheckTraces = Annotated[
    list[str] | None,
    typer.Argument(help="Traces to predict and to compare with.", metavar="TRACES"),
]
SuggestFeatures = Annotated[
    bool,
    typer.Option("--suggest-features", help="Rank residual features that the spec lacks."),
]
FitTraces = Annotated[
    list[str],
    typer.Argument(
        help="Traces: Parquet, CSV or JSON Lines files, folders, globs; or statistics that "
        "`compress` wrote.",
        metavar="TRACES",
    ),
]
ModelOrNone = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        help="Spec of the stages; statistics hold theirs.",
        metavar="SPEC.toml",
        show_default=False,
    ),
]
Gpus = Annotated[
    str | None, typer.Option(help="GPUs to fit; all of the traces by default.", metavar="A,B,...")
]
Engine = Annotated[EngineName, typer.Option(help="Sample, or approximate in seconds.")]
DropInvalid = Annotated[
    bool,
    typer.Option(
        "--drop-invalid", help="Leave out rows that break a rule; write them beside the output."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Save even what did not converge.")]
Chains = Annotated[int, typer.Option(help="Chains of NUTS.", min=1, metavar="INTEGER")]
Draws = Annotated[int, typer.Option(help="Draws of each chain.", min=10, metavar="INTEGER")]
Tune = Annotated[
    int,
    typer.Option(help="Tuning draws of each chain, thrown away.", min=50, metavar="INTEGER"),
]
