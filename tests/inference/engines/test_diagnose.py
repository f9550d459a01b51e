"""Measuring convergence on draws whose faults are known."""

from __future__ import annotations

import numpy as np
import pytest

from bayeslat.inference.engines.diagnose import diagnose
from bayeslat.inference.engines.draws import StageDraws
from bayeslat.model.problem import StageProblem
from tests.problems import KIN, make_case
from tests.regressions import Array

CHAINS, DRAWS = 4, 500


@pytest.fixture(scope="module")
def problem() -> StageProblem:
    return make_case(1, KIN, rows=5).problem


def good_draws(problem: StageProblem, chains: int = CHAINS, seed: int = 2) -> StageDraws:
    """Draw independent normals for every parameter, with an energy of independent normals."""
    rng = np.random.default_rng(seed)
    nodes, features = len(problem.tree.names) + 1, len(problem.features.names)
    return StageDraws(
        scales=rng.standard_normal((chains, DRAWS, problem.layout.size)),
        effects=rng.standard_normal((chains, DRAWS, nodes, features)),
        statistics={
            "diverging": np.zeros((chains, DRAWS), dtype=bool),
            "energy": rng.standard_normal((chains, DRAWS)),
        },
    )


def random_walk(chains: int, seed: int) -> Array:
    """Draws of which each is like the one before, so that all say little. Shape (chain, draw)."""
    walk = np.cumsum(np.random.default_rng(seed).standard_normal((chains, DRAWS)), axis=1)
    return walk / walk.std()


def test_independent_draws_pass(problem: StageProblem) -> None:
    verdict = diagnose("prefill", problem, good_draws(problem))
    assert verdict.stage == "prefill"
    assert verdict.problems == ()
    assert verdict.rhat[0] == pytest.approx(1.0, abs=0.01)
    assert CHAINS * DRAWS * 0.7 < verdict.ess_bulk[0] < CHAINS * DRAWS * 1.1
    # Successive independent normals differ by twice their variance: Betancourt 2016.
    assert verdict.bfmi == pytest.approx(2.0, abs=0.5)
    assert np.isnan(verdict.pareto_k)


@pytest.mark.parametrize("at", [0, 3, -1])
def test_a_bad_scale_among_good_ones_is_named(problem: StageProblem, at: int) -> None:
    draws = good_draws(problem)
    draws.scales[..., at] = random_walk(CHAINS, 3)
    verdict = diagnose("decode", problem, draws)
    name = problem.layout.names[at]
    assert verdict.rhat[1] == verdict.ess_bulk[1] == name
    assert any(f"R-hat of {name}" in each for each in verdict.problems)
    assert any(f"bulk ESS of {name}" in each for each in verdict.problems)


@pytest.mark.parametrize(("node", "feature"), [(0, 0), (2, 1), (-1, -1)])
def test_a_bad_effect_among_good_ones_is_named(
    problem: StageProblem, node: int, feature: int
) -> None:
    draws = good_draws(problem)
    draws.effects[:, :, node, feature] = random_walk(CHAINS, 4)
    nodes = (*problem.tree.names, "shared")
    name = f"{problem.features.names[feature]}[{nodes[node]}]"
    verdict = diagnose("decode", problem, draws)
    assert verdict.rhat[1] == verdict.ess_bulk[1] == name


def test_a_chain_that_sits_elsewhere_is_named(problem: StageProblem) -> None:
    draws = good_draws(problem)
    draws.scales[2, :, 1] += 3.0
    verdict = diagnose("decode", problem, draws)
    assert verdict.rhat[1] == problem.layout.names[1]
    assert verdict.rhat[0] > 1.2


def test_tails_that_are_hardly_visited_are_named(problem: StageProblem) -> None:
    """One visit of each chain: the middle is well known, the lower tail is not."""
    draws = good_draws(problem)
    values = draws.scales[..., 2]
    values[:] = np.abs(values)
    burst = np.random.default_rng(5).standard_normal((CHAINS, 60))
    values[:, 100:160] = -3 + 0.01 * burst
    verdict = diagnose("decode", problem, draws)
    assert verdict.ess_tail[1] == problem.layout.names[2]
    assert verdict.ess_tail[0] < 200


def test_divergences_are_counted_over_all_chains(problem: StageProblem) -> None:
    draws = good_draws(problem)
    draws.statistics["diverging"][[0, 3, 3], [5, 7, 8]] = True
    assert diagnose("decode", problem, draws).divergences == 3


def test_the_worst_chain_has_the_energy_that_counts(problem: StageProblem) -> None:
    draws = good_draws(problem)
    draws.statistics["energy"][1] = random_walk(1, 6)[0]
    energy = draws.statistics["energy"][1]
    # Betancourt 2016, eq. 4: mean square of the steps over the variance.
    expected = np.mean(np.diff(energy) ** 2) / np.var(energy)
    verdict = diagnose("decode", problem, draws)
    assert verdict.bfmi == pytest.approx(expected, rel=0.02)
    assert any("BFMI" in each for each in verdict.problems)


def test_weighted_draws_are_judged_by_their_pareto_shape(problem: StageProblem) -> None:
    draws = good_draws(problem, chains=1)
    weighted = StageDraws(draws.scales, draws.effects, {"pareto_k": np.full((1, DRAWS), 0.9)})
    verdict = diagnose("decode", problem, weighted)
    assert verdict.pareto_k == 0.9
    assert np.isnan(verdict.rhat[0])
    assert np.isnan(verdict.bfmi)
    assert verdict.divergences == 0
    (told,) = verdict.problems
    assert "--engine nuts" in told


def test_a_single_chain_has_no_r_hat_but_the_rest(problem: StageProblem) -> None:
    verdict = diagnose("decode", problem, good_draws(problem, chains=1))
    assert np.isnan(verdict.rhat[0])
    assert verdict.ess_bulk[0] > 300
