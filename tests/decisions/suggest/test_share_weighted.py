"""The default takes what brute force takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bayeslat.decisions.suggest import share_weighted
from bayeslat.decisions.suggest.problem import DesignProblem
from tests.decisions.suggest.problems import integrated_error, make_problem

RNG = np.random.default_rng(0)


def brute_force(problem: DesignProblem, count: int) -> list[int]:
    """Try every candidate, with the errors worked out anew for each."""
    chosen: list[int] = []
    while len(chosen) < count:
        before = integrated_error(problem, chosen)
        cost = np.ones(problem.size) if problem.cost_ms is None else problem.cost_ms
        worth = {
            candidate: (before - integrated_error(problem, [*chosen, candidate])) / cost[candidate]
            for candidate in range(problem.size)
            if problem.eligible[candidate] and candidate not in chosen
        }
        chosen.append(max(worth, key=lambda candidate: worth[candidate]))
    return chosen


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("weighted", [False, True])
def test_greedy_equals_brute_force(seed: int, weighted: bool) -> None:
    problem = make_problem(seed=seed, weighted=weighted)
    assert share_weighted.choose(problem, 8, RNG).tolist() == brute_force(problem, 8)


@pytest.mark.parametrize("seed", range(4))
def test_greedy_by_cost_equals_brute_force(seed: int) -> None:
    cost_ms = np.random.default_rng(seed).lognormal(3.0, 1.0, 9)
    problem = make_problem(seed=seed, cost_ms=cost_ms)
    assert share_weighted.choose(problem, 8, RNG).tolist() == brute_force(problem, 8)


def test_the_broken_twin_is_told_apart() -> None:
    """Without the shares, brute force on the true shares disagrees."""
    differ = 0
    for seed in range(6):
        problem = make_problem(seed=seed)
        stages = tuple(replace(each, share=np.ones(problem.size)) for each in problem.stages)
        twin = replace(problem, stages=stages)
        differ += share_weighted.choose(twin, 4, RNG).tolist() != brute_force(problem, 4)
    assert differ >= 3


def test_the_first_reduction_is_that_of_the_integrated_error() -> None:
    problem = make_problem(weighted=True)
    before = integrated_error(problem, [])
    expected = [before - integrated_error(problem, [each]) for each in range(problem.size)]
    np.testing.assert_allclose(share_weighted.integrated_reduction(problem), expected, rtol=1e-8)


def test_a_stage_that_is_all_of_the_total_decides_alone() -> None:
    problem = make_problem()
    alone = replace(problem.stages[0], share=np.ones(problem.size))
    absent = replace(problem.stages[1], share=np.zeros(problem.size))
    both = replace(problem, stages=(alone, absent))
    single = replace(problem, stages=(alone,))
    np.testing.assert_array_equal(
        share_weighted.choose(both, 5, RNG), share_weighted.choose(single, 5, RNG)
    )
