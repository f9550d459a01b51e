"""What far-off rows are taken back: where all scatter, none is gross."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bayeslat.inference.calibration.population import Population
from bayeslat.inference.calibration.sound_rows import sound_rows, spare_usual


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


def line_with_an_error(gross: float, at: int = -1) -> tuple[Population, np.ndarray, np.ndarray]:
    """Rows of a line with noise of 3 %, of which one is off; the last, far out, leads the line."""
    rng = np.random.default_rng(1)
    population = Population(
        centre=rng.standard_normal((400, 2)),
        spread=np.zeros((400, 2)),
        departure=np.zeros(1),
        log_noise=np.full(400, np.log(0.03)),
        log_noise_sd=0.1,
    )
    place = np.append(np.linspace(0.0, 1.0, 12), 3.0)
    response = 0.5 + 0.2 * place + 0.03 * rng.standard_normal(13)
    response[at] += gross
    return population, np.column_stack([np.ones(13), place]), response


@pytest.mark.parametrize(("factor", "sound"), [(10.0, False), (1.05, True)])
def test_a_row_that_leads_the_fit_is_judged_by_the_others(factor: float, sound: bool) -> None:
    population, design, response = line_with_an_error(np.log(factor))
    found = sound_rows(population, 1.0, design, response, np.arange(13))
    assert found.tolist() == [True] * 12 + [sound]


@pytest.mark.parametrize(
    ("gross", "inflation", "sound"), [(0.85, 1.0, False), (0.85, 2.0, True), (3.0, 2.0, False)]
)
def test_noise_that_is_inflated_is_as_wide_as_it_counts(
    gross: float, inflation: float, sound: bool
) -> None:
    """A row amid the others is off by 27 sds of 3 %, or by 13 of 6 %; 15 are impossible."""
    population, design, response = line_with_an_error(gross, at=6)
    wider = replace(population, log_noise=population.log_noise + np.log(inflation))
    for each, factor in ((population, inflation), (wider, 1.0)):
        found = sound_rows(each, factor, design, response, np.arange(13))
        assert np.flatnonzero(~found).tolist() == ([] if sound else [6])
