"""Latency columns that are probably meant."""

from __future__ import annotations

import pytest

from bayeslat.features.misnamed import misnamed_stages, nearest_column, unused_columns
from tests.posteriors import make_frame, small_spec


@pytest.mark.parametrize(
    ("name", "near"),
    [("t_prefil_ms", True), ("prefill_ms", True), ("t_pre_ms", True), ("t_queue_ms", False)],
)
def test_names_are_near_or_not_whichever_way_one_looks(name: str, near: bool) -> None:
    wanted = "t_prefill_ms"
    assert nearest_column(wanted, ["seconds", name]) == (name if near else None)
    assert nearest_column(name, ["t_decode_ms", wanted]) == (wanted if near else None)


def test_the_nearest_of_several_is_taken() -> None:
    assert nearest_column("t_prefill_ms", ["t_pre_ms", "t_prefil_ms"]) == "t_prefil_ms"


def test_only_what_the_trace_lacks_is_meant() -> None:
    frame = make_frame()
    assert misnamed_stages(frame.assign(t_prefil_ms=1.0), small_spec()) == {}
    renamed = frame.rename(columns={"t_prefill_ms": "t_prefil_ms"})
    assert misnamed_stages(renamed, small_spec()) == {"t_prefil_ms": "t_prefill_ms"}


@pytest.mark.parametrize("name", ["t_prefill_s", "t_prefill", "prefill_ms", "T_prefill_ms"])
def test_a_name_of_another_form_is_meant_too(name: str) -> None:
    renamed = make_frame().rename(columns={"t_prefill_ms": name})
    assert misnamed_stages(renamed, small_spec()) == {name: "t_prefill_ms"}


def test_what_has_a_meaning_is_not_misnamed() -> None:
    spec = small_spec()
    frame = make_frame().drop(columns="t_decode_ms").assign(stack="v1", collected_at="now")
    assert unused_columns(frame.assign(note="x"), spec) == ["note"]
    assert misnamed_stages(frame, spec) == {}


def test_what_all_latencies_share_makes_no_names_alike() -> None:
    """A trace of requests alone has times from end to end, and none of steps."""
    assert nearest_column("t_step_ms", ["t_e2e_ms"]) is None
    assert nearest_column("t_e2e_ms", ["t_step_ms"]) is None
    assert nearest_column("t_step_ms", ["step_ms", "t_e2e_ms"]) == "step_ms"
