"""The error that a calibrated GPU's predictions should have."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from bayeslat.decisions.summary import summarise_draws
from bayeslat.evaluation.expected_error import ErrorOutlook
from bayeslat.evaluation.transfer import judge_transfer
from bayeslat.inference.calibration.calibrate import calibrate_group
from bayeslat.inference.posteriors.posterior import PosteriorData
from tests.posteriors import make_data, make_frame, with_noise_shared
from tests.targets import stranger

pytestmark = pytest.mark.xdist_group("small posterior")

GPU = stranger()
SIMULATIONS = 400
MAX_ERRORS = 4.0


@lru_cache(maxsize=1)
def calibrated() -> PosteriorData:
    return calibrate_group(make_data(), make_frame(5, (GPU.key,), rows=40), GPU, "")


def outlook(configs: float = 10.0, shared: float = 0.5) -> ErrorOutlook:
    """Where so many repeated configurations tell which part of the noise is their own."""
    data = with_noise_shared(calibrated(), shared)
    stages = {
        name: replace(part, noise_shared_configs=configs) for name, part in data.stages.items()
    }
    return ErrorOutlook.of(replace(data, stages=stages), GPU, "", seed=0)


def held(found: ErrorOutlook) -> float:
    """How often the range holds the MAPE of worlds in which that part is anything from 0 to 1."""
    expected = found.expected(np.zeros(found.size))
    sure = replace(outlook(), sure_of_shared=True)
    point = summarise_draws(sure.draws)["point"]
    rng = np.random.default_rng(1)
    inside = 0
    for part in rng.uniform(size=SIMULATIONS):
        at = rng.integers(sure.size)
        missed = np.sqrt(part / 0.5) * sure.missed_sd[:, at] * rng.standard_normal(len(point))
        truth = sure.draws[:, at] * np.exp(missed)
        inside += expected.low < np.mean(np.abs(point / truth - 1.0)) < expected.high
    return inside / SIMULATIONS


def test_the_range_counts_that_the_part_is_not_known() -> None:
    error = np.sqrt(0.9 * 0.1 / SIMULATIONS)
    assert abs(held(outlook()) - 0.9) < MAX_ERRORS * error
    # The broken twin takes the estimate for sure.
    assert held(replace(outlook(), sure_of_shared=True)) < 0.9 - 3 * MAX_ERRORS * error


@pytest.mark.parametrize("shared", [0.0, 0.2, 0.5, 1.0])
def test_the_variance_stays_what_it_was_on_average(shared: float) -> None:
    found = outlook(shared=shared)
    square = np.mean([factor**2 for factor in found._shared_factors().values()])
    assert square == pytest.approx(1.0, abs=0.02)


def test_repeated_configurations_narrow_the_range() -> None:
    widths = []
    for configs in (10.0, 100.0, 1e6):
        error = outlook(configs).expected(np.zeros(outlook().size))
        widths.append(error.high - error.low)
    sure = replace(outlook(), sure_of_shared=True).expected(np.zeros(outlook().size))
    assert widths[0] > 1.5 * widths[1]
    assert widths[1] > widths[2]
    assert widths[2] == pytest.approx(sure.high - sure.low, rel=0.02)


def test_the_verdict_asks_for_repeats_where_no_rows_would_do() -> None:
    found = outlook()
    high = found.expected(np.zeros(found.size)).high
    sure = replace(found, sure_of_shared=True).expected(np.zeros(found.size)).high
    threshold = 0.5 * (high + sure)
    assert found.more_rows(np.zeros(found.size), threshold) is None
    verdict = judge_transfer(found.data, GPU, "", threshold=threshold)
    assert (verdict.verdict, verdict.more_repeats) == ("more data", True)
    assert "too few repeats tell which part of the noise is a configuration's own" in str(verdict)
    assert not judge_transfer(found.data, GPU, "", threshold=1.1 * high).more_repeats
