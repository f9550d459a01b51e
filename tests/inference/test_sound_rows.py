"""What far-off rows are taken back: where all scatter, none is gross."""

from __future__ import annotations

import numpy as np
import pytest

from bayeslat.inference.sound_rows import spare_usual


@pytest.mark.parametrize(
    ("others", "errors", "spared"),
    [
        ([10.0, 10.0, 10.0], [60.0, 100.0], [True, False]),  # as wide as ten noise sds
        ([2.0, 14.0, 2.0], [60.0, 100.0], [True, False]),  # their root mean square, 8.2
        ([0.1, 0.1, 0.1], [6.0, 12.0], [True, False]),  # no narrower than the noise is
        ([], [6.0, 12.0], [True, False]),
    ],
)
def test_rows_that_are_as_usual_as_the_others_are_taken_back(
    others: list[float], errors: list[float], spared: list[bool]
) -> None:
    sound = np.array([True] * len(others) + [False] * len(errors))
    found = spare_usual(sound, np.array([*others, *errors]))
    assert found.tolist() == [True] * len(others) + spared
