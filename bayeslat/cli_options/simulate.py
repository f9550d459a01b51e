"""Options of `simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ConfigsFile", "Count", "Parameters", "Repeats", "SimulatedGpus", "Stacks"]

SimulatedGpus = Annotated[str, typer.Option(help="GPUs to simulate.", metavar="A,B,...")]
ConfigsFile = Annotated[
    str | None,
    typer.Option(help="Configurations to simulate: a file, folder or glob.", metavar="FILE"),
]
Count = Annotated[
    int | None,
    typer.Option("-n", help="Configurations to draw from --knob ranges.", min=1, metavar="N"),
]
Stacks = Annotated[
    str | None, typer.Option(help="Stacks, each on every GPU; none by default.", metavar="A,B,...")
]
Repeats = Annotated[
    int, typer.Option(help="Measurements of each configuration.", min=1, metavar="INTEGER")
]
Parameters = Annotated[
    Path | None,
    typer.Option(
        help="True parameters, as `simulate` writes them; drawn from the priors by default.",
        metavar="FILE.json",
    ),
]
