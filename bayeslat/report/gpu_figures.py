"""Figures of one GPU: what it is good and bad at, and how often its intervals hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bayeslat.report.palette import COLOURS, DASHES, INK, MARKERS, make_figure, percent, styled

__all__ = ["draw_coefficients", "draw_coverage"]

_STEP = 0.14  # from one GPU of a term to the next; terms are 1 apart
_ROOM = 0.8  # of which all GPUs may take so much


@styled
def draw_coefficients(table: pd.DataFrame, gpu: str, stack: str, title: str) -> Figure:
    """Draw how many times slower than its data sheet each GPU does each kind of work.

    Parameters
    ----------
    table : DataFrame
        Of `evaluation.coefficients.coefficient_table`.
    gpu, stack : str
        The one that stands out; it may be absent.
    title : str

    Returns
    -------
    Figure
        One row a term, under the name of its stage; medians with 90 % intervals, log axis.
    """
    terms = table.drop_duplicates(["stage", "term"])[["stage", "term"]].to_dict("records")
    calibrated = ~table["fitted"] & (table["gpu"] == gpu) & (table["stack"] == stack)
    chosen = calibrated if calibrated.any() else table["fitted"] & (table["gpu"] == gpu)
    others = table[table["fitted"] & ~chosen]
    groups = {str(name): others[others["gpu"] == name] for name in others["gpu"].unique()}
    if chosen.any():
        groups[gpu] = table[chosen]
    stages = list(dict.fromkeys(term["stage"] for term in terms))
    figure = make_figure(6.5, 1.2 + 0.27 * len(terms) + 0.3 * len(stages))
    heights = [sum(term["stage"] == stage for term in terms) for stage in stages]
    axes = figure.subplots(len(stages), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axis, stage in zip(axes, stages, strict=True):
        names = [str(term["term"]) for term in terms if term["stage"] == stage]
        for number, (name, part) in enumerate(groups.items()):
            own = name == gpu
            step = min(_STEP, _ROOM / len(groups))
            at = np.arange(len(names)) + step * (number - (len(groups) - 1) / 2)
            held = part[part["stage"] == stage].set_index("term").loc[names]
            _draw_group(axis, at, held, number, own=own, label=str(name))
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.set_title(stage.replace("_", " "), fontsize=9, loc="left", pad=3)
        axis.grid(axis="x")
        axis.axvline(1.0, color=INK, linewidth=0.8, alpha=0.6)
    last = axes[-1]
    last.set_xscale("log")
    last.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    last.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    last.xaxis.set_minor_formatter(NullFormatter())
    last.set_xlabel("times slower than the data sheet")
    figure.suptitle(title, fontsize=10)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(groups), 4))
    return figure


def _draw_group(
    axis: Axes, at: np.ndarray, held: pd.DataFrame, number: int, *, own: bool, label: str
) -> None:
    """Draw one GPU's terms of a stage."""
    colour = COLOURS[4] if own else INK
    axis.hlines(
        at,
        held["q05"],
        held["q95"],
        color=colour,
        linewidth=2.2 if own else 1.0,
        alpha=0.8 if own else 0.35,
    )
    axis.plot(
        held["median"],
        at,
        MARKERS[0] if own else MARKERS[1 + number % (len(MARKERS) - 1)],
        color=colour,
        markersize=6 if own else 4,
        alpha=1.0 if own else 0.6,
        label=label,
        zorder=3,
    )


@styled
def draw_coverage(scores: pd.DataFrame, title: str) -> Figure:
    """Draw how many held-out runs the intervals cover, one line a stage.

    Parameters
    ----------
    scores : DataFrame, one row a number of rows and stage
        `rows`, `stage`, `coverage_50`, `coverage_90`, as parts of one.
    title : str

    Returns
    -------
    Figure
        50 % intervals to the left, 90 % ones to the right, each with its nominal line.
    """
    figure = make_figure(6.5, 3.2)
    axes = figure.subplots(1, 2)
    counts = sorted(scores["rows"].unique())
    for axis, level in zip(axes, (50, 90), strict=True):
        for number, (stage, part) in enumerate(scores.groupby("stage", sort=False)):
            axis.plot(
                [counts.index(count) for count in part["rows"]],
                part[f"coverage_{level}"],
                color=COLOURS[number % len(COLOURS)],
                linestyle=DASHES[number % len(DASHES)],
                marker=MARKERS[number % len(MARKERS)],
                markersize=4,
                linewidth=1.2,
                label=str(stage).replace("_", " "),
            )
        axis.axhline(level / 100, color=INK, linewidth=1.2, alpha=0.6)
        axis.set_xticks(range(len(counts)), [str(count) for count in counts])
        axis.set(xlabel="calibration rows", ylim=(0, 1.03), title=f"{level} % intervals")
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))
        axis.grid(axis="y")
    axes[0].set_ylabel("held-out runs inside")
    figure.suptitle(title, fontsize=10)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 5))
    return figure
