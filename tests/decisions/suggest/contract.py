"""What every method of choosing keeps: checks that one passes, or fails with an AssertionError."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bayeslat.decisions.suggest.method import Method
from tests.decisions.suggest.problems import make_problem, with_strata

type Check = Callable[[Method], None]


def choose(method: Method, count: int, seed: int = 0, size: int = 40) -> np.ndarray:
    return method(make_problem(size), count, np.random.default_rng(seed))


def gives_as_many_as_asked_for(method: Method) -> None:
    for count in (1, 7, 39):
        assert choose(method, count).shape == (count,)


def gives_positions(method: Method) -> None:
    assert np.issubdtype(choose(method, 5).dtype, np.integer)


def takes_none_twice(method: Method) -> None:
    assert len(set(choose(method, 39).tolist())) == 39


def takes_eligible_ones_alone(method: Method) -> None:
    for seed in range(5):
        assert 2 not in choose(method, 39, seed)


def depends_on_the_seed_alone(method: Method) -> None:
    np.testing.assert_array_equal(choose(method, 12, seed=3), choose(method, 12, seed=3))


def leaves_the_problem_as_it_was(method: Method) -> None:
    problem, same = make_problem(40), make_problem(40)
    method(problem, 10, np.random.default_rng(0))
    np.testing.assert_array_equal(problem.eligible, same.eligible)
    for one, other in zip(problem.stages, same.stages, strict=True):
        np.testing.assert_array_equal(one.covariance, other.covariance)


def covers_the_strata(method: Method) -> None:
    """Each gets one first, then in proportion to their candidates."""
    for sizes, count, expected in (
        ((10, 10, 10, 10), 4, [1, 1, 1, 1]),
        ((10, 10, 10, 10), 8, [2, 2, 2, 2]),
        ((34, 3, 2, 1), 4, [1, 1, 1, 1]),
        ((30, 10), 12, [9, 3]),
    ):
        problem = with_strata(make_problem(40), sizes)
        assert problem.strata is not None
        chosen = method(problem, count, np.random.default_rng(0))
        found = np.bincount(problem.strata.labels[chosen], minlength=len(sizes))
        assert found.tolist() == expected


CHECKS: tuple[Check, ...] = (
    gives_as_many_as_asked_for,
    gives_positions,
    takes_none_twice,
    takes_eligible_ones_alone,
    depends_on_the_seed_alone,
    leaves_the_problem_as_it_was,
    covers_the_strata,
)
