"""Every method keeps the contract, and a broken twin of each rule does not."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from bayeslat.cli_options.decide import MethodName
from bayeslat.decisions.suggest.method import Method
from bayeslat.decisions.suggest.problem import DesignProblem
from bayeslat.decisions.suggest.registry import DEFAULT_METHOD, METHODS
from tests.decisions.suggest import contract
from tests.decisions.suggest.contract import CHECKS, Check

CHANCE = np.random.default_rng()


def one_too_few(problem: DesignProblem, count: int, rng: np.random.Generator) -> np.ndarray:
    return problem.pool[: count - 1]


def floats(problem: DesignProblem, count: int, rng: np.random.Generator) -> np.ndarray:
    return problem.pool[:count].astype(float)


def with_repetition(problem: DesignProblem, count: int, rng: np.random.Generator) -> np.ndarray:
    return problem.pool[np.zeros(count, dtype=int)]


def whatever_is_there(problem: DesignProblem, count: int, rng: np.random.Generator) -> np.ndarray:
    return np.arange(count)


def of_its_own_mind(problem: DesignProblem, count: int, rng: np.random.Generator) -> np.ndarray:
    return CHANCE.permutation(problem.pool)[:count]


def untidy(problem: DesignProblem, count: int, rng: np.random.Generator) -> np.ndarray:
    chosen = problem.pool[:count]
    problem.eligible[chosen] = False
    return chosen


def wherever_it_likes(problem: DesignProblem, count: int, rng: np.random.Generator) -> np.ndarray:
    return problem.pool[:count]


TWINS: dict[Check, Method] = {
    contract.gives_as_many_as_asked_for: one_too_few,
    contract.gives_positions: floats,
    contract.takes_none_twice: with_repetition,
    contract.takes_eligible_ones_alone: whatever_is_there,
    contract.depends_on_the_seed_alone: of_its_own_mind,
    contract.leaves_the_problem_as_it_was: untidy,
    contract.covers_the_strata: wherever_it_likes,
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_method_keeps_the_contract(name: str, check: Check) -> None:
    check(METHODS[name])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_broken_twin_is_noticed(check: Check) -> None:
    with pytest.raises(AssertionError):
        check(TWINS[check])


def test_the_command_line_knows_every_method() -> None:
    assert get_args(MethodName) == tuple(METHODS)
    assert DEFAULT_METHOD in METHODS
