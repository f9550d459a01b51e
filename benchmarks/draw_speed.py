"""The figures of `benchmarks.speed`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from bayeslat.report.figures import save_figure
from bayeslat.report.palette import COLOURS, DASHES, MARKERS, make_figure, styled

__all__ = ["draw_costs", "draw_rivals"]

ANSWERS = {
    "fit_s": "fit (Laplace)",
    "predict_s": "predict",
    "guard_s": "guard",
    "suggest_s": "suggest 25",
    "bundle_s": "guard bundle",
}


@styled
def draw_costs(costs: Sequence[Mapping[str, Any]], usual: Mapping[str, int], path: Path) -> None:
    """Draw seconds against each size, the others as usual.

    Parameters
    ----------
    costs : sequence of mapping
        With `varied`, `size` and seconds.
    usual : mapping of size to int
    path : Path
    """
    table = pd.DataFrame(costs)
    figure = make_figure(11.0, 3.2)
    panels = figure.subplots(1, len(usual), sharey=True)
    for axis, name in zip(panels, usual, strict=True):
        part = table[table["varied"] == name]
        _draw_lines(axis, part["size"], {label: part[key] for key, label in ANSWERS.items()})
        axis.set_xlabel("rows of each GPU" if name == "rows" else name)
    panels[0].set_ylabel("seconds, one core")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(ANSWERS))
    others = ", ".join(f"{value:,} {name}" for name, value in usual.items())
    figure.supxlabel(f"the others: {others} of each GPU", fontsize=8)
    save_figure(figure, [path])


@styled
def draw_rivals(rivals: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw microseconds a configuration against the batch, and errors against rows.

    Parameters
    ----------
    rivals : sequence of mapping
    path : Path
    """
    table = pd.DataFrame(rivals)
    most = table[table["rows"] == table["rows"].max()].set_index("model")
    batches = [name for name in table.columns if name.startswith("us_of_")]
    sizes = pd.Series([int(name.removeprefix("us_of_")) for name in batches])
    figure = make_figure(10.0, 3.4)
    left, middle, right = figure.subplots(1, 3)
    _draw_lines(left, sizes, {name: most.loc[name, batches] for name in most.index})
    left.set(xlabel="configurations at a time", ylabel="us a configuration, one core")
    for axis, latency in ((middle, "first token"), (right, "per token")):
        key = f"MAPE {latency} %"
        scored = table.dropna(subset=[key])
        lines = {
            name: scored.loc[scored["model"] == name].set_index("rows")[key]
            for name in most.index
            if name in set(scored["model"])
        }
        _draw_lines(axis, None, lines, order=list(most.index))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set(xlabel="rows of the GPU", ylabel=f"MAPE, time {_of(latency)}, %")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    save_figure(figure, [path])


def _of(latency: str) -> str:
    return "to the first token" if latency == "first token" else "per output token"


def _short(size: int) -> str:
    return f"{size // 1000}k" if size % 1000 == 0 else f"{size:,}"


def _draw_lines(
    axis: Axes,
    sizes: pd.Series | None,
    lines: Mapping[str, pd.Series],
    order: Sequence[str] | None = None,
) -> None:
    """Draw a line a name, on log scales."""
    names = list(order or lines)
    for name, values in lines.items():
        number = names.index(name)
        axis.plot(
            values.index if sizes is None else sizes,
            values.astype(float),
            marker=MARKERS[number],
            linestyle=DASHES[number],
            color=COLOURS[number],
            markersize=4,
            label=name,
        )
    axis.set(xscale="log", yscale="log")
    ticks = sorted({int(size) for line in axis.lines for size in np.asarray(line.get_xdata())})
    axis.set_xticks(ticks, labels=list(map(_short, ticks)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.grid(visible=True)
