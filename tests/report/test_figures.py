from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from bayeslat.report.figures import predicted_against_measured, save_figure

STAGES = {"prefill": "t_prefill_ms", "total": "t_total_ms"}


@pytest.fixture
def figure() -> Figure:
    frames = {}
    for number, gpu in enumerate(("a100_sxm", "l40s")):
        latency = np.geomspace(1, 100, 20) * (1 + number)
        columns = {}
        for stage, column in STAGES.items():
            for name, factor in (("point", 1.0), ("q05", 0.9), ("q95", 1.1)):
                columns[f"{stage}_{name}_ms"] = factor * latency
            columns[column] = np.where(np.arange(20) == 3, np.nan, 1.05 * latency)
        frames[gpu] = pd.DataFrame(columns)
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
