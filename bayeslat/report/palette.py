"""What all figures look like: colours, markers, dashes and ink."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

__all__ = ["COLOURS", "DASHES", "INK", "MARKERS", "lay_out", "make_figure", "percent", "styled"]

INK = "#24292f"
"""Of text, axes and grid: a page replaces it by the colour of its own text."""
# Okabe and Ito's colours in an order of distinct greys, and two more; each with a marker and dashes
# of its own. Their black is the ink: on a dark page nobody would see it.
COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#56B4E9",
    INK,
    "#882255",
    "#999999",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "*")
DASHES = (
    "-",
    "--",
    "-.",
    ":",
    (0, (8, 2)),
    (0, (3, 1, 1, 1)),
    (0, (1, 1)),
    (0, (5, 1)),
    (0, (2, 2, 6, 2)),
)

_PAD_INCHES = 0.07  # round every panel
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "grid.alpha": 0.15,
    "grid.color": INK,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 8,
    "ytick.color": INK,
    "ytick.labelsize": 8,
}


def styled[**P, R](draw: Callable[P, R]) -> Callable[P, R]:
    """Draw in the style of this project, whatever the user's settings of matplotlib are."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def make_figure(width: float, height: float) -> Figure:
    """Return a figure of so many inches that needs no window."""
    layout = ConstrainedLayoutEngine(h_pad=_PAD_INCHES, w_pad=_PAD_INCHES)
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def lay_out(figure: Figure) -> None:
    """Lay a figure out, once: each further time would move it a little."""
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def percent(part: float) -> str:
    """Write a part of one as a tick label.

    >>> percent(0.05), percent(0.001)
    ('5 %', '0.1 %')
    """
    return f"{100 * part:g} %"
