"""Arguments and options that several commands take, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "Budget",
    "Chains",
    "Configs",
    "Draws",
    "DropInvalid",
    "EngineName",
    "Force",
    "Gpu",
    "Gpus",
    "Hardware",
    "Json",
    "Model",
    "OfName",
    "Output",
    "PosteriorFile",
    "Seed",
    "Stack",
    "Traces",
    "Tune",
]

EngineName = Literal["nuts", "laplace"]
OfName = Literal["run", "typical"]

Traces = Annotated[
    list[str],
    typer.Argument(
        help="Traces: Parquet, CSV or JSON Lines files, folders, globs.", metavar="TRACES"
    ),
]
Configs = Annotated[
    str,
    typer.Argument(help="Configurations to predict, in a file as a trace.", metavar="CONFIGS"),
]
PosteriorFile = Annotated[
    Path, typer.Argument(help="A posterior that `fit` wrote.", metavar="POSTERIOR.nc")
]
Model = Annotated[
    Path, typer.Option("--model", "-m", help="Specification of the stages.", metavar="SPEC.toml")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="File to write.", metavar="FILE")]
Hardware = Annotated[
    Path | None,
    typer.Option(help="More GPUs, or other values than the shipped ones.", metavar="FILE.toml"),
]
Gpu = Annotated[str, typer.Option(help="Key or alias of the hardware table.")]
Gpus = Annotated[
    str | None, typer.Option(help="GPUs, separated by commas; all by default.", metavar="A,B,...")
]
Stack = Annotated[
    str | None, typer.Option(help="Serving software; a column `stack` takes precedence.")
]
Budget = Annotated[
    float | None, typer.Option(help="Latency budget of the total: adds p_exceed.", metavar="MS")
]
Seed = Annotated[int, typer.Option(help="Seed of every random number.", min=0)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Force = Annotated[bool, typer.Option("--force", help="Save even what did not converge.")]
DropInvalid = Annotated[
    bool,
    typer.Option("--drop-invalid", help="Leave out rows that break a rule; keep them in a file."),
]
Chains = Annotated[int, typer.Option(help="Chains of NUTS.", min=1)]
Draws = Annotated[int, typer.Option(help="Draws of each chain.", min=10)]
Tune = Annotated[int, typer.Option(help="Tuning draws of each chain, thrown away.", min=50)]
