"""Options of `collect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "BudgetMinutes",
    "CollectRepeats",
    "CollectedGpu",
    "Design",
    "DesignCount",
    "Device",
    "Dtype",
    "DtypeName",
    "HuggingFaceModel",
    "RandomWeights",
    "ReferenceEvery",
    "Threads",
]

DtypeName = Literal["float32", "bfloat16", "float16"]
HuggingFaceModel = Annotated[
    str | None,
    typer.Argument(
        help="A model: Hugging Face folder or id.", metavar="[MODEL]", show_default=False
    ),
]
RandomWeights = Annotated[
    Path | None,
    typer.Option(
        help="Instead of a model: its configuration, with random weights, which take as long.",
        metavar="CONFIG.json",
    ),
]
CollectedGpu = Annotated[
    str | None,
    typer.Option(
        help="Key or alias of the hardware table; a GPU's own name by default.", metavar="GPU"
    ),
]
Design = Annotated[
    str,
    typer.Option(
        help="Which configurations: sobol, lhs (Latin hypercube), grid, or a file of them.",
        metavar="DESIGN",
    ),
]
DesignCount = Annotated[
    int | None,
    typer.Option(
        "-n", help="Configurations; 150 by default, and the whole of a grid.", min=1, metavar="N"
    ),
]
CollectRepeats = Annotated[
    int, typer.Option(help="Measurements of each configuration.", min=1, metavar="INTEGER")
]
Dtype = Annotated[
    DtypeName | None,
    typer.Option(
        help="Of weights and activations: bfloat16 on a GPU (float16 before Ampere), float32 on "
        "a CPU."
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="auto (the first GPU, or else the CPU), cpu, cuda or cuda:N.", metavar="DEVICE"
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(help="Threads of the CPU; all cores by default.", min=1, metavar="INTEGER"),
]
BudgetMinutes = Annotated[
    float | None,
    typer.Option(help="Start no measurement after this time.", min=0, metavar="MINUTES"),
]
ReferenceEvery = Annotated[
    int,
    typer.Option(
        help="Measure the reference again after so many others, to see drift.",
        min=1,
        metavar="INTEGER",
    ),
]
