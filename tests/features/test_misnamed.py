"""Latency columns that are probably meant."""

from __future__ import annotations

import pytest

from bayeslat.features.misnamed import misnamed_stages, nearest_column
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
