"""What sets the other methods apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr

from bayeslat.decisions.suggest import (
    d_optimal,
    latin_hypercube,
    maximum_variance,
    residual,
    uniform,
)
from bayeslat.decisions.suggest.method import Method
from tests.decisions.suggest.problems import make_problem, variance_after

RNG = np.random.default_rng(0)


def test_maximum_variance_takes_the_least_sure_total_each_time() -> None:
    problem = make_problem()
    chosen = maximum_variance.choose(problem, 5, RNG).tolist()
    for count, taken in enumerate(chosen):
        parts = [each.share**2 * variance_after(each, chosen[:count]) for each in problem.stages]
        left = problem.eligible.copy()
        left[chosen[:count]] = False
        assert taken == np.argmax(np.where(left, np.sum(parts, axis=0), -1.0))


def test_d_optimal_shrinks_the_determinant_most_each_time() -> None:
    problem = make_problem()
    chosen = d_optimal.choose(problem, 4, RNG).tolist()

    def log_determinant(rows: list[int]) -> float:
        told = 0.0
        for stage in problem.stages:
            scaled = stage.design[rows] / stage.candidates.blur_sd[rows, None]
            told += np.linalg.slogdet(np.linalg.inv(stage.covariance) + scaled.T @ scaled)[1]
        return told

    for count, taken in enumerate(chosen):
        free = [each for each in problem.pool.tolist() if each not in chosen[:count]]
        assert taken == max(free, key=lambda each: log_determinant([*chosen[:count], each]))


def test_residual_takes_the_largest_corrections() -> None:
    problem = make_problem()
    size = np.abs(sum(each.share * each.correction for each in problem.stages))
    expected = sorted(problem.pool.tolist(), key=lambda each: -size[each])
    assert residual.choose(problem, 8, RNG).tolist() == expected


def test_residual_passes_over_what_costs_much() -> None:
    problem = make_problem()
    first = residual.choose(problem, 1, RNG)[0]
    cost_ms = np.where(np.arange(problem.size) == first, 1e9, 1.0)
    assert residual.choose(replace(problem, cost_ms=cost_ms), 1, RNG)[0] != first


def test_uniform_takes_each_candidate_as_often() -> None:
    problem = make_problem()
    rng = np.random.default_rng(1)
    counts = np.bincount(np.concatenate([uniform.choose(problem, 2, rng) for _ in range(4000)]))
    share = 2 / 8
    error = np.sqrt(4000 * share * (1 - share))
    assert np.all(np.abs(np.delete(counts, 2) - 4000 * share) < 4 * error)


@pytest.mark.parametrize("method", [uniform.choose, latin_hypercube.choose])
def test_designs_by_chance_do_not_look_at_costs(method: Method) -> None:
    """Else they would leave out whatever is slow."""
    problem = make_problem(size=40)
    dear = replace(problem, cost_ms=np.geomspace(1.0, 1e9, 40))
    for seed in range(3):
        free, paid = (method(each, 8, np.random.default_rng(seed)) for each in (problem, dear))
        np.testing.assert_array_equal(free, paid)


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_latin_hypercube_spreads_over_every_knob_whatever_its_unit(scale: float) -> None:
    problem = make_problem(size=400)
    problem = replace(problem, knobs=problem.knobs * [scale, 1.0])

    def unevenness(method: Method) -> float:
        """Mean square of how many of ten are too few or many in each fifth of each knob."""
        fifths = np.quantile(problem.knobs, [0.2, 0.4, 0.6, 0.8], axis=0)
        squares = []
        for seed in range(20):
            chosen = method(problem, 10, np.random.default_rng(seed))
            for knob in range(2):
                where = np.searchsorted(fifths[:, knob], problem.knobs[chosen, knob])
                squares.append((np.bincount(where, minlength=5) - 2.0) ** 2)
        return float(np.mean(squares))

    assert unevenness(latin_hypercube.choose) < 0.6 * unevenness(uniform.choose)


def test_latin_hypercube_cuts_each_knob_by_itself() -> None:
    """Points in line would spread over every knob, too, and tell nothing of both together."""
    problem = make_problem(size=400)
    found = []
    for seed in range(20):
        chosen = latin_hypercube.choose(problem, 10, np.random.default_rng(seed))
        found.append(pearsonr(*problem.knobs[chosen].T).statistic)
    # Each has an sd of 1/3 about 0; points in line would have 0.9.
    assert abs(np.mean(found)) < 4 / 3 / np.sqrt(20)
