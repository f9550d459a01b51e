"""Figures of a guardrail, from small tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.evaluation.guardrail.violations import GUARD, NO_GUARD, POINT_RULE, SOURCE_RULE
from bayeslat.report.guard_figures import (
    draw_operating_curves,
    draw_reliability,
    draw_violations,
)
from bayeslat.report.palette import INK


def overlaps(figure, texts) -> list[tuple[str, str]]:  # type: ignore[no-untyped-def]
    """Pairs of texts that cover each other."""
    figure.draw_without_rendering()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]
    return [
        (one, other)
        for place, (one, box) in enumerate(boxes)
        for other, its in boxes[place + 1 :]
        if box.overlaps(its)
    ]


def test_marks_on_the_axis_have_a_line_of_labels_each() -> None:
    points = pd.DataFrame(
        [
            (GUARD, "max_risk 0.05", 0.035, 0.0),
            (POINT_RULE, "1", 0.0, 0.2),
            (POINT_RULE, "1.1", 0.022, 0.0),
            (POINT_RULE, "1.25", 0.05, 0.0),
            (SOURCE_RULE, "1.25", 0.06, 0.0),
            (NO_GUARD, NO_GUARD, 0.0, 1.0),
        ],
        columns=["rule", "label", "false_reject", "false_accept"],
    )
    curve = pd.DataFrame({"false_reject": [1.0, 0.1, 0.0], "false_accept": [0.0, 0.0, 1.0]})
    rules = (GUARD, POINT_RULE, SOURCE_RULE)
    figure = draw_operating_curves(dict.fromkeys(rules, curve), {}, points, "title")
    axis = figure.axes[0]
    assert overlaps(figure, axis.texts) == []
    # Off the axis, a label stands beside its mark.
    [off] = [text for text in axis.texts if text.get_text() == "1"]
    assert off.get_position()[1] < 5


def test_a_curve_is_the_mixture_of_its_thresholds() -> None:
    curve = pd.DataFrame({"false_reject": [1.0, 0.0], "false_accept": [0.0, 1.0]})
    points = pd.DataFrame(columns=["rule", "label", "false_reject", "false_accept"])
    axis = draw_operating_curves({GUARD: curve}, {}, points, "").axes[0]
    [line] = axis.lines
    assert line.get_drawstyle() == "default"  # a step would promise what no threshold does
    assert axis.get_xlim() == (0.0, 1.0)


@pytest.mark.parametrize("rules", [(NO_GUARD, GUARD), (NO_GUARD, GUARD, POINT_RULE, SOURCE_RULE)])
def test_rules_keep_their_looks_whichever_are_there(rules: tuple[str, ...]) -> None:
    rows = [
        {
            "rule": rule,
            "fraction": fraction,
            "budget_ms": 100 * fraction,
            "violation_rate": np.nan if rule == GUARD else 0.1,
            "violation_low": 0.0,
            "violation_high": 1.0,
            "false_reject": 0.2,
        }
        for rule in rules
        for fraction in (0.5, 1.0)
    ]
    figure = draw_violations(pd.DataFrame(rows), "title")
    axis = figure.axes[0]
    looks = {line.get_label(): (line.get_color(), line.get_marker()) for line in axis.lines}
    assert looks[NO_GUARD] == (INK, "X")
    assert looks[GUARD] == ("#0072B2", "o")
    assert len(set(looks.values())) == len(rules)
    figure.draw_without_rendering()
    legend = axis.get_legend()
    assert legend is not None
    at = legend.get_window_extent()
    assert not at.overlaps(axis.patch.get_window_extent())  # covers no marks
    assert at.x1 <= figure.bbox.x1


def test_the_legends_of_the_reliability_cover_nothing() -> None:
    bins = pd.DataFrame(
        {
            "predicted": [0.0, 0.5, 1.0],
            "observed": [0.0, 1.0, 1.0],
            "expected_low": [0.0, 0.0, 0.9],
            "expected_high": [0.1, 1.0, 1.0],
            "configs": [1200, 1, 30],
        }
    )
    edges = np.linspace(0, 1, 11)
    pit = pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "share": 0.1,
            "expected_low": 0.08,
            "expected_high": 0.12,
        }
    )
    figure = draw_reliability(bins, pit, "title", "total")
    figure.draw_without_rendering()
    for axis in figure.axes:
        legend = axis.get_legend()
        assert legend is not None
        assert not legend.get_window_extent().overlaps(axis.patch.get_window_extent())
    assert [text.get_text() for text in figure.axes[0].texts] == ["1,200", "1", "30"]
