"""A GPU calibrated again and again from few rows: a target with a known truth."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.guard import Budget
from bayeslat.decisions.prediction import TOTAL
from bayeslat.errors import InputError, TraceError
from bayeslat.evaluation.comparison.hierarchical import as_estimate
from bayeslat.evaluation.guardrail.affine_rival import choose_source
from bayeslat.evaluation.guardrail.trial import Trials, run_trials
from bayeslat.evaluation.guardrail.trial_options import TrialOptions
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.posterior import Posterior
from tests.posteriors import make_data, make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

GPU = "l40s"
OPTIONS = TrialOptions(Budget(300.0), counts=(0, 3, 20), repetitions=2, test_configs=15)


@lru_cache(maxsize=1)
def all_rows() -> pd.DataFrame:
    """The target's rows, and others of the donors."""
    return pd.concat([make_frame(5, (GPU,), rows=50), make_frame(5)], ignore_index=True)


def own_rows() -> pd.DataFrame:
    return all_rows()[all_rows()["gpu"] == GPU]


def trials(
    rows: pd.DataFrame,
    options: TrialOptions = OPTIONS,
    data: PosteriorData | None = None,
    gpu: str = GPU,
    stack: str = "",
) -> Trials:
    hardware = load_hardware()
    return run_trials(
        data or make_data(), rows, hardware.resolve(gpu), options, stack=stack, hardware=hardware
    )


@lru_cache(maxsize=1)
def found() -> Trials:
    return trials(all_rows())


def test_the_error_falls_with_rows() -> None:
    total = found().scores[found().scores["stage"] == TOTAL].groupby("rows")["mape"].mean()
    assert total.index.tolist() == [0, 3, 20]
    assert total[20] < 0.5 * total[0]
    assert total[20] < total[3]
    assert total[20] < 0.1


def test_each_number_of_rows_is_judged_by_the_same_configs() -> None:
    decisions = found().decisions
    assert len(decisions) == 3 * 2 * 4 * 15  # counts, repetitions, budgets, configs
    held = decisions.groupby(["rows", "repetition"])["config"].agg(frozenset).unstack("rows")
    assert (held[0] == held[3]).all()
    assert (held[0] == held[20]).all()
    assert held[0][0] != held[0][1]
    scatter = found().scatter
    assert len(scatter) == 3 * 2 * 3 * 15  # ... stages with the total
    knobs = scatter[scatter["stage"] == TOTAL].groupby("config")["measured_ms"].nunique()
    assert (knobs == 1).all()


def test_latencies_are_those_of_the_rows() -> None:
    rows = own_rows()
    total = rows["t_prefill_ms"] + rows["output_tokens"] * rows["t_decode_ms"]
    decisions = found().decisions
    measured = decisions["measured_ms"].unique()
    assert all(np.isclose(total, each).any() for each in measured)
    assert (decisions["typical_ms"] == decisions["measured_ms"]).all()  # of single runs
    assert (decisions["budget_ms"] == 300.0 * decisions["fraction"]).all()


def test_test_configs_calibrate_nothing() -> None:
    # A configuration that was measured wrong by a factor of 100 would spoil what it calibrates.
    decisions = found().decisions
    number = int(decisions["config"].iloc[0])
    wrong = float(decisions.loc[decisions["config"] == number, "measured_ms"].iloc[0])
    rows = own_rows()
    total = rows["t_prefill_ms"] + rows["output_tokens"] * rows["t_decode_ms"]
    at = np.isclose(total, wrong)
    assert at.sum() == 1
    spoilt = all_rows().copy()
    columns = ["t_prefill_ms", "t_decode_ms"]
    spoilt.loc[rows.index[at], columns] = 3.0 * spoilt.loc[rows.index[at], columns]
    first = replace(OPTIONS, repetitions=1)
    one, other = trials(all_rows(), first).decisions, trials(spoilt, first).decisions
    in_test = one[(one["config"] == number)]
    assert len(in_test) == 3 * 4
    pd.testing.assert_series_equal(one["p_exceed"], other["p_exceed"])
    assert not one["measured_ms"].equals(other["measured_ms"])


def test_what_calibrated_the_gpu_is_forgotten_and_nothing_is_changed() -> None:
    odd = own_rows().assign(t_decode_ms=30.0 * own_rows()["t_decode_ms"])
    spoilt = Posterior(make_data()).calibrate(odd, GPU)
    targets = dict(spoilt.data.targets)
    again = trials(all_rows(), data=spoilt.data)
    pd.testing.assert_frame_equal(again.decisions, found().decisions)
    pd.testing.assert_frame_equal(again.scores, found().scores)
    assert dict(spoilt.data.targets) == targets
    assert not make_data().targets


def test_the_same_seed_gives_the_same_trials_and_another_others() -> None:
    again = trials(all_rows())
    pd.testing.assert_frame_equal(again.decisions, found().decisions)
    pd.testing.assert_frame_equal(again.scatter, found().scatter)
    other = trials(all_rows(), replace(OPTIONS, seed=1))
    assert other.decisions["measured_ms"].tolist() != found().decisions["measured_ms"].tolist()


def test_the_affine_estimator_needs_rows_of_a_donor_and_two_of_the_gpu() -> None:
    assert found().source == "a100_sxm"
    has = found().decisions.groupby("rows")["affine_ms"].count()
    assert has.to_dict() == {0: 0, 3: 120, 20: 120}  # of 2 x 4 x 15
    alone = trials(own_rows())
    assert alone.source is None
    assert alone.decisions["affine_ms"].isna().all()
    pd.testing.assert_series_equal(alone.decisions["p_exceed"], found().decisions["p_exceed"])


def test_the_source_is_the_first_donor_that_was_measured_enough() -> None:
    """Twelve rows would do for a line, but not once test configurations are left out."""
    few, enough = make_frame(5, ("a100_sxm",), rows=12), make_frame(5, ("h200_sxm",), rows=30)
    assert choose_source(make_data(), pd.concat([few, enough])) == "h200_sxm"
    assert choose_source(make_data(), few) is None
    assert choose_source(make_data(), enough.drop(columns="t_decode_ms")) is None
    enough.loc[enough.index[12:], "t_decode_ms"] = np.nan
    assert choose_source(make_data(), enough) is None


def test_a_donor_that_measured_little_but_the_test_configs_is_no_rival() -> None:
    # Three configurations, seven times each: with two of them held out, too few rows are left.
    few = make_frame(5, ("a100_sxm",), rows=50).head(3)
    donor = pd.concat([few.assign(repeat=number) for number in range(7)])
    assert choose_source(make_data(), donor) == "a100_sxm"
    rows = pd.concat([own_rows().head(24), donor], ignore_index=True)
    tried = trials(rows, replace(OPTIONS, counts=(5,), repetitions=6))
    rival = tried.decisions.groupby("repetition")["affine_ms"].count()
    assert len(rival) == 6
    assert set(rival) == {0, 12 * 4}


def test_stages_that_rows_do_not_hold() -> None:
    partial = all_rows().copy()
    at = partial.index[partial["gpu"] == GPU][::2]
    partial.loc[at, "t_decode_ms"] = np.nan
    half = trials(partial)
    counted = half.decisions[half.decisions["fraction"] == 1.0].groupby("rows").size()
    assert (counted < 2 * 15).all()
    assert half.decisions["measured_ms"].notna().all()
    assert half.scores["mape"].notna().all()
    never = all_rows().assign(t_decode_ms=all_rows()["t_decode_ms"].where(all_rows()["gpu"] != GPU))
    with pytest.raises(InputError, match="no configuration of l40s that was held out"):
        trials(never)


def test_a_budget_of_a_stage_is_judged_by_that_stage() -> None:
    middle = float(own_rows()["t_decode_ms"].median())
    options = replace(OPTIONS, budget=Budget(middle, ("decode",)), counts=(20,), repetitions=1)
    decisions = trials(all_rows(), options).decisions
    assert set(decisions["measured_ms"]) <= set(own_rows()["t_decode_ms"])
    at_budget = decisions[decisions["fraction"] == 1.0]
    assert (at_budget["budget_ms"] == middle).all()
    over = at_budget["measured_ms"] > middle
    assert 0 < over.sum() < len(over)
    assert at_budget["p_exceed"][over].mean() > at_budget["p_exceed"][~over].mean() + 0.3
    for point in ("point_ms", "affine_ms"):
        assert (at_budget[point] / at_budget["measured_ms"]).between(0.5, 2.0).all()


def test_a_budget_of_all_stages_together_is_one_of_the_total() -> None:
    options = replace(OPTIONS, budget=Budget(300.0, ("prefill", "decode")))
    joined = trials(all_rows(), options)
    pd.testing.assert_frame_equal(joined.decisions, found().decisions)
    scores = joined.scores.set_index(["rows", "repetition", "stage"])["mape"].unstack("stage")
    pd.testing.assert_series_equal(scores["prefill+decode"], scores[TOTAL], check_names=False)


def test_rows_that_hold_a_stage_each_are_judged_by_a_budget_of_one() -> None:
    apart = all_rows().copy()
    at = apart.index[apart["gpu"] == GPU]
    apart.loc[at[::2], "t_decode_ms"] = np.nan
    apart.loc[at[1::2], "t_prefill_ms"] = np.nan
    with pytest.raises(InputError, match=r"the budget is of \(total\).* give that stage a budget"):
        trials(apart)
    options = replace(OPTIONS, budget=Budget(20.0, ("decode",)))
    measured = trials(apart, options).decisions["measured_ms"]
    assert set(measured) <= set(own_rows()["t_decode_ms"].iloc[1::2])


def without_decode(rows: pd.DataFrame) -> pd.DataFrame:
    """Every other configuration answers nothing, though its row tells a time of the stage."""
    at = rows.index[::2]
    rows = rows.copy()
    rows.loc[at, "output_tokens"] = 0
    return rows


def test_configs_in_which_nothing_of_the_budget_runs_are_not_judged() -> None:
    rows = without_decode(all_rows())
    options = replace(OPTIONS, budget=Budget(20.0, ("decode",)), counts=(3,), repetitions=1)
    decisions = trials(rows, options).decisions
    running = rows[(rows["gpu"] == GPU) & (rows["output_tokens"] > 0)]
    assert set(decisions["measured_ms"]) <= set(running["t_decode_ms"])
    assert 0 < decisions["config"].nunique() < 15


def test_an_estimate_of_stages_that_do_not_run_is_one() -> None:
    """A sum of nothing: it is not measured, and no error."""
    configs = without_decode(own_rows()).head(4)[["batch_size", "context", "output_tokens"]]
    prediction = Posterior(make_data()).predict(configs, GPU)
    budget = Budget(20.0, ("decode", "prefill"))
    times = {"prefill": 0.0 * prediction.stages["prefill"].times}
    stages = {
        name: replace(part, times=times.get(name, part.times))
        for name, part in prediction.stages.items()
    }
    estimate = as_estimate(replace(prediction, stages=stages), [budget])
    assert (estimate.points["decode+prefill"][::2] < 1e-200).all()
    assert (estimate.points["decode+prefill"][1::2] > 1.0).all()


def test_rows_that_ran_out_of_memory_are_no_rows() -> None:
    rows = own_rows().head(30).reset_index(drop=True)
    failed = rows.head(10).assign(t_prefill_ms=np.nan, t_decode_ms=np.nan, outcome="out of memory")
    both = pd.concat([rows.assign(outcome="measured").iloc[10:], failed], ignore_index=True)
    pd.testing.assert_frame_equal(
        trials(both, replace(OPTIONS, counts=(5,))).decisions,
        trials(rows.iloc[10:], replace(OPTIONS, counts=(5,))).decisions,
    )


def test_counts_that_are_larger_than_the_pool_are_left_out() -> None:
    few = trials(own_rows(), replace(OPTIONS, counts=(5, 35, 36, 500), repetitions=1))
    assert few.decisions["rows"].unique().tolist() == [5, 35]
    assert few.skipped == "with 36, 500 rows: l40s has 35 configurations left to calibrate with"
    assert found().skipped == ""
    with pytest.raises(InputError, match=r"35 configurations of l40s left to .* count, 36"):
        trials(own_rows(), replace(OPTIONS, counts=(36, 500)))


def test_typical_runs_are_judged_by_medians() -> None:
    runs = [
        own_rows().assign(t_decode_ms=factor * own_rows()["t_decode_ms"], repeat=number)
        for number, factor in enumerate((1.0, 1.3, 1.2))
    ]
    rows = pd.concat(runs, ignore_index=True)
    options = replace(OPTIONS, counts=(10,), repetitions=1)
    run, typical = trials(rows, options), trials(rows, replace(options, of="typical"))
    assert (typical.decisions["measured_ms"] == typical.decisions["typical_ms"]).all()
    part = run.decisions["measured_ms"] / run.decisions["typical_ms"]
    assert ((part > 0.8) & (part < 1.1)).all()  # decode at 1.0, 1.2 or 1.3, over its 1.2
    assert min((part < 1).mean(), (part > 1).mean(), (part == 1).mean()) > 0.1
    pd.testing.assert_series_equal(run.decisions["typical_ms"], typical.decisions["typical_ms"])
    assert not run.decisions["p_exceed"].equals(typical.decisions["p_exceed"])
    assert 0.05 < run.run_to_run < 0.25


def test_rows_of_other_stacks_are_passed_over() -> None:
    rows = own_rows().assign(stack=["v1", "v2"] * 25)
    options = replace(OPTIONS, counts=(5,), repetitions=1)
    held = trials(rows, options, stack="v1")
    assert held.decisions["config"].nunique() == 12  # of 25
    with pytest.raises(InputError, match="l40s has 0 configurations"):
        trials(rows, options)


def test_a_donor_cannot_be_tried() -> None:
    with pytest.raises(InputError, match="h100_sxm was fitted as a donor"):
        trials(all_rows(), gpu="h100_sxm")


def test_few_configurations_are_told() -> None:
    with pytest.raises(InputError, match="l40s has 19 configurations; at least 20 are needed"):
        trials(own_rows().head(19))


def test_broken_rows_are_told() -> None:
    with pytest.raises(TraceError, match="t_decode_ms"):
        trials(own_rows().assign(t_decode_ms=-1.0))
