"""Configurations that are held out stay together with their repeats."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import InputError
from bayeslat.evaluation.holdout import hold_out, without_configs
from bayeslat.features.hardware import load_hardware
from tests.posteriors import make_frame, small_spec

GPU = load_hardware().resolve("l40s")
KNOBS = list(small_spec().knobs)


def make_rows(repeats: int = 3) -> pd.DataFrame:
    """Twenty-four configurations; each run is slower than the one before."""
    once = make_frame(5, ("l40s",), rows=24)
    runs = [
        once.assign(repeat=number, t_prefill_ms=(1 + number) * once["t_prefill_ms"])
        for number in range(repeats)
    ]
    return pd.concat(runs, ignore_index=True)


def keys(table: pd.DataFrame) -> set[tuple[float, ...]]:
    return set(table[KNOBS].itertuples(index=False, name=None))


def test_no_configuration_is_on_both_sides() -> None:
    held = hold_out(small_spec(), make_rows(), GPU, 10, 0)
    assert len(held.test) == 10
    assert len(held.pool) == 14  # one row of each
    assert not keys(held.test) & keys(held.pool)
    assert len(keys(held.test) | keys(held.pool)) == 24
    assert held.pool["repeat"].nunique() == 3  # a trace is written pass by pass


def test_runs_are_any_and_typical_ones_the_median() -> None:
    rows = make_rows()
    held = hold_out(small_spec(), rows, GPU, 10, 1)
    first = rows[rows["repeat"] == 0]
    at = held.test.merge(first, on=KNOBS, how="left", validate="one_to_one")
    factor = held.run_ms["prefill"] / at["t_prefill_ms"].to_numpy()
    assert set(np.round(factor, 9)) == {1.0, 2.0, 3.0}
    np.testing.assert_allclose(held.typical_ms["prefill"], 2.0 * at["t_prefill_ms"])
    total = factor * at["t_prefill_ms"] + at["output_tokens"] * at["t_decode_ms"]
    np.testing.assert_allclose(held.run_ms["total"], total)
    cost = held.pool["t_prefill_ms"] + held.pool["output_tokens"] * held.pool["t_decode_ms"]
    np.testing.assert_allclose(held.pool_ms, cost)


def test_at_most_half_is_held_out_and_the_seed_decides_which() -> None:
    rows = make_rows(1)
    first, again, other = (hold_out(small_spec(), rows, GPU, 100, seed) for seed in ([3], [3], [4]))
    assert len(first.test) == 12
    pd.testing.assert_frame_equal(first.test, again.test)
    pd.testing.assert_frame_equal(first.pool, again.pool)
    assert keys(first.test) != keys(other.test)
    # The pool is in random order: its first rows calibrate.
    assert first.pool["config_id"].tolist() != sorted(first.pool["config_id"])


def test_a_stage_that_a_run_does_not_hold_has_no_latency() -> None:
    rows = make_rows(2)
    rows.loc[rows["repeat"] == 0, "t_decode_ms"] = np.nan
    held = hold_out(small_spec(), rows, GPU, 10, 0)
    prefill = held.test.merge(rows[rows["repeat"] == 0], on=KNOBS, how="left")["t_prefill_ms"]
    first = np.isclose(held.run_ms["prefill"], prefill)
    assert 0 < first.sum() < 10
    np.testing.assert_array_equal(np.isnan(held.run_ms["total"]), first)
    assert not np.isnan(held.typical_ms["decode"]).any()


def test_a_row_without_a_stage_costs_what_was_measured_of_it() -> None:
    rows = make_rows(2)
    rows.loc[rows["repeat"] == 0, "t_decode_ms"] = np.nan
    held = hold_out(small_spec(), rows, GPU, 10, 0)
    decode = held.pool["output_tokens"] * held.pool["t_decode_ms"]
    assert 0 < decode.isna().sum() < len(decode)
    np.testing.assert_allclose(held.pool_ms, held.pool["t_prefill_ms"] + decode.fillna(0.0))
    without = hold_out(small_spec(), rows.drop(columns="t_decode_ms"), GPU, 10, 0)
    np.testing.assert_allclose(without.pool_ms, without.pool["t_prefill_ms"])


def test_few_configurations_are_told_however_often_they_ran() -> None:
    with pytest.raises(InputError, match="l40s has 19 configurations; at least 20 are needed"):
        hold_out(small_spec(), make_rows()[make_rows()["config_id"] < 19], GPU, 10, 0)
    with pytest.raises(InputError, match="has 0 configurations"):
        hold_out(small_spec(), make_rows().head(0), GPU, 10, 0)


def test_rows_of_some_configurations_are_left_out_with_all_repeats() -> None:
    rows = make_rows()
    configs = rows.loc[[0, 5], KNOBS]
    left = without_configs(rows, configs)
    assert len(left) == len(rows) - 6
    assert not keys(left) & keys(configs)
    pd.testing.assert_frame_equal(left, rows.loc[left.index])
    pd.testing.assert_frame_equal(without_configs(rows, configs.head(0)), rows)


def test_another_task_is_another_configuration() -> None:
    rows = make_rows(1).assign(task=["qa", "ocr"] * 12)
    configs = rows.loc[[0], [*KNOBS, "task"]]
    both = pd.concat([rows, rows.head(1).assign(task="ocr")], ignore_index=True)
    left = without_configs(both, configs)
    assert len(left) == len(both) - 1
    assert keys(configs) <= keys(left)


def test_configurations_without_a_latency_are_on_neither_side() -> None:
    """They ran out of memory."""
    rows = make_rows()
    lost = rows["context"] > rows["context"].quantile(0.9)
    rows.loc[lost, ["t_prefill_ms", "t_decode_ms"]] = np.nan
    held = hold_out(small_spec(), rows, GPU, 10, 0)
    assert keys(held.pool) | keys(held.test) == keys(rows[~lost])
    assert not (keys(held.pool) | keys(held.test)) & keys(rows[lost])
    rows[["t_prefill_ms", "t_decode_ms"]] = np.nan
    with pytest.raises(InputError, match="0 configurations"):
        hold_out(small_spec(), rows, GPU, 10, 0)
