"""Figures of a guardrail: its trade-off, its calibration, and the violations that it prevents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bayeslat.evaluation.guardrail.violations import GUARD, POINT_RULE, SOURCE_RULE
from bayeslat.report.palette import COLOURS, DASHES, INK, MARKERS, make_figure, percent, styled

__all__ = ["draw_operating_curves", "draw_reliability", "draw_violations"]

_NEAR = 0.1  # the lower end of the axis
_TICKS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
_ON_AXIS = 0.002  # marks of fewer false accepts stand on the axis
_RULES = (GUARD, POINT_RULE, SOURCE_RULE)  # a rule looks the same in every figure


@styled
def draw_operating_curves(
    curves: Mapping[str, pd.DataFrame],
    bands: Mapping[str, pd.DataFrame],
    points: pd.DataFrame,
    title: str,
) -> Figure:
    """Draw false accepts against false rejects, one line a rule.

    Parameters
    ----------
    curves : mapping of rule to DataFrame, one row a threshold
        `false_reject`, `false_accept`.
    bands : mapping of rule to DataFrame, one row a false-reject rate
        `false_reject`, `false_accept_low`, `false_accept_high`.
    points : DataFrame, one row a marked threshold
        `rule`, `label`, `false_reject`, `false_accept`; a rule without a curve is a mark alone.
    title : str

    Returns
    -------
    Figure
        Both axes show square roots, so that small rates can be told apart and 0 has a place.
        Between two thresholds lies the mixture of both.
    """
    figure = make_figure(6.5, 4.4)
    axis = figure.subplots()
    for rule, curve in curves.items():
        style = _style(rule)
        axis.plot(
            curve["false_reject"],
            curve["false_accept"],
            label=rule,
            linewidth=2.4 if rule == GUARD else 1.4,
            color=style["color"],
            linestyle=style["linestyle"],
        )
        if rule in bands:
            band = bands[rule]
            axis.fill_between(
                band["false_reject"],
                band["false_accept_low"],
                band["false_accept_high"],
                color=style["color"],
                alpha=0.15,
                linewidth=0,
            )
    _mark(axis, points)
    axis.set_xlabel("false rejects, of those within the budget")
    axis.set_ylabel("false accepts, of those over the budget")
    axis.set_xscale("function", functions=(np.sqrt, np.square))
    axis.set_yscale("function", functions=(np.sqrt, np.square))
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xticks=_TICKS, yticks=_TICKS, title=title)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))
    axis.grid()
    axis.legend(loc="upper right")
    return figure


def _mark(axis: Axes, points: pd.DataFrame) -> None:
    """Mark and name single thresholds."""
    for point in points.to_dict("records"):
        rule, style = point["rule"], _style(point["rule"])
        at = (point["false_reject"], point["false_accept"])
        axis.plot(*at, marker=style["marker"], color=style["color"], markersize=7, clip_on=False)
        # Marks crowd on the axis of no false accepts: each rule's labels have a line of their own.
        crowded = rule in _RULES and point["false_accept"] < _ON_AXIS
        lift = 5 + 9 * _RULES.index(rule) if crowded else -10 if rule not in _RULES else 3
        axis.annotate(
            point["label"],
            at,
            xytext=(6, lift),
            textcoords="offset points",
            fontsize=7.5,
            color=style["color"],
        )


@styled
def draw_reliability(bins: pd.DataFrame, pit: pd.DataFrame, title: str, of: str) -> Figure:
    """Draw how often the budget was exceeded against p_exceed, and the PIT histogram beside it.

    Parameters
    ----------
    bins : DataFrame
        Of `evaluation.guardrail.reliability.reliability`.
    pit : DataFrame
        Of `pit_histogram`.
    title, of : str
        And what the budget is for: the total, or stages.

    Returns
    -------
    Figure
        With the 95 % interval that a calibrated posterior would have in each bin.
    """
    figure = make_figure(6.5, 3.4)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=INK, alpha=0.4, linewidth=0.8)
    left.vlines(
        bins["predicted"],
        bins["expected_low"],
        bins["expected_high"],
        color=COLOURS[0],
        alpha=0.35,
        linewidth=4,
        label="95 % if calibrated",
    )
    left.plot(bins["predicted"], bins["observed"], "o", color=COLOURS[4], label="observed")
    for row in bins.to_dict("records"):
        left.annotate(
            f"{row['configs']:,}",
            (row["predicted"], row["observed"]),
            xytext=(5, 4 if row["observed"] < _NEAR else -8),
            textcoords="offset points",
            fontsize=6.5,
            alpha=0.8,
        )
    left.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="p_exceed", ylabel="part over budget")
    # Above the panel: inside, bars and dots may be anywhere.
    left.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2)
    left.grid()
    right.bar(
        pit["low"],
        pit["share"],
        width=pit["high"] - pit["low"],
        align="edge",
        color=COLOURS[0],
        alpha=0.7,
        edgecolor=INK,
        linewidth=0.4,
    )
    expected = (pit["expected_low"].iloc[0], pit["expected_high"].iloc[0])
    right.axhspan(*expected, color=INK, alpha=0.12, zorder=0, label="95 % if calibrated")
    right.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2)
    right.set(xlim=(0, 1), xlabel=f"PIT of {of}", ylabel="part of the configs")
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))
    figure.suptitle(title, fontsize=10)
    return figure


@styled
def draw_violations(table: pd.DataFrame, title: str) -> Figure:
    """Draw the part of the accepted configurations that exceed their budget.

    Parameters
    ----------
    table : DataFrame
        Of `evaluation.guardrail.violations.budget_violations`.
    title : str

    Returns
    -------
    Figure
        Against the budget fraction, one line a rule, with 95 % intervals; a rule that accepts
        nothing has no rate. Below, the part of those within the budget that the rule refuses.
    """
    figure = make_figure(6.5, 4.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    rules = list(dict.fromkeys(table["rule"]))
    fractions = sorted(table["fraction"].unique())
    for number, rule in enumerate(rules):
        part = table[table["rule"] == rule].set_index("fraction").reindex(fractions)
        style: dict[str, Any] = {**_style(rule), "markersize": 5, "clip_on": False}
        at = np.arange(len(fractions)) + 0.06 * (number - (len(rules) - 1) / 2)
        rate, low, high = (part[f"violation_{name}"] for name in ("rate", "low", "high"))
        held = rate.notna().to_numpy()
        above.vlines(at[held], low[held], high[held], color=style["color"], alpha=0.5, linewidth=2)
        above.plot(at, rate, label=rule, **style)
        below.plot(at, part["false_reject"], **style)
    budgets = table.groupby("fraction")["budget_ms"].first()
    figure.suptitle(title, fontsize=10)
    above.set(ylabel="violations among\nthe accepted")
    above.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2)
    below.set(ylabel="refused, of those\nwithin the budget")
    below.set_xticks(range(len(fractions)), [f"{f:g}\n{budgets[f]:,.0f} ms" for f in fractions])
    below.set_xlabel("budget fraction")
    for axis, ticks in ((above, _TICKS), (below, (0.0, 0.05, 0.2, 0.5, 1.0))):
        axis.set_yscale("function", functions=(np.sqrt, np.square))
        axis.set(ylim=(0, 1), yticks=ticks)
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))
        axis.grid(axis="y")
    return figure


def _style(rule: str) -> dict[str, Any]:
    """Colour, dashes and marker of a rule; ink for none at all."""
    if rule not in _RULES:
        return {"color": INK, "linestyle": "-", "marker": "X"}
    number = _RULES.index(rule)
    return {
        "color": COLOURS[number],
        "linestyle": DASHES[number],
        "marker": MARKERS[number],
    }
