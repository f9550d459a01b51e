"""The figure of `benchmarks/scale.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bayeslat.report.palette import COLOURS, DASHES, MARKERS, lay_out, make_figure, styled

__all__ = ["draw_scale"]

_BY_ROWS = {
    "seconds": "compress",
    "laplace_s": "fit of statistics, Laplace",
    "fit_of_rows_s": "fit of rows, Laplace",
}
_BY_GPUS = {"settle_s": "settle the point", "laplace_s": "fit, Laplace", "nuts_s": "fit, NUTS"}


@styled
def draw_scale(result: Mapping[str, Any]) -> Figure:
    """Draw cost against rows and against GPUs."""
    figure = make_figure(10.0, 4.0)
    left, right = figure.subplots(1, 2)
    rows = {int(name.replace(",", "")): each for name, each in result["rows"].items()}
    gpus = {int(name): each for name, each in result["by_gpus"].items()}
    _draw(left, rows, _BY_ROWS, "rows of 20 GPUs, four stages each")
    _draw(right, gpus, _BY_GPUS, "GPUs, 2,000 rows and four stages each")
    left.set_ylabel("seconds, two cores")
    lay_out(figure)
    return figure


def _draw(
    axis: Axes, costs: Mapping[int, Mapping[str, Any]], names: Mapping[str, str], along: str
) -> None:
    for (name, label), colour, dash, marker in zip(
        names.items(), COLOURS, DASHES, MARKERS, strict=False
    ):
        points = [(size, each[name]) for size, each in sorted(costs.items()) if name in each]
        axis.loglog(
            *zip(*points, strict=True), color=colour, linestyle=dash, marker=marker, label=label
        )
    sizes = sorted(costs)
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axis.xaxis.set_minor_locator(NullLocator())
    seconds = [each[name] for each in costs.values() for name in names if name in each]
    axis.set_ylim(0.7 * min(seconds), 1.5 * max(seconds))
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_xlabel(along)
    axis.legend()
