"""Choosing by a posterior: what is chosen, passed over and refused."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri, stdtrit

from bayeslat.decisions.predict import predict
from bayeslat.decisions.suggest.belief import prior_belief
from bayeslat.decisions.suggest.choose import suggest
from bayeslat.decisions.suggest.options import SuggestOptions
from bayeslat.decisions.suggest.pose import pose
from bayeslat.decisions.suggest.registry import METHODS
from bayeslat.decisions.suggest.suggestion import Suggestion
from bayeslat.decisions.unseen_task import task_sd
from bayeslat.errors import InputError, TraceError
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec
from bayeslat.inference.calibration.calibrate import calibrate_group
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.thin_draws import DRAWS, thin_draws
from bayeslat.posterior import Posterior
from tests.posteriors import SPEC_TEXT, make_configs, make_data, make_frame, small_spec

pytestmark = pytest.mark.xdist_group("small posterior")

GPU = "l40s"


def ask(
    candidates: pd.DataFrame,
    count: int = 4,
    data: PosteriorData | None = None,
    gpu: str = GPU,
    stack: str | None = None,
    exclude: pd.DataFrame | None = None,
    **options: object,
) -> Suggestion:
    entry = load_hardware().resolve(gpu)
    wanted = SuggestOptions(**options)  # type: ignore[arg-type]
    return suggest(
        data or make_data(), candidates, entry, count, stack=stack, exclude=exclude, options=wanted
    )


def calibrated(rows: int = 6) -> tuple[PosteriorData, pd.DataFrame]:
    measured = make_frame(3, (GPU,), rows=rows)
    return calibrate_group(make_data(), measured, load_hardware().resolve(GPU), ""), measured


@pytest.mark.parametrize("method", METHODS)
def test_rows_keep_their_columns_and_are_ranked(method: str) -> None:
    candidates = make_configs(30).assign(note=[f"n{k}" for k in range(30)], rank="old")
    frame = ask(candidates, method=method).frame
    assert frame["rank"].tolist() == [1, 2, 3, 4]
    kept = list(candidates.columns.drop("rank"))
    pd.testing.assert_frame_equal(frame[kept], candidates.loc[frame.index, kept])
    assert np.isfinite(frame[["gain", "cost_ms"]].to_numpy()).all()


def test_the_gain_is_what_the_sd_loses() -> None:
    found = ask(make_configs(60), 10)
    assert np.all(found.frame["gain"] > 0)
    np.testing.assert_allclose(
        found.frame["gain"].sum(), found.outlook.sd[0] - found.outlook.sd[-1], rtol=1e-10
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_alone_decides(method: str) -> None:
    candidates = make_configs(300)
    first, again = (ask(candidates, 8, method=method, seed=5) for _ in range(2))
    pd.testing.assert_frame_equal(first.frame, again.frame)


def test_the_default_buys_more_than_chance() -> None:
    candidates = make_configs(200)
    best = ask(candidates, 8).outlook.mape
    by_chance = [ask(candidates, 8, method="uniform", seed=k).outlook.mape for k in range(10)]
    # Later on, what neighbours share is most of what is left, and a spread by chance comes near.
    assert best[6] < min(mape[6] for mape in by_chance)
    chance = np.mean(by_chance, axis=0)
    np.testing.assert_allclose(best[0], chance[0], rtol=1e-3)  # the noise of a GPU is drawn
    assert np.all(best[1:] < chance[1:])


def test_what_was_measured_is_not_chosen_again() -> None:
    data, measured = calibrated(6)
    fresh = make_configs(4, seed=9)
    candidates = pd.concat([measured[fresh.columns], fresh], ignore_index=True)
    found = ask(candidates, 4, data)
    assert sorted(found.chosen.tolist()) == [6, 7, 8, 9]
    assert (found.pool.measured, found.pool.size) == (6, 4)
    # Of the donor's rows, and for another GPU, they are candidates.
    assert ask(candidates, 4, data, gpu="a30").pool.measured == 0


def test_repeats_are_one_candidate() -> None:
    candidates = pd.concat([make_configs(5)] * 2, ignore_index=True)
    found = ask(candidates, 5)
    assert sorted(found.chosen.tolist()) == [0, 1, 2, 3, 4]
    assert found.pool.repeated == 5


def test_excluded_configurations_are_not_chosen() -> None:
    candidates = make_configs(12)
    first = ask(candidates, 4)
    rest = ask(candidates, 4, exclude=first.frame)
    assert set(first.chosen).isdisjoint(rest.chosen)
    assert rest.pool.excluded == 4


def test_measured_rows_leave_less_to_learn() -> None:
    data, _ = calibrated(12)
    candidates = make_configs(40, seed=9)
    assert ask(candidates, data=data).outlook.mape[0] < 0.5 * ask(candidates).outlook.mape[0]


@pytest.mark.parametrize("rows", [0, 12])
def test_the_outlook_is_near_what_prediction_says(rows: int) -> None:
    data = make_data() if rows == 0 else calibrated(rows)[0]
    candidates = make_configs(100, seed=9)
    found = ask(candidates, data=data).outlook
    frame = predict(data, candidates, load_hardware().resolve(GPU)).frame
    width = np.mean((frame["total_q95_ms"] - frame["total_q05_ms"]) / frame["total_q50_ms"])
    assert found.width_90[0] == pytest.approx(width, rel=0.2)


def test_cost_is_a_latency_or_a_column() -> None:
    candidates = make_configs(200)
    free, cheap = ask(candidates, 8), ask(candidates, 8, cost="latency")
    assert cheap.cost_ms.sum() < 0.5 * free.cost_ms.sum()
    medians = predict(make_data(), candidates, load_hardware().resolve(GPU)).frame["total_q50_ms"]
    expected = medians.to_numpy()[cheap.chosen]
    np.testing.assert_allclose(cheap.cost_ms, expected, rtol=0.15)
    price = np.where(np.arange(200) % 2 == 0, 1.0, 1e9)
    named = ask(candidates.assign(price=price), 8, cost="price")
    assert np.all(named.chosen % 2 == 0)
    assert named.cost_ms.tolist() == [1.0] * 8


def variance_at(
    data: PosteriorData, candidates: pd.DataFrame, chosen: np.ndarray, points: np.ndarray
) -> float:
    """Mean over some candidates of the variance of the log total, once a batch is measured."""
    posed = pose(thin_draws(data, DRAWS), candidates, load_hardware().resolve(GPU), "", 0)
    total = np.zeros(len(candidates))
    for stage in posed.stages:
        belief = prior_belief(stage)
        for candidate in chosen:
            belief = belief.after(candidate)
        total += stage.share**2 * belief.variance
    return float(total[points].mean())


def test_the_guardrail_measures_where_the_budget_decides() -> None:
    candidates, (data, _) = make_configs(400), calibrated(5)
    medians = predict(data, candidates, load_hardware().resolve(GPU)).frame["total_q50_ms"]
    budget = float(medians.quantile(0.9))
    near = np.flatnonzero(np.abs(np.log(medians / budget)) < 0.2)
    guard = ask(candidates, 6, data, objective="guardrail", budget_ms=budget)
    plain = ask(candidates, 6, data)
    left, broken_twin = (
        variance_at(data, candidates, each.chosen, near) for each in (guard, plain)
    )
    assert left < broken_twin


def test_how_many_decisions_can_turn_is_told() -> None:
    """By the intervals of a run: three sds reach 1.82 times as far as the 5 % quantile."""
    candidates, (data, _) = make_configs(200), calibrated(5)
    frame = predict(data, candidates, load_hardware().resolve(GPU)).frame
    middle, low, high = (np.log(frame[f"total_{name}_ms"]) for name in ("q50", "q05", "q95"))
    budget = float(np.exp(middle.quantile(0.5)))
    reach = 3.0 / 1.645 * np.where(middle > np.log(budget), middle - low, high - middle)
    expected = int(np.sum(np.abs(middle - np.log(budget)) < reach))
    found = ask(candidates, 3, data, objective="guardrail", budget_ms=budget)
    assert 20 < expected < 180
    assert found.near == pytest.approx(expected, abs=10)
    assert ask(candidates, 3, data, objective="guardrail", budget_ms=1e6).near == 0
    assert ask(candidates, 3, data).near is None


def test_beyond_the_range_a_few_tell_all_that_lies_there() -> None:
    candidates = make_configs(60).assign(context=lambda each: each["context"].clip(upper=3000))
    far = make_configs(10, seed=4).assign(context=10**7)
    found = ask(pd.concat([candidates, far], ignore_index=True), 8)
    # They are uncertain, and as far out as one another. They tell nothing of the others.
    assert 1 <= sum(found.chosen >= 60) <= 2


@pytest.mark.parametrize("method", METHODS)
def test_strata_are_covered_by_every_method(method: str) -> None:
    candidates = make_configs(60).assign(kind=["rare"] * 3 + ["common"] * 57)
    found = ask(candidates, 4, method=method, strata="kind")
    assert found.frame["kind"].value_counts()["rare"] == 1
    by_latency = ask(candidates, 5, method=method, strata="latency")
    assert by_latency.strata is not None
    assert sorted(by_latency.strata.labels[by_latency.chosen].tolist()) == [0, 1, 2, 3, 4]


def test_strata_need_not_change_the_choice() -> None:
    candidates = make_configs(60).assign(kind="all")
    np.testing.assert_array_equal(
        ask(candidates, 6, strata="kind").chosen, ask(candidates, 6).chosen
    )


def test_what_was_measured_counts_for_its_stratum() -> None:
    data, measured = calibrated(6)
    fresh = make_configs(12, seed=9)
    candidates = pd.concat([measured[fresh.columns], fresh], ignore_index=True)
    kinds = ["one"] * 6 + ["one", "two"] * 6
    found = ask(candidates.assign(kind=kinds), 3, data, strata="kind")
    # 12 candidates of one, 6 of them measured; 6 of the other.
    assert found.frame["kind"].tolist() == ["two"] * 3
    broken_twin = ask(candidates.assign(kind=kinds), 3, strata="kind")
    assert set(broken_twin.frame["kind"]) == {"one", "two"}


@pytest.mark.parametrize("strata", ["latency", "context", "kind"])
def test_what_was_measured_counts_though_it_is_no_candidate(strata: str) -> None:
    data, measured = calibrated(6)
    candidates = make_configs(40, seed=9).assign(kind="any")
    among = pd.concat([measured[list(candidates)[:-1]].assign(kind="any"), candidates])
    found = ask(candidates, 3, data, strata=strata).strata
    assert found is not None
    if strata == "kind":
        assert (int(found.taken.sum()), found.unplaced) == (0, 6)
    else:
        assert (int(found.taken.sum()), found.unplaced) == (6, 0)
    # Among the candidates, none is counted twice.
    both = ask(among.reset_index(drop=True), 3, data, strata=strata).strata
    assert both is not None
    assert (int(both.taken.sum()), both.unplaced) == (6, 0)


def test_a_stratum_that_was_measured_is_not_chosen_first() -> None:
    """As a user who took the measured rows out of the candidates."""
    measured = calibrated(6)[1]
    data = calibrate_group(
        make_data(), measured.assign(batch_size=1), load_hardware().resolve(GPU), ""
    )
    candidates = make_configs(20, seed=9).assign(batch_size=[1, 64] * 10)
    assert ask(candidates, 4, data, strata="batch_size").frame["batch_size"].tolist() == [64] * 4
    broken_twin = ask(candidates, 4, strata="batch_size")
    assert set(broken_twin.frame["batch_size"]) == {1, 64}


def test_more_strata_than_asked_for_get_one_each() -> None:
    candidates = make_configs(40).assign(kind=np.arange(40) % 8)
    found = ask(candidates, 5, strata="kind")
    assert found.frame["kind"].nunique() == 5


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"count": 0}, "n is 0; it must be a whole number from 1 on"),
        ({"count": 31}, "n is 31, but there are 30 to choose from: 30 of 30 candidates"),
        ({"objective": "best"}, "objective is 'best'; it must be total or guardrail"),
        ({"objective": "guardrail"}, "without a budget; give budget_ms"),
        ({"budget_ms": 5.0}, "which objective total does not use; choose guardrail"),
        ({"objective": "guardrail", "budget_ms": -1.0}, "budget_ms is -1; it must be a positive"),
        ({"method": "uniforn"}, "no method 'uniforn'; nearest: uniform. All: share_weighted,"),
        ({"cost": "euros"}, "cost is 'euros'; it must be none, latency or a column"),
        ({"stack": " "}, "stack is ' '; name one of the traces"),
        (
            {"strata": "kind"},
            r"strata is 'kind'; it must be latency or a column of .*\(batch_size,",
        ),
    ],
)
def test_impossible_arguments_are_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        ask(make_configs(30), **options)  # type: ignore[arg-type]


def test_a_candidate_without_a_stratum_is_told_by_row() -> None:
    candidates = make_configs(4).assign(kind=["a", np.nan, "b", np.nan])
    with pytest.raises(InputError, match="'kind' is missing in 2 rows, first in row 2; name a"):
        ask(candidates, strata="kind")


def test_everything_that_is_wrong_is_told_at_once() -> None:
    candidates = make_configs(3).assign(price=[1.0, 0.0, np.nan], stack=["v1", "v2", "v2"])
    with pytest.raises(InputError) as caught:
        ask(candidates, 0, objective="guardrail", cost="price", method="no")
    for told in ("n is 0", "without a budget", "'price' is 0.0 at row 2", "in 2 rows", "no method"):
        assert told in str(caught.value)
    assert "candidates are of the stacks v1, v2; choose for one at a time" in str(caught.value)


def test_a_stack_is_what_the_spec_makes_of_the_columns() -> None:
    """The name of the fit and that of the column are of one; two models are two."""
    spec = Spec.from_text('stack_columns = ["model"]\n' + SPEC_TEXT)
    data = replace(make_data(stacks=("v1/qwen",)), spec=spec)
    configs = make_configs(6)
    for own in ({"stack": "v1", "model": "qwen"}, {"model": "qwen"}, {"stack": "v1/qwen"}, {}):
        stack = "v1" if own == {"model": "qwen"} else "v1/qwen"
        found = ask(configs.assign(**own), 2, data, "h100_sxm", stack)
        assert found.stack == "v1/qwen"
    two = configs.assign(stack="v1", model=["qwen"] * 3 + ["llama"] * 3)
    with pytest.raises(InputError, match="of the stacks v1/qwen, v1/llama; choose for one at a"):
        ask(two, 2, data, "h100_sxm")
    with pytest.raises(InputError, match="of the stacks v1/qwen, v2"):
        ask(two.head(3), 2, data, "h100_sxm", "v2")


def test_too_few_are_told_with_what_became_of_the_rest() -> None:
    data, measured = calibrated(6)
    candidates = pd.concat([measured[make_configs(1).columns], make_configs(3, seed=9)])
    with pytest.raises(InputError, match=r"n is 4, but .* 3 of 9 candidates \(6 were measured\)"):
        ask(candidates, 4, data)


def test_broken_candidates_are_told_by_row() -> None:
    with pytest.raises(TraceError, match="context"):
        ask(make_configs(5).assign(context=[1.0, np.nan, 3.0, 4.0, 5.0]))
    with pytest.raises(TraceError, match="batch_size"):
        ask(make_configs(5), exclude=make_configs(2).drop(columns="batch_size"))
    with pytest.raises(InputError, match="candidates is a list; read a table with read_configs"):
        Posterior(make_data()).suggest(["a.csv"], GPU, 3)  # type: ignore[arg-type]


def test_candidates_in_which_no_stage_runs_are_told_by_row() -> None:
    """As under `--stages decode`, of no token."""
    data = fit_posterior(small_spec().only(["decode"]), make_frame(), engine="laplace")
    candidates = make_configs(5).assign(output_tokens=[7, 0, 5, 0, 3])
    told = r"no stage takes any time in 2 candidates \(`times` is 0\), first in row 2; leave these"
    with pytest.raises(InputError, match=told):
        ask(candidates, 2, data)
    kept = candidates[candidates["output_tokens"] > 0]
    assert np.isfinite(ask(kept, 2, data).frame[["gain", "cost_ms"]].to_numpy()).all()


def test_a_stack_is_taken_from_the_candidates() -> None:
    data = make_data(stacks=("v1", "v2"))
    candidates = make_configs(30)
    named = ask(candidates.assign(stack="v1"), data=data, gpu="a100_sxm")
    same = ask(candidates, data=data, gpu="a100_sxm", stack="v1")
    other = ask(candidates, data=data, gpu="a100_sxm", stack="v9")
    np.testing.assert_array_equal(named.outlook.mape, same.outlook.mape)
    assert other.outlook.mape[0] > 2 * same.outlook.mape[0]


def test_of_several_stacks_one_has_to_be_named() -> None:
    data = make_data(stacks=("v1", "v2"))
    told = "a100_sxm was measured with the stacks 'v1', 'v2', and none is named; name one of them"
    with pytest.raises(InputError, match=told):
        ask(make_configs(30), data=data, gpu="a100_sxm")
    assert ask(make_configs(30), data=data, gpu=GPU).stack is None  # a GPU without rows has none


def test_an_unseen_task_tells_little() -> None:
    data = make_data(tasks=("qa", "captioning"))
    known = make_configs(40, tasks=("qa", "captioning"))
    new = make_configs(10, seed=3).assign(task="robotics")
    posed = ask(pd.concat([known, new], ignore_index=True), 5, data, gpu="a100_sxm")
    assert np.isfinite(posed.outlook.mape).all()


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_a_row_with_heavy_tails_tells_as_much_as_its_information(slope: float) -> None:
    """As one with normal noise of sd s root((dof + 3) / (dof + 1)) (Lange and others 1989).

    With a slope, noise depends on the configuration.
    """
    data, configs = thin_draws(make_data(), DRAWS), make_configs(5)
    stages = {}
    for name, part in data.stages.items():
        shape = replace(part.noise_shape, slopes=np.full_like(part.noise_shape.slopes, slope))
        stages[name] = replace(part, noise_dof=3.0, noise_shape=shape)
    data, gpu = replace(data, stages=stages), data.hardware["a100_sxm"]
    prediction = predict(data, configs, gpu)
    for name, stage in zip(stages, pose(data, configs, gpu, "", 0).stages, strict=True):
        squares = np.mean(prediction.stages[name].noise_sd ** 2, axis=1)
        scale = np.broadcast_to(np.sqrt(squares), 5)
        np.testing.assert_allclose(stage.candidates.noise_sd, scale * np.sqrt(6.0 / 4.0))
        np.testing.assert_allclose(stage.candidates.blur_sd, stage.candidates.noise_sd)
        np.testing.assert_allclose(stage.run_sd, scale * stdtrit(3.0, 0.95) / ndtri(0.95))


def test_noise_that_strikes_stages_together_makes_a_run_less_sure() -> None:
    data, configs = thin_draws(make_data(), DRAWS), make_configs(5)
    together = np.array([[1.0, 0.8], [0.8, 1.0]])
    apart, joined = (
        pose(replace(data, noise_correlation=each), configs, data.hardware["a100_sxm"], "", 0)
        for each in (None, together)
    )
    np.testing.assert_array_equal(apart.noise_correlation, np.eye(2))
    np.testing.assert_array_equal(joined.noise_correlation, together)


def test_measurements_of_an_unseen_task_are_blurred_by_how_tasks_differ() -> None:
    data = thin_draws(make_data(tasks=("qa", "captioning")), DRAWS)
    configs = make_configs(6)
    both = pd.concat([configs.assign(task="qa"), configs.assign(task="robotics")])
    posed = pose(data, both.reset_index(drop=True), data.hardware["a100_sxm"], "", 0)
    for part, stage in zip(data.stages.values(), posed.stages, strict=True):
        differ = np.mean(task_sd(part) ** 2)
        blur, beyond = stage.candidates.blur_sd**2, stage.beyond_sd**2
        np.testing.assert_allclose(blur[6:] - blur[:6], differ)
        np.testing.assert_allclose(beyond, np.repeat([0.0, differ], 6))


def test_an_unseen_task_may_lie_on_either_side_of_the_budget() -> None:
    data = make_data(tasks=("qa", "captioning"))
    candidates = make_configs(40).assign(task=["qa", "robotics"] * 20)
    frame = predict(data, candidates, load_hardware().resolve("a100_sxm")).frame
    budget = 1.5 * float(frame["total_q50_ms"].max())
    found = ask(candidates, 4, data, "a100_sxm", objective="guardrail", budget_ms=budget)
    assert np.isfinite(found.outlook.sd).all()
    # What is unsure there is mostly how tasks differ, which no other task tells.
    plain = ask(candidates, 4, data, "a100_sxm")
    assert found.outlook.sd[0] > 1.5 * plain.outlook.sd[0]


def test_twenty_five_of_ten_thousand_take_a_second() -> None:
    candidates = make_configs(10_000)
    ask(candidates.head(100))
    began = time.perf_counter()
    ask(candidates, 25)
    assert time.perf_counter() - began < 5.0  # a second on an idle machine


def test_the_python_call_is_the_same() -> None:
    candidates = make_configs(20)
    found = Posterior(make_data()).suggest(candidates, "NVIDIA L40S", 3, seed=2)
    pd.testing.assert_frame_equal(found.frame, ask(candidates, 3, seed=2).frame)
