"""What a configuration's own runs say overrules the model, where it contradicts it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from bayeslat.decisions.own_runs import least_chance
from bayeslat.features.hardware import load_hardware
from bayeslat.posterior import Posterior
from tests.posteriors import make_data, make_frame, small_spec

pytestmark = pytest.mark.xdist_group("small posterior")

TARGET = "l40s"
GPU = load_hardware().resolve(TARGET)
KNOBS = list(small_spec().knobs)


@lru_cache(maxsize=1)
def calibrated() -> tuple[Posterior, pd.DataFrame]:
    """Three runs of twelve configurations, of which the first is 1.5 times as slow as the model."""
    rows = make_frame(3, (TARGET,), rows=12)
    rows = pd.concat([rows.assign(repeat=run) for run in range(3)], ignore_index=True)
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal((len(rows), 2)))
    rows[["t_prefill_ms", "t_decode_ms"]] *= noise
    rows.loc[rows["config_id"] == rows["config_id"][0], ["t_prefill_ms", "t_decode_ms"]] *= 1.5
    return Posterior(make_data()).calibrate(rows, gpu=TARGET), rows


def totals(rows: pd.DataFrame) -> np.ndarray:
    return (rows["t_prefill_ms"] + rows["output_tokens"] * rows["t_decode_ms"]).to_numpy()


def test_a_configuration_whose_runs_were_all_over_is_rejected() -> None:
    """It was accepted, with hardly a p_exceed, and measuring it again changed nothing."""
    posterior, rows = calibrated()
    slow = rows[rows["config_id"] == rows["config_id"][0]]
    budget = 0.99 * float(totals(slow).min())
    config = slow[KNOBS].head(1)
    guard = posterior.guard(TARGET, budget, max_risk=0.2)
    decided = guard.decide(config).iloc[0]
    assert (decided["decision"], decided["reason"]) == ("reject", "its own runs were over")
    assert decided["p_exceed"] < 0.2  # by the others, it keeps the budget
    # Three of three say 37 % at least: what is allowed to fail more often than that is accepted.
    least = guard.judge(guard.predict(config)).least_max_risk[0]
    assert least == pytest.approx(0.05 ** (1 / 3))
    # The broken twin: a neighbour that nobody measured.
    near = config.assign(context=config["context"] + 1)
    assert guard.decide(near)["decision"].tolist() == ["accept"]


def test_the_bound_is_that_of_clopper_and_pearson() -> None:
    posterior, rows = calibrated()
    config = rows[KNOBS].head(1)
    runs = np.sort(totals(rows[rows["config_id"] == rows["config_id"][0]]))
    stages = tuple(posterior.data.stages)
    for over, budget in ((0, runs[2]), (1, runs[1]), (2, runs[0]), (3, 0.9 * runs[0])):
        (least,) = least_chance(posterior.data, GPU, None, config, stages, budget, once=False)
        if over:  # were the chance that, so many would be over in 5 % of cases
            assert binom.sf(over - 1, 3, least) == pytest.approx(0.05)
        else:
            assert least == 0.0


def test_a_budget_of_one_run_of_a_stage_counts_its_latency() -> None:
    posterior, rows = calibrated()
    config, tokens = rows[KNOBS].head(1), rows["t_decode_ms"][rows["config_id"] == 0]
    given = (posterior.data, GPU, None, config, ("decode",))
    (over,) = least_chance(*given, 0.99 * float(tokens.min()), once=True)
    (within,) = least_chance(*given, 1.01 * float(tokens.max()), once=True)
    assert (over > 0.3, within) == (True, 0.0)


def test_other_stacks_and_gpus_without_runs_say_nothing() -> None:
    posterior, rows = calibrated()
    config, stages = rows[KNOBS].head(1), tuple(posterior.data.stages)
    for gpu, stack in ((GPU, "v2"), (load_hardware().resolve("h100_sxm"), None)):
        assert least_chance(posterior.data, gpu, stack, config, stages, 1e-6, once=False) == 0.0


def test_each_stack_is_judged_by_its_own_runs() -> None:
    rows = calibrated()[1].assign(stack="v1")
    fine = rows.assign(stack="v2")
    slow = fine["config_id"] == fine["config_id"][0]
    fine.loc[slow, ["t_prefill_ms", "t_decode_ms"]] /= 1.5
    both = Posterior(make_data()).calibrate(pd.concat([rows, fine], ignore_index=True), gpu=TARGET)
    config = rows[KNOBS].head(1)
    budget = 0.99 * float(totals(rows[slow]).min())
    for stack, column, expected in (
        ("v1", None, "reject"),
        ("v2", None, "accept"),
        (None, "v1", "reject"),
        (None, "v2", "accept"),
        ("v1", "v2", "accept"),
        ("v2", "v1", "reject"),
    ):
        asked = config if column is None else config.assign(stack=column)
        guard = both.guard(TARGET, budget, max_risk=0.2, stack=stack)
        assert guard.decide(asked)["decision"].tolist() == [expected], (stack, column)


def test_a_run_that_was_over_by_what_was_measured_was_over() -> None:
    posterior, rows = calibrated()
    lone = rows.tail(1)[KNOBS].assign(context=3000)
    half = lone.assign(gpu=TARGET, t_prefill_ms=500.0, t_decode_ms=np.nan)
    given = (posterior.calibrate(half, gpu=TARGET).data, GPU, None, lone)
    stages = tuple(posterior.data.stages)
    assert least_chance(*given, stages, 499.0, once=False) == pytest.approx(0.05)
    assert least_chance(*given, stages, 501.0, once=False) == 0.0  # nobody knows


def test_what_was_set_aside_is_measured_again_at_any_max_risk() -> None:
    rows = make_frame(3, (TARGET,), rows=12)
    budget = 1.5 * float(totals(rows)[0])
    rows["t_prefill_ms"] *= np.where(rows.index == 0, 20.0, 1.0)
    assert totals(rows)[0] > budget
    posterior = Posterior(make_data()).calibrate(rows, gpu=TARGET)
    for max_risk in (0.01, 0.2):
        decided = posterior.guard(TARGET, budget, max_risk=max_risk).decide(rows[KNOBS].head(1))
        assert decided["reason"].tolist() == ["its own measurement was set aside"]


def test_the_typical_run_is_over_where_surely_more_than_half_are() -> None:
    posterior, rows = calibrated()
    slow = rows[rows["config_id"] == rows["config_id"][0]]
    budget, config = 0.99 * float(totals(slow).min()), slow[KNOBS].head(1)
    few = posterior.guard(TARGET, budget, of="typical")
    assert few.judge(few.predict(config)).shown.tolist() == [0.0]  # three of three may be chance
    more = slow.assign(repeat=[3, 4, 5])
    more[["t_prefill_ms", "t_decode_ms"]] *= np.exp(
        0.01 * np.random.default_rng(1).standard_normal((len(more), 2))
    )
    many = posterior.calibrate(more, gpu=TARGET).guard(TARGET, budget, of="typical")
    assert many.judge(many.predict(config)).shown.tolist() == [1.0]
