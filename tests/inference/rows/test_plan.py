"""The plan of a fit: groups, their rows, and the knob grid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import InputError
from bayeslat.inference.rows.plan import FitPlan, plan_fit
from tests.posteriors import make_frame, small_spec

TWO = ("a100_sxm", "h100_sxm")
KNOBS = ["batch_size", "context", "output_tokens"]


def plan(frame: pd.DataFrame, **options: object) -> FitPlan:
    return plan_fit(small_spec(), frame, **options)  # type: ignore[arg-type]


def test_a_gpu_is_a_group_and_has_its_rows() -> None:
    frame = make_frame(1, gpus=TWO, rows=20).sample(frac=1.0, random_state=2)
    found = plan(frame)
    assert found.groups == (("a100_sxm", ""), ("h100_sxm", ""))
    assert found.gpus == TWO
    for (gpu, _), members in zip(found.groups, found.members, strict=True):
        assert set(found.frame["gpu"].iloc[members]) == {gpu}
    assert sorted(np.concatenate(found.members)) == list(range(40))


def test_a_stack_of_a_gpu_is_a_group_of_its_own() -> None:
    found = plan(make_frame(2, gpus=TWO, rows=20, stacks=("vllm", "sglang")))
    assert found.groups == tuple((gpu, stack) for gpu in TWO for stack in ("sglang", "vllm"))
    assert found.gpus == TWO
    assert found.tree.has_stacks
    for (_, stack), members in zip(found.groups, found.members, strict=True):
        assert set(found.frame["stack"].iloc[members]) == {stack}


def test_rows_without_a_stack_are_a_group_without_one() -> None:
    frame = make_frame(3, gpus=TWO, rows=10, stacks=("vllm",))
    frame.loc[frame["gpu"] == "h100_sxm", "stack"] = None
    assert plan(frame).groups == (("a100_sxm", "vllm"), ("h100_sxm", ""))


def test_aliases_are_one_gpu_and_the_chosen_order_stands() -> None:
    frame = make_frame(4, gpus=TWO, rows=10)
    chosen = plan(frame, gpus=["h100_sxm", "a100_sxm", "h100_sxm"])
    assert chosen.gpus == ("h100_sxm", "a100_sxm")
    assert plan(frame, gpus=["h100_sxm"]).groups == (("h100_sxm", ""),)
    assert len(plan(frame, gpus=["h100_sxm"]).frame) == 10


def test_a_gpu_without_rows_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"no rows of GPU l40s; .*a100_sxm, h100_sxm"):
        plan(make_frame(5, gpus=TWO, rows=10), gpus=["a100_sxm", "l40s"])


@pytest.mark.parametrize("rows", [30, 4000])
def test_the_reference_spans_the_range_of_every_knob(rows: int) -> None:
    frame = make_frame(6, gpus=TWO, rows=rows)
    # One configuration each, amid the others in the order of the grid.
    for row, (knob, value) in enumerate(
        (("context", 63), ("context", 4097), ("output_tokens", 0), ("output_tokens", 200))
    ):
        frame.loc[frame.index[[row, rows + row]], ["batch_size", knob]] = [4, value]
    reference = plan(frame).reference
    for knob in KNOBS:
        assert reference[knob].min() == frame[knob].min()
        assert reference[knob].max() == frame[knob].max()
    distinct = frame[KNOBS].drop_duplicates()
    assert len(reference) <= 512 + 2 * len(KNOBS)
    assert len(reference) >= min(len(distinct), 512)
    both = reference.merge(distinct, on=KNOBS)
    assert len(both) == len(reference) == len(reference.drop_duplicates())


def test_the_reference_does_not_depend_on_order_or_repeats() -> None:
    frame = make_frame(7, gpus=TWO, rows=800)
    twice = pd.concat([frame.assign(repeat=k) for k in (0, 1)], ignore_index=True)
    shuffled = twice.sample(frac=1.0, random_state=8)
    pd.testing.assert_frame_equal(plan(shuffled).reference, plan(frame).reference)


def test_the_reference_holds_tasks() -> None:
    reference = plan(make_frame(9, rows=30, tasks=("chat", "qa"))).reference
    assert list(reference.columns) == [*KNOBS, "task"]
    assert set(reference["task"]) == {"chat", "qa"}


def test_the_trace_is_left_as_it_was() -> None:
    frame = make_frame(10, gpus=TWO, rows=10)
    before = frame.copy(deep=True)
    plan(frame, gpus=["h100_sxm"])
    pd.testing.assert_frame_equal(frame, before)


def test_families_come_from_the_hardware_table() -> None:
    found = plan(make_frame(11, gpus=("a100_sxm", "h100_sxm", "h200_sxm"), rows=10))
    assert found.tree.has_families
    assert not plan(make_frame(11, gpus=TWO, rows=10)).tree.has_families
    assert found.tree.names[:3] == found.gpus
