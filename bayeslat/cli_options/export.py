"""Options of `export`."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "BetweenSteps",
    "BlisAlpha",
    "BlisDraws",
    "BlisModel",
    "BlisVersion",
    "Reader",
    "TensorParallel",
    "WholePrompts",
]

Reader = Annotated[
    bool, typer.Option("--reader/--no-reader", help="Write guard_reader.py beside the bundle.")
]
BlisModel = Annotated[
    str,
    typer.Option("--model", "-m", help="Served model, as the traces name it.", metavar="NAME"),
]
TensorParallel = Annotated[
    int, typer.Option("--tp", help="Tensor parallel degree.", min=1, metavar="INTEGER")
]
BlisDraws = Annotated[
    int,
    typer.Option(
        "--draws", help="Draws of the coefficients, a file each.", min=0, metavar="INTEGER"
    ),
]
BlisVersion = Annotated[
    str,
    typer.Option(
        help="Version of BLIS, as in v0.7.11; up to v0.7.10 its blackbox model.", metavar="VERSION"
    ),
]
BlisAlpha = Annotated[
    str | None,
    typer.Option(
        help="Overheads in us that the engine does not see: of a request, after its last token, "
        "of a token. By default the time through an empty queue, 0, 0. The second is that of a "
        "prompt token up to v0.7.10.",
        metavar="A0,A1,A2",
    ),
]
BetweenSteps = Annotated[
    str | None,
    typer.Option(
        help="Traces of the server (a file, a folder or a glob), of the vLLM logger: add the time "
        "between its steps to each, as BLIS has none.",
        metavar="TRACES",
    ),
]
WholePrompts = Annotated[
    bool,
    typer.Option(
        "--whole-prompts",
        help="Fit to the attention of prompts as BLIS counts it, of each chunk to all of it.",
    ),
]
