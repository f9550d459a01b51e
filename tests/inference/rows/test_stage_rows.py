"""A stage's rows: which are held, of whom, and which are repeats."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import InputError
from bayeslat.features.spec import Spec
from bayeslat.inference.rows.plan import plan_fit
from bayeslat.inference.rows.stage_rows import StageRows, check_measured, stage_rows
from tests.posteriors import SPEC_TEXT, make_frame, small_spec

TWO = ("a100_sxm", "h100_sxm")
DECODE = small_spec().stages["decode"].column


def gather(frame: pd.DataFrame, stage: str = "decode") -> tuple[StageRows, ...]:
    return stage_rows(plan_fit(small_spec(), frame), stage)


def test_each_group_has_its_latencies_in_order() -> None:
    frame = make_frame(1, gpus=TWO, rows=20)
    rows = gather(frame)
    assert [part.gpu for part in rows] == list(TWO)
    for part in rows:
        expected = frame.loc[frame["gpu"] == part.gpu, DECODE]
        np.testing.assert_array_equal(part.latency_ms, expected)
        assert len(part) == len(part.inputs) == len(part.config) == 20


def test_rows_that_lack_the_stage_are_left_out_of_it_alone() -> None:
    frame = make_frame(2, gpus=TWO, rows=20)
    frame.loc[frame.index[3:8], DECODE] = np.nan
    decode, prefill = gather(frame), gather(frame, "prefill")
    assert [len(part) for part in decode] == [15, 20]
    assert [len(part) for part in prefill] == [20, 20]
    kept = frame.drop(index=frame.index[3:8])
    np.testing.assert_array_equal(decode[0].latency_ms, kept.loc[kept["gpu"] == "a100_sxm", DECODE])
    np.testing.assert_array_equal(decode[0].inputs.raw[:, 0], kept["batch_size"].head(15))


def test_a_group_may_have_no_rows_but_not_all() -> None:
    frame = make_frame(3, gpus=TWO, rows=10)
    frame.loc[frame["gpu"] == "h100_sxm", DECODE] = np.nan
    assert [len(part) for part in gather(frame)] == [10, 0]


def test_a_stage_that_was_not_measured_is_refused() -> None:
    empty = make_frame(4, gpus=TWO, rows=10).assign(**{DECODE: np.nan})
    with pytest.raises(InputError, match=r"stage 'decode': column 't_decode_ms' holds no latency"):
        gather(empty)


@pytest.mark.parametrize(
    ("name", "told"),
    [("decode_ms", "; nearest: 'decode_ms'. Measure"), ("seconds", "'t_decode_ms'. Measure")],
)
def test_a_column_of_another_name_is_shown(name: str, told: str) -> None:
    frame = make_frame(4, gpus=TWO, rows=10)
    with pytest.raises(InputError, match=r"no column 't_decode_ms'.*name its column by") as bad:
        gather(frame.rename(columns={DECODE: name}))
    assert told in str(bad.value)


def test_all_stages_without_rows_are_told_at_once() -> None:
    more = "[stages.wait]\n[stages.wait.physics]\nlaunch = '1'\n"
    spec = Spec.from_text(SPEC_TEXT + more)
    frame = make_frame(4, gpus=TWO, rows=10)
    with pytest.raises(InputError) as bad:
        plan_fit(spec, frame.drop(columns=["t_prefill_ms"]))
    for stage in ("prefill", "wait"):
        assert f"stage {stage!r}: the traces have no column 't_{stage}_ms'" in str(bad.value)
    plan = plan_fit(spec, frame.assign(t_prefill_ms=np.nan, t_wait_ms=np.nan))
    with pytest.raises(InputError) as bad:
        check_measured(plan, spec.stages)
    assert str(bad.value).count("holds no latency of the chosen GPUs. Measure") == 2


def test_repeats_of_a_configuration_have_one_number() -> None:
    frame = make_frame(5, gpus=TWO, rows=8)
    thrice = pd.concat([frame.assign(repeat=k) for k in range(3)], ignore_index=True)
    for part in gather(thrice):
        _, counts = np.unique(part.config, return_counts=True)
        np.testing.assert_array_equal(counts, np.full(8, 3))
    for part in gather(frame):
        assert len(np.unique(part.config)) == 8  # the broken twin: nothing is a repeat


def test_tasks_tell_configurations_apart() -> None:
    frame = make_frame(6, gpus=TWO, rows=8).assign(task="qa")
    both = pd.concat([frame, frame.assign(task="chat")], ignore_index=True)
    alone, told_apart = gather(frame)[0], gather(both)[0]
    assert len(np.unique(told_apart.config)) == 2 * len(np.unique(alone.config))
