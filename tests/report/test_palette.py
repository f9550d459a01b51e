"""What all figures look like."""

from __future__ import annotations

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import to_rgb

from bayeslat.report.palette import (
    COLOURS,
    DASHES,
    INK,
    MARKERS,
    lay_out,
    make_figure,
    percent,
    styled,
)


def grey(colour: str) -> float:
    """Perceived lightness (Rec. 709 luminance, to the third)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722])) ** (1 / 3)


def test_lines_differ_in_colour_dashes_and_marker() -> None:
    assert len(set(COLOURS)) == len(set(MARKERS)) == len(set(map(str, DASHES))) == len(COLOURS) == 9


def test_all_colours_but_the_ink_show_on_white_and_on_black() -> None:
    assert INK in COLOURS  # which a page turns into the colour of its text
    for colour in set(COLOURS) - {INK}:
        assert 0.2 < grey(colour) < 0.9, colour


def test_the_users_settings_change_nothing() -> None:
    @styled
    def draw() -> float:
        return float(make_figure(2, 2).subplots().xaxis.label.get_fontsize())

    with rc_context({"axes.labelsize": 30}):
        assert draw() == 9.0


def test_a_figure_is_laid_out_once() -> None:
    figure = make_figure(4, 3)
    figure.subplots().set_title("title")
    lay_out(figure)
    first = figure.axes[0].get_position().bounds
    for _ in range(3):
        lay_out(figure)
        figure.draw_without_rendering()
    assert figure.axes[0].get_position().bounds == first
    assert first[1] > 0.05


def test_percent_keeps_the_digits_that_count() -> None:
    assert [percent(part) for part in (0.0, 0.001, 0.05, 1.0)] == ["0 %", "0.1 %", "5 %", "100 %"]
