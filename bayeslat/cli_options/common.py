"""What commands of several kinds take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "Budget",
    "Configs",
    "EngineAddress",
    "FewJobs",
    "Gpu",
    "Hardware",
    "Jobs",
    "Json",
    "Knobs",
    "Model",
    "Of",
    "OfName",
    "Output",
    "OutputFolder",
    "PosteriorFile",
    "Seed",
    "Stack",
    "Stages",
    "Traces",
    "without_spaces",
]

OfName = Literal["run", "typical"]
_LARGEST_SEED = 2**32 - 1  # what every random number generator in use takes


def without_spaces(name: str | None) -> str | None:
    """Take the spaces around a name away; one of spaces alone stays, to be refused as it is."""
    return name and (name.strip() or name)


Traces = Annotated[
    list[str],
    typer.Argument(
        help="Traces: Parquet, CSV or JSON Lines files, folders, globs.", metavar="TRACES"
    ),
]
Configs = Annotated[
    list[str],
    typer.Argument(
        help="Configurations: Parquet, CSV or JSON Lines files, folders, globs.", metavar="CONFIGS"
    ),
]
PosteriorFile = Annotated[
    Path, typer.Argument(help="A posterior that `fit` wrote.", metavar="POSTERIOR.nc")
]
Model = Annotated[
    Path, typer.Option("--model", "-m", help="Spec of the stages.", metavar="SPEC.toml")
]
Stages = Annotated[
    str | None,
    typer.Option(help="Stages of the spec; all of them by default.", metavar="A,B,..."),
]
Hardware = Annotated[
    Path | None,
    typer.Option(help="More GPUs, or other values than the shipped ones.", metavar="FILE.toml"),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", help="File to write; its folders are made.", metavar="FILE"),
]
Seed = Annotated[
    int,
    typer.Option(help="Seed of every random number.", min=0, max=_LARGEST_SEED, metavar="INTEGER"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Gpu = Annotated[str, typer.Option(help="Key or alias of the hardware table.", metavar="GPU")]
Budget = Annotated[
    float | None, typer.Option(help="Latency budget of the total: adds p_exceed.", metavar="MS")
]
Stack = Annotated[
    str | None,
    typer.Option(
        help="Serving software, as in the traces; a column `stack` takes precedence.",
        metavar="STACK",
        callback=without_spaces,
    ),
]
Of = Annotated[
    OfName,
    typer.Option(help="One further measured run, with its noise, or the run-to-run median."),
]
OutputFolder = Annotated[
    Path,
    typer.Option("--output", "-o", help="Folder to write to; it is made.", metavar="FOLDER"),
]
Jobs = Annotated[int | None, typer.Option(help="Processes; one a core by default.", metavar="N")]
FewJobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        help="Processes; one by default, as starting more takes longer than a small trace does.",
        metavar="N",
    ),
]
EngineAddress = Annotated[
    str | None,
    typer.Option(
        help="Scheduler of a Dask cluster that does the work in place of this machine, as in "
        "tcp://10.0.0.7:8786.",
        metavar="ADDRESS",
    ),
]
Knobs = Annotated[
    list[str] | None,
    typer.Option(
        help="Range of a knob, once for each: low:high, low:high:log, or values a,b,c.",
        metavar="NAME=RANGE",
    ),
]
