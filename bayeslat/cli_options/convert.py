"""Options of `import`."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Constants", "ImportFiles", "ImportFormat", "ImportGpu", "ImportStack", "ServedModel"]

ImportFormat = Annotated[
    str, typer.Argument(help="What wrote the files; --list tells of each.", metavar="FORMAT")
]
ImportFiles = Annotated[
    list[str], typer.Argument(help="Files of any size, folders, globs.", metavar="FILES")
]
ImportGpu = Annotated[
    str | None,
    typer.Option(
        "--gpu", help="GPU of all rows: key or alias; what the files say by default.", metavar="GPU"
    ),
]
ImportStack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        help="Serving software of all rows, as vllm_0.24.0; what the files say by default.",
        metavar="STACK",
    ),
]
ServedModel = Annotated[
    str | None,
    typer.Option(
        help="The model whose rows are wanted, where files name several; its name, where they "
        "name none.",
        metavar="MODEL",
    ),
]
Constants = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A further column with one value for all rows, such as tensor_parallel=2.",
        metavar="NAME=VALUE",
    ),
]
