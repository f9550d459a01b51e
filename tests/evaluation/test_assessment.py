"""All that there is to say of a GPU: calibrated, zero-shot, a donor, and without any rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.guard import Budget
from bayeslat.errors import InputError, TraceError
from bayeslat.evaluation.coefficients import coefficient_table
from bayeslat.evaluation.guardrail.held_out import control_guard
from bayeslat.posterior import Posterior
from tests.assessments import (
    CALIBRATED_ROWS,
    DONOR,
    GPU,
    OPTIONS,
    all_rows,
    assessed,
    calibrated,
    judge,
    own_rows,
)
from tests.posteriors import make_configs, make_data, make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

KNOBS = list(make_configs(1))


def keys(table: pd.DataFrame) -> set[tuple[float, ...]]:
    return set(table[KNOBS].itertuples(index=False, name=None))


def test_a_calibrated_gpu_has_every_part() -> None:
    found = assessed("calibrated")
    assert found.missing == {}
    assert (found.calibrated, found.calibrated_configs) == (CALIBRATED_ROWS, CALIBRATED_ROWS)
    assert not found.fitted
    assert found.transfer is not None
    assert found.transfer.gpu == GPU
    assert found.trials is not None
    assert found.shown_rows == 10  # of 0, 5 and 10 the nearest to 8
    pd.testing.assert_frame_equal(found.coefficients, coefficient_table(calibrated()))


def test_held_out_configs_are_decided_as_the_guard_decides() -> None:
    found = assessed("calibrated")
    assert found.held is not None
    assert found.decided is not None
    rows = own_rows().iloc[CALIBRATED_ROWS:]
    guard = Posterior(calibrated()).guard(GPU, OPTIONS.budget.ms)
    expected = guard.decide(rows).reset_index(drop=True)
    decided = found.decided[found.decided["fraction"] == 1.0].reset_index(drop=True)
    pd.testing.assert_series_equal(decided["decision"], expected["decision"])
    pd.testing.assert_series_equal(decided["p_exceed"], expected["p_exceed"])
    assert found.control is not None
    pd.testing.assert_frame_equal(found.control.table, control_guard(guard, own_rows()).table)


@pytest.mark.parametrize("known", [False, True])
def test_trials_are_repeated_without_gross_errors(known: bool) -> None:
    assert (assessed("zero-shot").gross, assessed("zero-shot").sound_trials) == ((), None)
    rows = all_rows()
    rows["t_prefill_ms"] *= np.where(np.isin(rows.index, [4, 9, 30]), 100.0, 1.0)
    data = make_data()
    if known:
        data = Posterior(data).calibrate(rows[rows["gpu"] == GPU], GPU).data
    found = judge(data, rows)
    assert [each.error.row for each in found.gross] == ([] if known else [5, 10, 31])
    assert found.trials is not None
    assert found.sound_trials is not None
    every, sound = (
        trials.scores.query("stage == 'total' and rows == 10")["mape"].mean()
        for trials in (found.trials, found.sound_trials)
    )
    assert every > 3 * sound


def test_decisions_and_scatter_are_of_the_trials_shown() -> None:
    found = assessed("calibrated")
    assert found.decisions is not None
    assert found.scatter is not None
    assert (found.decisions["rows"] == 10).all()
    assert (found.scatter["rows"] == 10).all()
    assert len(found.decisions) == 2 * 15 * 4


def test_a_gpu_that_was_not_calibrated_is_tried_with_ten_rows() -> None:
    found = assessed("zero-shot")
    assert found.missing == {}
    assert found.transfer is None
    assert found.calibrated == 0
    assert found.shown_rows == 10
    assert found.decided is not None
    assert (found.decided["decision"] != "accept").all()  # on a data sheet alone
    assert found.control is not None
    assert (found.control.table["accepts"] == 0).all()


def test_a_donor_is_judged_by_its_posterior() -> None:
    found = assessed("donor")
    assert found.fitted
    assert list(found.missing) == ["trials"]
    assert "was fitted as a donor" in found.missing["trials"]
    assert found.shown_rows is None
    assert found.decisions is found.decided
    assert found.scatter is not None
    assert found.scatter["stage"].nunique() == 3
    assert found.control is not None
    assert found.control.fitted


def test_a_donor_is_not_to_measure_again_what_the_traces_hold() -> None:
    found = assessed("donor")
    assert found.suggestion is not None
    rows = all_rows()
    assert not keys(found.suggestion.frame) & keys(rows[rows["gpu"] == DONOR])
    assert not found.at_hand.any()


def test_suggested_configs_that_the_traces_hold_are_at_hand() -> None:
    found = assessed("calibrated")
    assert found.suggestion is not None
    own = keys(own_rows())
    chosen = list(found.suggestion.frame[KNOBS].itertuples(index=False, name=None))
    assert found.at_hand.tolist() == [each in own for each in chosen]
    assert not {*chosen} & keys(own_rows().head(CALIBRATED_ROWS))
    assert not assessed("donors only").at_hand.any()


def test_suggested_configs_keep_what_the_gpu_never_moved() -> None:
    still = own_rows().assign(output_tokens=16)
    found = judge(make_data(), pd.concat([still, make_frame(0)], ignore_index=True))
    assert found.suggestion is not None
    assert set(found.suggestion.candidates["output_tokens"]) == {16}
    assert found.suggestion.frame["batch_size"].nunique() > 1


@pytest.mark.parametrize("kind", ["nothing", "donors only"])
def test_without_rows_of_the_gpu_the_missing_parts_are_told(kind: str) -> None:
    found = assessed(kind)
    assert set(found.missing) == {"held", "trials"}
    assert "no rows of GPU l40s" in found.missing["held"]
    assert "l40s has 0 configurations" in found.missing["trials"]
    assert found.decisions is None
    assert found.scatter is None
    assert found.suggestion is not None
    assert (found.transfer is None) == (kind == "nothing")


def test_few_rows_are_told_and_judge_the_posterior() -> None:
    found = judge(calibrated(), own_rows().head(15), counts=(5,))
    assert list(found.missing) == ["trials"]
    assert "l40s has 15 configurations" in found.missing["trials"]
    assert found.decisions is not None
    assert len(found.decisions) == 4 * 7
    typical = judge(calibrated(), own_rows().head(15), of="typical")
    assert typical.scatter is None  # predictions of typical runs have no PIT of a run


def test_too_few_candidates_are_told() -> None:
    found = judge(calibrated(), own_rows().head(CALIBRATED_ROWS), suggested=4)
    assert set(found.missing) == {"held", "trials", "suggestion"}
    assert "every config of the trace" in found.missing["held"]
    assert "n is 4, but there are 0 to choose from" in found.missing["suggestion"]


def test_rows_that_hold_no_total_are_told() -> None:
    found = judge(calibrated(), own_rows().assign(t_decode_ms=np.nan))
    assert "was measured in all stages" in found.missing["held"]
    assert "measured in all stages" in found.missing["trials"]
    assert found.control is None


def test_broken_rows_of_any_gpu_raise_with_every_violation() -> None:
    rows = all_rows()
    at = [int(rows.index[rows["gpu"] == gpu][0]) for gpu in (GPU, DONOR)]
    broken = rows.copy()
    broken.loc[at, "t_decode_ms"] = [-1.0, -2.0]
    for gpu in (GPU, DONOR):
        with pytest.raises(TraceError) as caught:
            judge(make_data(), broken, gpu)
        assert f"rows {at[0] + 1}, {at[1] + 1}" in str(caught.value)


def test_all_impossible_options_are_told_at_once_and_first() -> None:
    with pytest.raises(InputError) as caught:
        judge(
            make_data(), all_rows(), budget=Budget(-1.0), max_risk=0.0,
            confidence=2.0, false_accepts=0.0, counts=(), repetitions=0, test_configs=0,
            suggested=0, of="mean",
        )  # fmt: skip
    for text in (
        "budget_ms is -1", "max_risk is 0;", "confidence is 2",
        "false_accepts is 0", "counts are",
        "repetitions is 0", "test_configs is 0", "suggested is 0", "of is 'mean'",
    ):  # fmt: skip
        assert text in str(caught.value)


def test_a_budget_of_no_stage_is_told() -> None:
    with pytest.raises(InputError, match="no stage 'encode'; the posterior has prefill, decode"):
        judge(make_data(), all_rows(), budget=Budget(20.0, ("encode",)))
    with pytest.raises(InputError, match="the budget of decode is -1; it must be a positive"):
        judge(make_data(), all_rows(), budget=Budget(-1.0, ("decode",)))


def test_the_stack_is_that_of_the_rows_and_with_several_it_has_to_be_named() -> None:
    rows = own_rows().assign(stack=["v1", "v2"] * 25)
    with pytest.raises(InputError, match="'v1', 'v2'; name one"):
        judge(make_data(), rows)
    found = judge(make_data(), rows, stack="v2", counts=(5,))
    assert found.stack == "v2"
    assert found.held is not None
    assert len(found.held.prediction.configs) == 25
    alone = judge(make_data(), rows[rows["stack"] == "v1"], counts=(5,))
    assert alone.stack == "v1"
    assert alone.trials is not None


def test_the_same_seed_finds_the_same() -> None:
    again = judge(calibrated(), all_rows())
    first = assessed("calibrated")
    assert again.decided is not None
    assert again.trials is not None
    assert first.trials is not None
    pd.testing.assert_frame_equal(again.decided, first.decided)  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(again.trials.decisions, first.trials.decisions)
