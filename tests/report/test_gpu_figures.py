"""Figures of one GPU, from small tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayeslat.report.gpu_figures import draw_coefficients, draw_coverage


def make_table(gpus: int) -> pd.DataFrame:
    """Two terms of each GPU; the last was calibrated."""
    rows = [
        {
            "stage": "decode",
            "term": term,
            "gpu": f"gpu{number}",
            "stack": "",
            "fitted": number < gpus - 1,
            "median": 1.0 + number,
            "q05": 0.9 + number,
            "q95": 1.2 + number,
        }
        for number in range(gpus)
        for term in ("memory", "launch")
    ]
    return pd.DataFrame(rows)


def test_many_gpus_stay_beside_their_own_term() -> None:
    for gpus in (2, 5, 12):
        figure = draw_coefficients(make_table(gpus), f"gpu{gpus - 1}", "", "title")
        lines = [line for line in figure.axes[0].lines if str(line.get_label()).startswith("gpu")]
        assert len(lines) == gpus
        at = np.array([np.asarray(line.get_ydata(), float) for line in lines])
        assert np.abs(at - [0.0, 1.0]).max() < 0.45
        assert len(np.unique(at.round(6))) == 2 * gpus


def test_the_gpu_stands_out_and_may_be_absent() -> None:
    figure = draw_coefficients(make_table(3), "gpu2", "", "title")
    own, other = (
        next(line for line in figure.axes[0].lines if line.get_label() == name)
        for name in ("gpu2", "gpu0")
    )
    assert own.get_color() != other.get_color()
    assert own.get_markersize() > other.get_markersize()
    absent = draw_coefficients(make_table(3).query("fitted"), "gpu2", "", "title")
    labels = [text.get_text() for text in absent.legends[0].get_texts()]
    assert labels == ["gpu0", "gpu1"]


def test_coverage_has_a_panel_a_level_with_its_nominal_line() -> None:
    scores = pd.DataFrame(
        {
            "rows": [0, 10, 0, 10],
            "stage": ["total", "total", "llm_decode", "llm_decode"],
            "coverage_50": [0.4, 0.5, 0.6, 0.7],
            "coverage_90": [0.8, 0.9, 1.0, 1.0],
        }
    )
    figure = draw_coverage(scores, "title")
    assert [axis.get_title() for axis in figure.axes] == ["50 % intervals", "90 % intervals"]
    for axis, level in zip(figure.axes, (50, 90), strict=True):
        total, decode, nominal = axis.lines
        part = scores[scores["stage"] == "total"]
        np.testing.assert_array_equal(total.get_ydata(), part[f"coverage_{level}"])
        assert decode.get_label() == "llm decode"
        assert set(np.atleast_1d(nominal.get_ydata())) == {level / 100}
        assert [text.get_text() for text in axis.get_xticklabels()] == ["0", "10"]
