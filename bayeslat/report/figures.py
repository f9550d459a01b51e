"""Figures: readable in grey and by colour-blind people, drawn from tables that others computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, FuncFormatter, LogLocator, NullFormatter

from bayeslat.atomic import atomic_path
from bayeslat.report.palette import COLOURS, DASHES, INK, MARKERS, lay_out, make_figure, styled

__all__ = ["error_against_rows", "predicted_against_measured", "save_figure"]

_PANEL_INCHES = 2.5
_PANELS_ACROSS = 3
# Ticks of a log axis whose upper end is less than so many times the lower; else powers of ten.
_STEPS = ((8.0, (1, 1.5, 2, 3, 5, 7)), (50.0, (1, 2, 5)))


@styled
def predicted_against_measured(
    frames: Mapping[str, pd.DataFrame], stages: Mapping[str, str], title: str
) -> Figure:
    """Draw measured latency against predicted latency, one panel a stage.

    Parameters
    ----------
    frames : mapping of GPU to DataFrame, one row a config
        With `<stage>_point_ms`, `<stage>_q05_ms`, `<stage>_q95_ms` and the measured column of each
        stage; rows without a measurement (NaN) are left out.
    stages : mapping of stage to its measured column
        `total` among them, if wanted.
    title : str

    Returns
    -------
    Figure
        Logarithmic axes, the diagonal, and a bar over the 90 % predictive interval of each config.
    """
    across = min(len(stages), _PANELS_ACROSS)
    down = -(-len(stages) // across)
    figure = make_figure(_PANEL_INCHES * across, _PANEL_INCHES * down + 0.9)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for axis, (stage, column) in zip(axes, stages.items(), strict=False):
        _draw_stage(axis, frames, stage, column)
    for axis in axes[len(stages) :]:
        axis.remove()
    for axis in axes[: len(stages) : across]:
        axis.set_ylabel("measured, ms")
    figure.suptitle(title, fontsize=10)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(frames))
    return figure


@styled
def error_against_rows(curves: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Draw MAPE against the number of calibration rows, one line a method or stage.

    Parameters
    ----------
    curves : mapping of label to DataFrame, one row a number of rows
        With `rows`, `mape`, `mape_low` and `mape_high` as fractions. The first is drawn thick, with
        its range shaded.
    title : str

    Returns
    -------
    Figure
        Numbers of rows are evenly spaced; the error has a logarithmic axis. Lines differ in colour,
        dashes and marker.
    """
    figure = make_figure(6.5, 4.0)
    axis = figure.subplots()
    counts = sorted({int(count) for table in curves.values() for count in table["rows"]})
    for number, (label, table) in enumerate(curves.items()):
        at = [counts.index(int(count)) for count in table["rows"]]
        colour = COLOURS[number % len(COLOURS)]
        axis.plot(
            at,
            100 * table["mape"],
            linestyle=DASHES[number % len(DASHES)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=5 if number else 7,
            linewidth=1.2 if number else 2.4,
            color=colour,
            label=label,
        )
        if not number:
            low, high = 100 * table["mape_low"], 100 * table["mape_high"]
            axis.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axis.set_xticks(range(len(counts)), [str(count) for count in counts])
    axis.set_xlabel("calibration rows")
    axis.set_ylabel("MAPE, %")
    axis.grid(axis="y")
    axis.set_title(title)
    figure.legend(loc="outside right upper")
    return figure


def save_figure(figure: Figure, paths: Sequence[str | Path]) -> None:
    """Write a figure in the format of each path's suffix (png, svg), whole or not at all."""
    lay_out(figure)  # every file shows the same
    for path in paths:
        metadata = {"Date": None} if Path(path).suffix == ".svg" else None
        with atomic_path(path) as temporary, rc_context({"svg.hashsalt": "bayeslat"}):
            figure.savefig(temporary, dpi=150, facecolor="white", metadata=metadata)


def _draw_stage(axis: Axes, frames: Mapping[str, pd.DataFrame], stage: str, column: str) -> None:
    """Draw one stage of every GPU."""
    pairs = [frame[[f"{stage}_point_ms", column]].dropna() for frame in frames.values()]
    shown = np.concatenate([pair.to_numpy(float) for pair in pairs])
    low, high = (shown.min(), shown.max()) if len(shown) else (1.0, 10.0)
    ends = np.array([low / 1.15, high * 1.15])
    axis.plot(ends, ends, color=INK, alpha=0.5, linewidth=0.8, zorder=1)
    for number, (gpu, frame) in enumerate(frames.items()):
        colour = COLOURS[number % len(COLOURS)]
        axis.hlines(
            frame[column],
            frame[f"{stage}_q05_ms"],
            frame[f"{stage}_q95_ms"],
            color=colour,
            linewidth=0.8,
            alpha=0.45,
            zorder=2,
        )
        axis.plot(
            frame[f"{stage}_point_ms"],
            frame[column],
            MARKERS[number % len(MARKERS)],
            color=colour,
            markersize=3,
            markeredgewidth=0,
            label=gpu,
            zorder=3,
        )
    axis.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
    axis.set_title(stage.replace("_", " "), fontsize=9)
    axis.set_xlabel("predicted, ms")
    axis.tick_params(labelsize=7)
    steps = next((each for ratio, each in _STEPS if ends[1] < ratio * ends[0]), (1,))
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_major_locator(LogLocator(base=10, subs=steps))
        scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        scale.set_minor_formatter(NullFormatter())
