"""What a batch is said to buy is what recomputing and simulating give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bayeslat.decisions.suggest.outlook import Outlook, look_ahead
from bayeslat.decisions.suggest.problem import DesignProblem, StageDesign
from tests.decisions.suggest.problems import (
    NOISE_SHARED,
    excess_after,
    make_problem,
    variance_after,
)

CHOSEN = np.array([4, 0, 8, 5])


def total_variance(
    problem: DesignProblem,
    count: int,
    of: Callable[[StageDesign, list[int]], np.ndarray] = variance_after,
) -> np.ndarray:
    chosen = CHOSEN[:count].tolist()
    return np.sum([each.share**2 * of(each, chosen) for each in problem.stages], axis=0)


def test_the_outlook_equals_recomputation() -> None:
    problem = make_problem(weighted=True)
    found = look_ahead(problem, CHOSEN, np.arange(problem.size))
    for count in range(len(CHOSEN) + 1):
        off = total_variance(problem, count, excess_after)
        sd = np.sqrt(off + NOISE_SHARED * problem.run_variance)
        np.testing.assert_allclose(found.sd[count], sd @ problem.weights, rtol=1e-8)
        np.testing.assert_allclose(found.mape[count], np.sqrt(2 / np.pi) * sd.mean(), rtol=1e-8)
    np.testing.assert_allclose(found.gain, found.sd[:-1] - found.sd[1:])


def test_the_width_is_that_of_a_run() -> None:
    problem = make_problem()
    found = look_ahead(problem, CHOSEN, np.arange(problem.size))
    rng = np.random.default_rng(0)
    draws = 40_000
    sds = np.stack([each.share * each.run_sd for each in problem.stages], axis=1)
    noise = rng.normal(size=(draws, 2)) @ np.linalg.cholesky(problem.noise_correlation).T
    logs = noise @ sds.T + rng.normal(size=(draws, 1)) * np.sqrt(total_variance(problem, 4))
    low, high = np.quantile(np.exp(logs), [0.05, 0.95], axis=0)
    assert np.mean(high - low) == pytest.approx(found.width_90[4], rel=0.02)


def test_what_no_measurement_explains_stays() -> None:
    problem = make_problem()
    beyond = tuple(replace(each, beyond_sd=np.full(9, 0.3)) for each in problem.stages)
    found = look_ahead(replace(problem, stages=beyond), CHOSEN, np.arange(9))
    shares = np.mean([np.hypot(*(each.share[k] for each in beyond)) for k in range(9)])
    assert found.mape[-1] > np.sqrt(2 / np.pi) * 0.3 * shares


@pytest.mark.parametrize(
    ("mape", "rank"),
    [
        ([1.0, 0.5, 0.4, 0.399, 0.398], 3),
        ([1.0, 0.5, 0.499, 0.4, 0.3999], 4),
        ([1.0, 0.5, 0.4], None),
        ([1.0, 0.999, 0.998], 1),
        ([0.0, 0.0], 1),
    ],
)
def test_from_which_rank_on_measurements_stop_paying(mape: list[float], rank: int | None) -> None:
    values = np.array(mape)
    assert Outlook(values, values, values).stops_paying_at == rank
