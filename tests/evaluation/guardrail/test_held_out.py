"""Configurations that calibrated nothing judge a guard."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

import bayeslat as bl
from bayeslat.decisions.guard import Guard
from bayeslat.decisions.prediction import TOTAL
from bayeslat.errors import InputError, TraceError
from bayeslat.evaluation.guardrail.held_out import (
    HeldOut,
    bound_false_accepts,
    control_guard,
    predict_held_out,
)
from bayeslat.evaluation.guardrail.rates import upper_bound
from bayeslat.features.hardware import load_hardware
from bayeslat.posterior import Posterior
from tests.posteriors import make_configs, make_data, make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

GPU = "l40s"
ROWS = 40


@lru_cache(maxsize=1)
def own_rows() -> pd.DataFrame:
    """The target's rows."""
    return make_frame(5, (GPU,), rows=ROWS)


@lru_cache(maxsize=1)
def calibrated() -> Posterior:
    """A posterior that knows ten of them."""
    return Posterior(make_data()).calibrate(own_rows().head(10), GPU)


def repeated(factors: tuple[float, ...]) -> pd.DataFrame:
    """All rows once more for each factor, with so slow a decode stage."""
    runs = [
        own_rows().assign(t_decode_ms=factor * own_rows()["t_decode_ms"], repeat=number)
        for number, factor in enumerate(factors)
    ]
    return pd.concat(runs, ignore_index=True)


def _keys(rows: pd.DataFrame) -> list[tuple[float, ...]]:
    """What tells configurations apart."""
    return [tuple(row) for row in rows[list(make_configs(1))].to_numpy(dtype=float)]


def total_ms(rows: pd.DataFrame) -> np.ndarray:
    total = rows["t_prefill_ms"] + rows["output_tokens"] * rows["t_decode_ms"]
    return total.to_numpy(dtype=float)


def held_out(traces: pd.DataFrame, guard: Guard | None = None) -> HeldOut:
    return predict_held_out(guard or calibrated().guard(GPU, 300.0), traces, load_hardware())


def test_configurations_that_calibrated_are_left_out() -> None:
    found = held_out(pd.concat([make_frame(0), own_rows()]))
    assert found.calibrated == 10
    assert not found.fitted
    rows = own_rows().iloc[10:]
    knobs = list(make_configs(1))
    held = found.prediction.configs[knobs].reset_index(drop=True)
    pd.testing.assert_frame_equal(held, rows[knobs].reset_index(drop=True), check_dtype=False)
    np.testing.assert_allclose(found.measured_ms[TOTAL], total_ms(rows))
    np.testing.assert_array_equal(found.measured_ms["prefill"], rows["t_prefill_ms"])
    expected = calibrated().predict(rows, GPU).p_exceed(300.0)
    np.testing.assert_array_equal(found.prediction.p_exceed(300.0), expected)


def test_repeats_count_once_with_any_of_their_runs() -> None:
    """The second pass is twice as slow: of the first runs alone, nobody would know."""
    found = held_out(repeated((1.0, 2.0)))
    count = ROWS - 10
    assert len(found.prediction.configs) == count
    configs = found.prediction.configs
    decode = dict(zip(_keys(own_rows()), own_rows()["t_decode_ms"], strict=True))
    factor = found.measured_ms["decode"] / [decode[key] for key in _keys(configs)]
    assert set(np.round(factor, 9)) == {1.0, 2.0}
    assert abs((factor > 1.5).mean() - 0.5) < 4 * 0.5 / np.sqrt(count)
    prefill = dict(zip(_keys(own_rows()), own_rows()["t_prefill_ms"], strict=True))
    np.testing.assert_allclose(
        found.measured_ms["prefill"], [prefill[key] for key in _keys(configs)]
    )


def test_typical_runs_are_judged_by_the_median() -> None:
    rows = repeated((1.0, 3.0, 2.0))
    found = held_out(rows, calibrated().guard(GPU, 300.0, of="typical"))
    middle = rows[rows["repeat"] == 2].iloc[10:]
    np.testing.assert_allclose(found.measured_ms[TOTAL], total_ms(middle))
    of_runs = held_out(rows)
    for stage, part in found.prediction.stages.items():
        own = np.sqrt(calibrated().data.stages[stage].noise_shared)
        assert own < 1
        np.testing.assert_allclose(part.log_noise, own * of_runs.prediction.stages[stage].log_noise)


def test_budgets_of_stages_are_of_what_they_bound() -> None:
    decode = float(own_rows()["t_decode_ms"].median())
    rows = own_rows().iloc[10:]
    alone = calibrated().guard(GPU, stage_budgets_ms={"decode": decode})
    found = held_out(own_rows(), alone)
    np.testing.assert_array_equal(found.exceeded(alone), rows["t_decode_ms"] > decode)
    # Several stages count as often as they run; any budget that is exceeded counts.
    both = calibrated().guard(GPU, stage_budgets_ms={"prefill+decode": 300.0, "decode": decode})
    expected = (total_ms(rows) > 300.0) | (rows["t_decode_ms"].to_numpy() > decode)
    np.testing.assert_array_equal(held_out(own_rows(), both).exceeded(both), expected)


def test_a_typical_sum_of_stages_is_the_median_over_runs_of_the_sum() -> None:
    """Where one stage is slow in a run, the other is fast: medians of each tell too little."""
    runs = [
        own_rows().assign(
            t_prefill_ms=slow * own_rows()["t_prefill_ms"],
            t_decode_ms=fast * own_rows()["t_decode_ms"],
            repeat=number,
        )
        for number, (slow, fast) in enumerate([(1.0, 9.0), (5.0, 1.0), (9.0, 5.0)])
    ]
    names, limit = "prefill+decode", 1000.0
    guard = calibrated().guard(GPU, stage_budgets_ms={names: limit}, of="typical")
    found = held_out(pd.concat(runs, ignore_index=True), guard)
    expected = np.median([total_ms(run.iloc[10:]) for run in runs], axis=0)
    np.testing.assert_allclose(found.measured_ms[names], expected)
    np.testing.assert_allclose(found.measured_ms[names], found.measured_ms[TOTAL])
    np.testing.assert_array_equal(found.exceeded(guard), expected > limit)
    of_medians = 5.0 * total_ms(own_rows().iloc[10:])  # the broken twin
    assert ((of_medians > limit) != (expected > limit)).any()


def test_a_stage_that_does_not_run_need_not_be_measured() -> None:
    rows = own_rows().copy()
    rows.loc[20:29, ["output_tokens", "t_decode_ms"]] = [0, np.nan]
    guard = calibrated().guard(GPU, stage_budgets_ms={"prefill+decode": 300.0})
    assert held_out(rows, guard).measured(guard).all()


def test_what_was_not_measured_does_not_count() -> None:
    partial = own_rows().copy()
    partial.loc[20:29, "t_decode_ms"] = np.nan
    guard = calibrated().guard(GPU, 300.0, max_risk=0.2)
    assert control_guard(guard, partial).configs == ROWS - 20
    whole = control_guard(guard, own_rows().drop(index=range(20, 30)))
    pd.testing.assert_frame_equal(control_guard(guard, partial).table, whole.table)
    # A budget of the other stage has all rows.
    prefill = calibrated().guard(GPU, stage_budgets_ms={"prefill": 10.0})
    assert control_guard(prefill, partial).configs == ROWS - 10


def test_of_several_budgets_all_have_to_be_measured() -> None:
    """What lacks one of them cannot be said to have kept it."""
    partial = own_rows().copy()
    partial.loc[20:29, "t_decode_ms"] = np.nan
    guard = calibrated().guard(GPU, stage_budgets_ms={"prefill": 10.0, "decode": 1e-3})
    measured = held_out(partial, guard).measured(guard)
    np.testing.assert_array_equal(measured, partial["t_decode_ms"].iloc[10:].notna())
    control = control_guard(guard, partial)
    assert (control.configs, control.unmeasured) == (ROWS - 20, 10)


def test_rows_without_what_the_budget_is_of_are_no_held_out_rows() -> None:
    nothing = own_rows().assign(t_decode_ms=np.nan)
    with pytest.raises(InputError, match=r"none of 30 held-out configs.*\(total\)"):
        held_out(nothing)


def test_the_bound_is_that_of_the_counts() -> None:
    guard = calibrated().guard(GPU, 300.0, max_risk=0.03)
    found = bl.control_guard(guard, own_rows(), false_accepts=0.2, confidence=0.8)
    rows = own_rows().iloc[10:]
    accepted = guard.decide(rows)["decision"].to_numpy() == "accept"
    wrong = int((accepted & (total_ms(rows) > 300.0)).sum())
    at = found.at(0.03)
    assert accepted.sum() > 5
    assert (at["accepts"], at["false_accepts"]) == (accepted.sum(), wrong)
    assert at["bound"] == pytest.approx(upper_bound(wrong, 30, 0.8))
    assert (found.configs, found.limit, found.confidence) == (30, 0.2, 0.8)
    p_exceed = guard.decide(rows)["p_exceed"].to_numpy()
    assert at["expected"] == pytest.approx(p_exceed[accepted].sum() / 30)


def test_a_donors_rows_may_have_been_fitted() -> None:
    guard = calibrated().guard("h100_sxm", 1e9)
    held = held_out(make_frame(0, rows=400), guard)
    assert held.fitted
    control = bound_false_accepts(guard, held)
    assert control.fitted
    assert "if the fit did not see them" in str(control)
    assert not control_guard(calibrated().guard(GPU, 300.0), own_rows()).fitted


def test_rows_that_name_no_task_are_held_out_by_their_knobs() -> None:
    known = Posterior(make_data(tasks=("chat", "code"))).calibrate(own_rows().head(10), GPU)
    found = held_out(repeated((1.0, 2.0)), known.guard(GPU, 300.0))
    assert found.calibrated == 10
    assert _keys(found.prediction.configs) == _keys(own_rows().iloc[10:])


def test_rows_of_other_stacks_are_passed_over() -> None:
    rows = own_rows().assign(stack=["v1", "v2"] * (ROWS // 2))
    known = Posterior(make_data()).calibrate(rows.iloc[:10:2], GPU)  # of v1
    found = held_out(rows, known.guard(GPU, 300.0))
    assert found.calibrated == 5
    assert found.prediction.configs["stack"].tolist() == ["v1"] * (ROWS // 2 - 5)
    assert not found.prediction.zero_shot.any()
    # Rows without a name are of the GPU's only stack.
    nameless = rows.assign(stack=rows["stack"].where(rows.index % 4 > 0))
    assert len(held_out(nameless, known.guard(GPU, 300.0)).prediction.configs) == ROWS // 2 - 5
    other = held_out(rows, known.guard(GPU, 300.0, stack="v2"))
    assert other.calibrated == 0
    assert other.prediction.zero_shot.all()


def test_with_several_stacks_one_has_to_be_named() -> None:
    rows = own_rows().assign(stack=["v1", "v2"] * (ROWS // 2))
    both = Posterior(make_data()).calibrate(rows.head(10), GPU)
    with pytest.raises(InputError, match="'v1', 'v2'; name one"):
        held_out(rows, both.guard(GPU, 300.0))
    # Without the name, rows that calibrated would pass for held-out ones.
    assert held_out(rows, both.guard(GPU, 300.0, stack="v1")).calibrated == 5


def test_a_trace_of_another_stack_alone_is_told_as_such() -> None:
    with pytest.raises(InputError, match="no rows of l40s with no named stack"):
        held_out(own_rows().assign(stack="v1"))
    with pytest.raises(InputError, match="no rows of l40s with stack 'v9'"):
        held_out(own_rows().assign(stack="v1"), calibrated().guard(GPU, 300.0, stack="v9"))


def test_nothing_that_is_held_out_is_an_error() -> None:
    with pytest.raises(InputError, match="was calibrated with every config of the trace"):
        held_out(own_rows().head(10))
    with pytest.raises(InputError, match="no rows of GPU l40s; the trace holds a100_sxm"):
        held_out(make_frame(0))


def test_broken_rows_are_told() -> None:
    bad = own_rows().copy()
    bad.loc[20, "t_decode_ms"] = -1.0
    with pytest.raises(TraceError, match="t_decode_ms"):
        control_guard(calibrated().guard(GPU, 300.0), bad)


def test_impossible_limits_are_told_before_any_work() -> None:
    with pytest.raises(InputError) as caught:
        control_guard(
            calibrated().guard(GPU, 300.0), make_frame(0), false_accepts=1.0, confidence=0.0
        )
    assert "false_accepts is 1" in str(caught.value)
    assert "confidence is 0" in str(caught.value)
