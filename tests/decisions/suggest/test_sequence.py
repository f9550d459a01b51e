"""Measuring in rounds: with known noise, as good as a batch; never the same row twice."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.suggest import d_optimal, maximum_variance, share_weighted
from bayeslat.decisions.suggest.method import Method
from bayeslat.decisions.suggest.neighbours import Measurements
from bayeslat.decisions.suggest.pool import make_pool
from bayeslat.decisions.suggest.pose import pose
from bayeslat.decisions.suggest.problem import DesignProblem, StageDesign
from bayeslat.features.hardware import load_hardware
from bayeslat.posterior import Posterior
from tests.decisions.suggest.problems import make_problem, with_strata
from tests.posteriors import make_data, make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

GPU = "l40s"
GREEDY = [share_weighted.choose, maximum_variance.choose, d_optimal.choose]


def learn(stage: StageDesign, chosen: np.ndarray, rng: np.random.Generator) -> StageDesign:
    """Calibrate a stage with measurements that are drawn for it, by precisions."""
    rows = stage.candidates.take(chosen)
    truth = rng.multivariate_normal(stage.mean, stage.covariance)
    measured = rows.design @ truth + rows.blur_sd * rng.normal(size=len(chosen))
    prior = np.linalg.inv(stage.covariance)
    weighted = rows.design / rows.blur_sd[:, None] ** 2
    covariance = np.linalg.inv(prior + rows.design.T @ weighted)
    mean = covariance @ (prior @ stage.mean + weighted.T @ measured)
    made = Measurements(
        *(
            np.concatenate([getattr(stage.made, field.name), getattr(rows, field.name)])
            for field in fields(rows)
        )
    )
    return replace(stage, mean=mean, covariance=covariance, made=made)


def in_rounds(method: Method, problem: DesignProblem, rounds: list[int]) -> list[int]:
    """Choose some, measure them, and choose the next with what they told."""
    rng = np.random.default_rng(1)
    chosen: list[int] = []
    for count in rounds:
        batch = method(problem, count, rng)
        eligible, strata = problem.eligible.copy(), problem.strata
        for candidate in batch.tolist():
            eligible[candidate] = False
            strata = None if strata is None else strata.after(candidate)
        stages = tuple(learn(stage, batch, rng) for stage in problem.stages)
        problem = replace(problem, stages=stages, eligible=eligible, strata=strata)
        chosen += batch.tolist()
    return chosen


@pytest.mark.parametrize("method", GREEDY)
@pytest.mark.parametrize("rounds", [[1] * 12, [5, 7], [4, 1, 7]])
@pytest.mark.parametrize("seed", range(3))
def test_rounds_equal_the_batch(method: Method, rounds: list[int], seed: int) -> None:
    """What a measurement finds moves the mean alone; what it is worth is known before."""
    problem = make_problem(size=30, seed=seed)
    batch = method(problem, 12, np.random.default_rng(0))
    assert in_rounds(method, problem, rounds) == batch.tolist()


def test_rounds_equal_the_batch_in_strata_and_by_cost() -> None:
    cost_ms = np.random.default_rng(0).lognormal(3.0, 1.0, 30)
    problem = with_strata(make_problem(size=30, cost_ms=cost_ms), (20, 7, 3))
    batch = share_weighted.choose(problem, 12, np.random.default_rng(0))
    assert in_rounds(share_weighted.choose, problem, [3, 4, 5]) == batch.tolist()


@pytest.mark.parametrize("method", GREEDY)
def test_a_batch_that_learns_nothing_of_its_own_is_told_apart(method: Method) -> None:
    """The broken twin takes the best twelve at once."""
    differ = 0
    for seed in range(3):
        problem = make_problem(size=30, seed=seed)
        singly = [
            int(method(replace(problem, eligible=mask), 1, np.random.default_rng(0))[0])
            for mask in _without_the_best(method, problem, 12)
        ]
        differ += singly != method(problem, 12, np.random.default_rng(0)).tolist()
    assert differ == 3


def _without_the_best(method: Method, problem: DesignProblem, count: int) -> list[np.ndarray]:
    """Say which candidates are left after each choice, when nothing is learnt from it."""
    masks, eligible = [], problem.eligible.copy()
    for _ in range(count):
        masks.append(eligible.copy())
        best = method(replace(problem, eligible=eligible), 1, np.random.default_rng(0))
        eligible[best] = False
    return masks


def four_rounds(options: dict[str, object]) -> tuple[list[pd.DataFrame], Posterior]:
    """Choose four times three, and calibrate with each."""
    trace = make_frame(3, (GPU,), rows=60)
    known, batches = Posterior(make_data()), []
    for _ in range(4):
        batch = known.suggest(trace, GPU, 3, **options).frame  # type: ignore[arg-type]
        known = known.calibrate(batch[trace.columns], GPU)
        batches.append(batch)
    return batches, known


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "uniform"},
        {"method": "latin_hypercube"},
        {"method": "residual"},
        {"strata": "latency"},
        {"cost": "latency"},
        {"objective": "guardrail", "budget_ms": 300.0},
    ],
    ids=str,
)
def test_no_round_measures_again_and_all_are_repeatable(options: dict[str, object]) -> None:
    batches, _ = four_rounds(options)
    again, _ = four_rounds(options)
    assert not pd.concat(batches).index.duplicated().any()
    for first, second in zip(batches, again, strict=True):
        pd.testing.assert_frame_equal(first, second)


def test_strata_are_covered_over_the_rounds() -> None:
    trace = make_frame(3, (GPU,), rows=60).assign(kind=["rare"] * 6 + ["common"] * 54)
    known, kinds = Posterior(make_data()), []
    for _ in range(10):
        batch = known.suggest(trace, GPU, 1, strata="kind").frame
        known = known.calibrate(batch[trace.columns], GPU)
        kinds += batch["kind"].tolist()
    assert kinds.count("rare") == 1


def test_a_batch_is_about_as_good_as_rounds() -> None:
    """By what the posterior itself expects once all twelve are measured."""
    trace = make_frame(3, (GPU,), rows=60)
    before = Posterior(make_data())
    _, rounds = four_rounds({})
    batch = before.suggest(trace, GPU, 12).frame
    at_once = before.calibrate(batch[trace.columns], GPU)

    def expected(posterior: Posterior) -> float:
        return float(posterior.suggest(trace, GPU, 1).outlook.mape[0])

    assert expected(at_once) == pytest.approx(expected(rounds), rel=0.2)
    assert expected(at_once) < 0.3 * expected(before)


def test_a_gross_error_is_no_measurement_until_another_run_settles_it() -> None:
    trace = make_frame(3, (GPU,), rows=20).assign(config_id=range(20), repeat=0)
    wrong = trace.copy()
    wrong.loc[4, ["t_prefill_ms", "t_decode_ms"]] *= 30.0
    l40s = load_hardware().resolve(GPU)

    def measured(rows: pd.DataFrame) -> tuple[int, list[int]]:
        data = Posterior(make_data()).calibrate(rows, GPU).data
        (stack,) = data.known_stacks(GPU)
        posed = pose(data, trace, l40s, stack, seed=0)
        pool = make_pool(data, trace, (GPU, stack), None)
        return pool.measured, [len(stage.made) for stage in posed.stages]

    assert measured(trace) == (20, [20, 20])
    assert measured(wrong) == (19, [19, 19])
    again = trace.loc[[4]].assign(repeat=1)
    assert measured(pd.concat([wrong, again], ignore_index=True)) == (20, [20, 20])
