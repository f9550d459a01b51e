from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from bayeslat.report.figures import predicted_against_measured, save_figure

STAGES = {"prefill": "t_prefill_ms", "total": "t_total_ms"}


def make_frame(latency: np.ndarray, unmeasured: np.ndarray) -> pd.DataFrame:
    columns = {}
    for stage, column in STAGES.items():
        for name, factor in (("point", 1.0), ("q05", 0.9), ("q95", 1.1)):
            columns[f"{stage}_{name}_ms"] = factor * latency
        columns[column] = np.where(unmeasured, np.nan, 1.05 * latency)
    return pd.DataFrame(columns)


@pytest.fixture
def figure() -> Figure:
    latency, third = np.geomspace(1, 100, 20), np.arange(20) == 3
    frames = {"a100_sxm": make_frame(latency, third), "l40s": make_frame(2 * latency, third)}
    return predicted_against_measured(frames, STAGES, "A title")


def test_one_panel_a_stage_with_a_diagonal_and_every_gpu(figure: Figure) -> None:
    assert [axis.get_title() for axis in figure.axes] == ["prefill", "total"]
    for axis in figure.axes:
        diagonal, *gpus = axis.lines
        np.testing.assert_array_equal(*diagonal.get_data())
        assert [line.get_label() for line in gpus] == ["a100_sxm", "l40s"]
        assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
        assert axis.get_xlabel() == "predicted, ms"
    assert figure.axes[0].get_ylabel() == "measured, ms"


def test_gpus_differ_in_colour_and_in_marker(figure: Figure) -> None:
    first, second = figure.axes[0].lines[1:]
    assert first.get_marker() != second.get_marker()
    assert first.get_color() != second.get_color()


def test_the_same_figure_is_the_same_file(figure: Figure, tmp_path: Path) -> None:
    save_figure(figure, [tmp_path / "a" / "f.svg", tmp_path / "f.png"])
    save_figure(figure, [tmp_path / "g.svg"])
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a" / "f.svg").read_text() == (tmp_path / "g.svg").read_text()


def test_points_and_bars_are_the_predictions_and_intervals(figure: Figure) -> None:
    axis = figure.axes[1]
    point, measured = (np.asarray(values, float) for values in axis.lines[1].get_data())
    np.testing.assert_allclose(point, np.geomspace(1, 100, 20))
    held = ~np.isnan(measured)
    assert held.sum() == 19
    # A bar without a measurement is drawn nowhere.
    bars = [bar for bar in axis.collections[0].get_segments() if len(bar)]  # type: ignore[attr-defined]
    ends = np.array(bars)
    np.testing.assert_allclose(ends[:, :, 0], np.outer(point[held], [0.9, 1.1]))
    np.testing.assert_allclose(ends[:, 0, 1], measured[held])


def test_title_and_legend_name_what_is_shown(figure: Figure) -> None:
    assert figure.get_suptitle() == "A title"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a100_sxm", "l40s"]


def test_a_row_that_was_not_measured_does_not_stretch_the_axes() -> None:
    latency, last = np.geomspace(1, 100, 20), np.arange(20) == 19
    far = make_frame(np.where(last, 1e6, latency), last)
    axis = predicted_against_measured({"l40s": far}, STAGES, "").axes[0]
    assert axis.get_xlim() == axis.get_ylim()
    assert axis.get_xlim() == pytest.approx((1 / 1.15, latency[18] * 1.05 * 1.15))


def test_a_gpu_or_stage_without_measurements_is_drawn_empty(tmp_path: Path) -> None:
    latency, nothing = np.geomspace(1, 100, 20), np.ones(20, dtype=bool)
    empty = make_frame(latency, nothing)
    empty.loc[:, "prefill_point_ms"] = np.nan
    figure = predicted_against_measured({"l40s": empty}, STAGES, "")
    save_figure(figure, [tmp_path / "f.svg"])
    assert all(np.isfinite(axis.get_xlim()).all() for axis in figure.axes)
    frames = {"a100_sxm": make_frame(latency, ~nothing), "l40s": empty}
    both = predicted_against_measured(frames, STAGES, "").axes[0]
    assert both.get_xlim() == pytest.approx((1 / 1.15, 105 * 1.15))
