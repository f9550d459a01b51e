"""Figures of a report show the numbers that are written beside them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bayeslat.decisions.guard import Budget
from bayeslat.evaluation.guardrail.violations import GUARD, NO_GUARD, POINT_RULE, SOURCE_RULE
from bayeslat.evaluation.metrics import mape
from bayeslat.report.assessment_drawings import Drawing, draw_assessment
from bayeslat.report.assessment_files import write_assessment
from tests.assessments import (
    DONOR,
    GPU,
    KINDS,
    all_rows,
    assessed,
    calibrated,
    drawn,
    judge,
    recorded,
)

pytestmark = pytest.mark.xdist_group("small posterior")

ALL = [
    "error_vs_samples",
    "predicted_vs_actual",
    "coverage",
    "coefficients",
    "roc",
    "reliability",
    "e3_guardrail_effectiveness",
]
NAMES = {
    "calibrated": ALL,
    "zero-shot": ALL,
    "donor": [name for name in ALL if name not in ("error_vs_samples", "coverage")],
    "nothing": ["coefficients"],
    "donors only": ["coefficients"],
}


def drawing(name: str, kind: str = "calibrated") -> Drawing:
    [found] = [each for each in drawn(kind) if each.name == name]
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_assessment(recorded(), drawn(), folder)
    return folder


def table_of(written: Path, name: str, table: str) -> pd.DataFrame:
    """What stands beside a figure, for machines: six digits."""
    content = json.loads((written / "figures" / f"{name}.json").read_text())
    return pd.DataFrame(content[table])


def line_of(axis: Axes, label: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    [line] = [line for line in axis.lines if line.get_label() == label]
    return np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)


def bars_of(axis: Axes) -> list[NDArray[np.float64]]:
    """Ends of the bars, collection by collection; shapes (bar, 2, 2)."""
    return [
        np.array([each for each in found.get_segments() if len(each)])
        for found in axis.collections
        if isinstance(found, LineCollection)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_there_is_is_drawn(kind: str) -> None:
    assert [each.name for each in drawn(kind)] == NAMES[kind]
    assert all(each.caption.endswith(".") for each in drawn(kind))


def test_errors_are_those_of_the_trials(written: Path) -> None:
    trials = assessed().trials
    assert trials is not None
    lines = table_of(written, "error_vs_samples", "lines")
    axis = drawing("error_vs_samples").figure.axes[0]
    assert list(dict.fromkeys(lines["line"])) == [
        "total", "prefill", "decode", "total, affine estimator",
    ]  # fmt: skip
    for label, part in lines.groupby("line"):
        at, shown = line_of(axis, str(label))
        np.testing.assert_allclose(shown, 100 * part["mape"], rtol=1e-5)
        assert [[0, 5, 10][int(each)] for each in at] == part["rows"].tolist()
    total = trials.scores[trials.scores["stage"] == "total"].groupby("rows")["mape"]
    band = lines[lines["line"] == "total"]
    np.testing.assert_allclose(band["mape_low"], total.min(), rtol=1e-5)
    np.testing.assert_allclose(band["mape_high"], total.max(), rtol=1e-5)


def test_the_affine_estimator_is_judged_as_the_posterior_is() -> None:
    rows = pd.concat(
        [all_rows().assign(repeat=0)]
        + [
            all_rows().assign(repeat=n, t_decode_ms=f * all_rows()["t_decode_ms"])
            for n, f in ((1, 1.3), (2, 1.5))
        ],
        ignore_index=True,
    )
    found = judge(calibrated(), rows, counts=(10,), repetitions=1)
    assert found.trials is not None
    lines = draw_assessment(found)[0].data["lines"].set_index("line")["mape"]
    decided = found.trials.decisions[found.trials.decisions["fraction"] == 1.0]
    # Against the median of three runs, as the scores are, not against the first.
    affine, median, run = (
        decided[f"{name}_ms"].to_numpy() for name in ("affine", "typical", "measured")
    )
    assert lines["total, affine estimator"] == pytest.approx(mape(affine, median))
    assert abs(mape(affine, run) - mape(affine, median)) > 0.02


def test_every_test_config_is_a_dot(written: Path) -> None:
    configs = table_of(written, "predicted_vs_actual", "configs")
    for axis, stage in zip(
        drawing("predicted_vs_actual").figure.axes, ("total", "prefill", "decode"), strict=True
    ):
        part = configs[configs["stage"] == stage]
        assert len(part) == 30
        predicted, measured = line_of(axis, f"{GPU}, 10 calibration rows")
        np.testing.assert_allclose(predicted, part["point_ms"], rtol=1e-5)
        np.testing.assert_allclose(measured, part["measured_ms"], rtol=1e-5)
        [bars] = bars_of(axis)
        np.testing.assert_allclose(bars[:, :, 0], part[["q05_ms", "q95_ms"]], rtol=1e-5)


def test_coverage_is_that_of_the_scores(written: Path) -> None:
    table = table_of(written, "coverage", "stages")
    for axis, level in zip(drawing("coverage").figure.axes, (50, 90), strict=True):
        for stage, part in table.groupby("stage"):
            shown = line_of(axis, str(stage))[1]
            np.testing.assert_allclose(shown, part[f"coverage_{level}"], rtol=1e-5)
        nominal = [line for line in axis.lines if len(set(np.atleast_1d(line.get_ydata()))) == 1]
        assert any(np.allclose(line.get_ydata(), level / 100) for line in nominal)
    shown_legend = drawing("coverage").figure.legends[0].get_texts()
    assert [text.get_text() for text in shown_legend] == ["total", "prefill", "decode"]


def test_coefficients_are_drawn_term_by_term(written: Path) -> None:
    table = table_of(written, "coefficients", "coefficients")
    for axis, stage in zip(drawing("coefficients").figure.axes, ("prefill", "decode"), strict=True):
        names = [text.get_text() for text in axis.get_yticklabels()]
        for gpu in ("a100_sxm", "h100_sxm", "h200_sxm", GPU):
            part = table[(table["gpu"] == gpu) & (table["stage"] == stage)].set_index("term")
            medians, at = line_of(axis, gpu)
            np.testing.assert_allclose(medians, part["median"][names], rtol=1e-5)
            assert np.abs(at - np.arange(len(names))).max() < 0.5  # beside its own term
    legend = [text.get_text() for text in drawing("coefficients").figure.legends[0].get_texts()]
    assert legend == ["a100_sxm", "h100_sxm", "h200_sxm", GPU]
    assert "the donors are" in drawing("coefficients", "nothing").figure.get_suptitle()
    assert f"{DONOR} is" in drawing("coefficients", "donor").figure.get_suptitle()


def colours(figure: Figure) -> dict[str, Any]:
    return {
        str(line.get_label()): line.get_color()
        for line in figure.axes[0].lines
        if not str(line.get_label()).startswith("_")
    }


def test_each_rule_is_a_curve_with_its_band_and_marks(written: Path) -> None:
    curves = table_of(written, "roc", "curves")
    points = table_of(written, "roc", "points")
    axis = drawing("roc").figure.axes[0]
    assert set(curves["rule"]) == {GUARD, POINT_RULE, SOURCE_RULE}
    for rule, part in curves.groupby("rule"):
        rejects, accepts = line_of(axis, str(rule))
        np.testing.assert_allclose(rejects, part["false_reject"], rtol=1e-5)
        np.testing.assert_allclose(accepts, part["false_accept"], rtol=1e-5)
    marks = [line for line in axis.lines if str(line.get_label()).startswith("_")]
    shown = np.array([[float(np.ravel(each)[0]) for each in line.get_data()] for line in marks])
    np.testing.assert_allclose(shown, points[["false_reject", "false_accept"]], rtol=1e-5)
    labels = [text.get_text() for text in axis.texts]
    assert labels == points["label"].tolist()


def test_a_rule_looks_the_same_in_every_figure() -> None:
    roc, violations = (
        colours(drawing(name).figure) for name in ("roc", "e3_guardrail_effectiveness")
    )
    assert set(violations) == {GUARD, POINT_RULE, SOURCE_RULE, NO_GUARD}
    assert all(violations[rule] == colour for rule, colour in roc.items())
    assert len(set(violations.values())) == 4


def test_dots_and_bars_are_the_bins(written: Path) -> None:
    bins = table_of(written, "reliability", "bins")
    pit = table_of(written, "reliability", "pit")
    left, right = drawing("reliability").figure.axes
    predicted, observed = line_of(left, "observed")
    np.testing.assert_allclose(predicted, bins["predicted"], rtol=1e-5)
    np.testing.assert_allclose(observed, bins["observed"], rtol=1e-5)
    [bars] = bars_of(left)
    np.testing.assert_allclose(bars[:, :, 1], bins[["expected_low", "expected_high"]], rtol=1e-5)
    assert [text.get_text() for text in left.texts] == [f"{count}" for count in bins["configs"]]
    heights = [bar.get_height() for bar in right.patches[: len(pit)]]  # type: ignore[attr-defined]
    np.testing.assert_allclose(heights, pit["share"], rtol=1e-5)


def test_configs_that_several_trials_hold_out_are_in_one_bin_once(written: Path) -> None:
    decisions = assessed().decisions
    assert decisions is not None
    whole = decisions[decisions["fraction"] == 1.0]
    assert len(whole) == 30
    bins = table_of(written, "reliability", "bins")
    assert bins["configs"].sum() == whole["config"].nunique() < 30


def test_violations_are_drawn_with_their_intervals(written: Path) -> None:
    rules = table_of(written, "e3_guardrail_effectiveness", "rules")
    above, below = drawing("e3_guardrail_effectiveness").figure.axes
    order = list(dict.fromkeys(rules["rule"]))
    for rule, bars in zip(order, bars_of(above), strict=True):
        part = rules[rules["rule"] == rule]
        rate = part["violation_rate"].to_numpy(float)
        np.testing.assert_allclose(line_of(above, rule)[1], rate, rtol=1e-5)
        held = part[~np.isnan(rate)]
        if len(held):
            np.testing.assert_allclose(
                bars[:, :, 1], held[["violation_low", "violation_high"]].astype(float), rtol=1e-5
            )
    shown = [np.asarray(line.get_ydata(), float) for line in below.lines]
    refused = [rules.loc[rules["rule"] == rule, "false_reject"].to_numpy(float) for rule in order]
    np.testing.assert_allclose(shown, refused, rtol=1e-5)
    ticks = [text.get_text() for text in below.get_xticklabels()]
    assert ticks == ["0.5\n150 ms", "0.7\n210 ms", "0.85\n255 ms", "1\n300 ms"]


@lru_cache(maxsize=2)
def one_sided(budget_ms: float) -> tuple[Drawing, ...]:
    return draw_assessment(judge(calibrated(), all_rows(), budget=Budget(budget_ms), counts=(5,)))


@pytest.mark.parametrize("budget_ms", [1e-3, 1e9])
def test_a_budget_on_one_side_of_all_has_no_trade_off(budget_ms: float) -> None:
    names = [each.name for each in one_sided(budget_ms)]
    assert "roc" not in names
    assert names[-2:] == ["reliability", "e3_guardrail_effectiveness"]


def test_a_donor_is_told_as_measured() -> None:
    figure = drawing("predicted_vs_actual", "donor").figure
    assert figure.get_suptitle() == "Latency of measured configurations"
    assert drawing("predicted_vs_actual").figure.get_suptitle().endswith("held-out configurations")
