"""Options of `calibrate`, `compare` and `crossval`."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "CalibrationCount",
    "CalibrationTraces",
    "Counts",
    "Donors",
    "Methods",
    "Repetitions",
    "Source",
    "Target",
    "TestConfigs",
    "Threshold",
    "UsualCounts",
]

CalibrationTraces = Annotated[
    list[str] | None,
    typer.Argument(
        help="Traces that hold the GPU's measurements; rows of other GPUs are passed over.",
        metavar="TRACES",
    ),
]
CalibrationCount = Annotated[
    int | None,
    typer.Option(
        "-n",
        help="Use so many of the GPU's configurations, drawn by --seed, with all of their rows.",
        min=1,
        metavar="N",
    ),
]
Threshold = Annotated[
    float,
    typer.Option(help="MAPE of the total that is good enough: 0.10 is 10 %.", metavar="SHARE"),
]
Target = Annotated[str, typer.Option(help="GPU to carry over to: key or alias.", metavar="GPU")]
Donors = Annotated[
    str | None,
    typer.Option(help="GPUs to fit; all others of the traces by default.", metavar="A,B,..."),
]
Source = Annotated[
    str | None,
    typer.Option(
        help="Donor whose model single-source methods carry over; the first by default.",
        metavar="GPU",
    ),
]
Methods = Annotated[
    str | None,
    typer.Option(help="Methods to run; all that suit the spec by default.", metavar="A,B,..."),
]
Counts = Annotated[str, typer.Option(help="Numbers of calibration rows.", metavar="N,N,...")]
UsualCounts = Annotated[
    str | None,
    typer.Option(
        help="Numbers of calibration rows.  [default: those of 0,5,10,25 that all donors have "
        "configurations for]",
        metavar="N,N,...",
    ),
]
Repetitions = Annotated[
    int,
    typer.Option(help="Random choices of calibration and test configurations.", min=1, metavar="N"),
]
TestConfigs = Annotated[
    int,
    typer.Option(help="Configurations held out, at most half of the target's.", min=1, metavar="N"),
]
