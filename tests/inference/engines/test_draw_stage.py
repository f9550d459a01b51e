"""Drawing a stage: the engines, the second try, and whose verdict stands."""

from __future__ import annotations

from dataclasses import astuple
from functools import lru_cache

import numpy as np
import pytest

from bayeslat.inference.engines.diagnose import diagnose
from bayeslat.inference.engines.diagnostics import StageDiagnostics
from bayeslat.inference.engines.draw_stage import NutsOptions, draw_stage
from bayeslat.inference.engines.draws import StageDraws
from bayeslat.inference.engines.laplace import sample_laplace
from bayeslat.inference.engines.nuts import sample_nuts
from bayeslat.model.problem import StageProblem
from tests.problems import LONE, make_case

pytestmark = pytest.mark.xdist_group("drawn stages")

SHORT = NutsOptions(chains=1, draws=10, tune=50)
ENOUGH = NutsOptions(chains=2, draws=800, tune=300)


@lru_cache(maxsize=1)
def problem() -> StageProblem:
    return make_case(11, LONE, degree=1, rows=30).problem


@lru_cache(maxsize=8)
def draw(nuts: NutsOptions | None, seed: int = 1) -> tuple[StageDraws, StageDiagnostics]:
    return draw_stage("decode", problem(), seed, nuts)


def same(left: StageDraws, right: StageDraws) -> bool:
    return bool(
        np.array_equal(left.scales, right.scales) and np.array_equal(left.effects, right.effects)
    )


@pytest.mark.parametrize("nuts", [None, SHORT])
def test_the_seed_alone_decides(nuts: NutsOptions | None) -> None:
    again, _ = draw_stage("decode", problem(), 1, nuts)
    assert same(draw(nuts)[0], again)
    assert not same(draw(nuts)[0], draw(nuts, seed=2)[0])


@pytest.mark.parametrize("nuts", [None, SHORT, ENOUGH])
def test_the_verdict_is_that_of_the_draws(nuts: NutsOptions | None) -> None:
    draws, verdict = draw(nuts)
    assert verdict.stage == "decode"
    expected = diagnose("decode", problem(), draws)
    # NaN is not itself, but its representation is.
    assert repr(astuple(verdict)) == repr(astuple(expected))


def test_laplace_gives_one_chain_with_its_pareto_shape() -> None:
    draws, verdict = draw(None)
    assert draws.scales.shape[0] == 1
    assert set(draws.statistics) == {"pareto_k"}
    assert verdict.pareto_k == draws.statistics["pareto_k"][0, 0] < 0.7
    assert verdict.problems == ()
    assert same(draws, sample_laplace(problem(), 1))


def test_enough_draws_pass_at_once() -> None:
    # Which seeds pass at once depends on the processor's rounding; nearly all do.
    for seed in range(1, 6):
        once = sample_nuts(problem(), seed, chains=2, draws=800, tune=300)
        if not diagnose("decode", problem(), once).problems:
            break
    draws, verdict = draw(ENOUGH, seed=seed)
    assert verdict.problems == ()
    assert draws.scales.shape[:2] == (2, 800)
    assert same(draws, once)


def test_too_few_draws_come_back_with_their_problems_and_cures() -> None:
    draws, verdict = draw(SHORT)
    assert draws.scales.shape[:2] == (1, 10)
    names = {*problem().layout.names}
    told = [each for each in verdict.problems if "ESS" in each]
    assert len(told) == 2
    for each in told:
        assert each.startswith("stage decode: ")
        assert each.endswith("use more --draws")
    assert verdict.ess_bulk[1] in names or "[" in verdict.ess_bulk[1]
    assert np.isnan(verdict.rhat[0])  # of a single chain


def test_a_stage_that_does_not_pass_is_sampled_anew_with_smaller_steps() -> None:
    options = {"chains": 1, "draws": 10, "tune": 50}
    careful = sample_nuts(problem(), 1, **options, careful=True)  # type: ignore[arg-type]
    plain = sample_nuts(problem(), 1, **options)  # type: ignore[arg-type]
    assert same(draw(SHORT)[0], careful)
    assert not same(draw(SHORT)[0], plain)


def test_progress_is_told_of_both_tries() -> None:
    told: list[tuple[int, int]] = []
    draw_stage("decode", problem(), 1, SHORT, lambda done, total: told.append((done, total)))
    assert {total for _, total in told} == {10 + 50, 10 + 100}  # the second tunes twice as long
    assert told[-1] == (110, 110)
    assert all(0 <= done <= total for done, total in told)
    told.clear()
    draw_stage("decode", problem(), 1, None, lambda done, total: told.append((done, total)))
    assert told == [(1, 1)]
