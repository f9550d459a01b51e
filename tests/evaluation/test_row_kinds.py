"""Rows of a server hold a step or a request; those of a pipeline are all of one kind."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayeslat.evaluation.holdout import above_hurdles, hold_out
from bayeslat.evaluation.row_kinds import row_kinds, take_turns
from tests.evaluation.baselines.problem import gpu
from tests.evaluation.baselines.serving_problem import SPEC, make_configs, measure
from tests.posteriors import make_frame, small_spec


def make_server_rows(steps: int, requests: int) -> pd.DataFrame:
    rows = measure(make_configs(steps + requests, seed=4)).assign(stack="vllm_1")
    rows.loc[rows.index[:steps], "t_queueing_ms"] = np.nan
    rows.loc[rows.index[steps:], "t_step_ms"] = np.nan
    return rows


def test_stages_that_some_row_holds_together_are_of_one_kind() -> None:
    rows = make_server_rows(6, 3)
    assert row_kinds(SPEC, rows).tolist() == [0] * 6 + [1] * 3
    rows.loc[rows.index[0], "t_queueing_ms"] = 5.0
    assert row_kinds(SPEC, rows).tolist() == [0] * 9
    partial = make_frame(0, ("l40s",), rows=9)
    partial.loc[partial.index[:4], "t_decode_ms"] = np.nan
    partial.loc[partial.index[4:8], "t_prefill_ms"] = np.nan
    assert not row_kinds(small_spec(), partial).any()


def test_a_row_that_holds_nothing_is_of_the_first_kind() -> None:
    rows = make_server_rows(2, 2)
    rows.loc[rows.index[3], "t_queueing_ms"] = np.nan
    assert row_kinds(SPEC, rows).tolist() == [0, 0, 1, 0]


def test_kinds_take_turns_until_one_has_no_more() -> None:
    order, kinds = np.array([5, 3, 1, 0, 4, 2]), np.array([0, 0, 0, 0, 1, 1])
    assert take_turns(order, kinds).tolist() == [5, 3, 1, 4, 0, 2]
    np.testing.assert_array_equal(take_turns(order, np.zeros(6, dtype=int)), order)


def test_steps_and_requests_are_held_out_alike() -> None:
    rows = make_server_rows(200, 50)
    held = hold_out(SPEC, rows, gpu(), 40, 0, keep=["stack", "nonesuch"])
    assert (~np.isnan(held.run_ms["step"])).sum() == 20
    assert (~np.isnan(held.run_ms["queueing"])).sum() == 20
    assert np.isnan(held.run_ms["total"]).all()
    assert held.pool[["t_step_ms", "t_queueing_ms"]].head(20).notna().sum().tolist() == [10, 10]
    assert held.test["stack"].eq("vllm_1").all()
    assert "t_step_ms" not in held.test
    assert "stack" not in hold_out(SPEC, rows, gpu(), 40, 0).test


def test_requests_that_did_not_wait_are_not_judged() -> None:
    rows = make_server_rows(100, 100)
    idle = rows.index[100:150]
    rows.loc[idle, "t_queueing_ms"] = 0.04
    held = hold_out(SPEC, rows, gpu(), 80, 0)
    judged = above_hurdles(SPEC, held)
    waited = held.run_ms["queueing"] > 1.0
    assert 0 < waited.sum() < 40
    np.testing.assert_array_equal(~np.isnan(judged.run_ms["queueing"]), waited)
    np.testing.assert_array_equal(~np.isnan(judged.typical_ms["queueing"]), waited)
    np.testing.assert_array_equal(judged.run_ms["step"], held.run_ms["step"])
