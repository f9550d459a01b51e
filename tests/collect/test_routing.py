from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bayeslat.collect.knobs import Knobs
from bayeslat.collect.routing import RoutedExperts, recorded_routing
from bayeslat.errors import InputError


def test_means_are_over_blocks_and_steps() -> None:
    means = RoutedExperts(prefill=[4, 2], decode=[1, 2, 2, 3]).means()
    assert means == {"routed_experts_prefill": 3.0, "routed_experts_decode": 2.0}


def test_every_block_and_step_is_counted(vlm: Any, knobs: Knobs) -> None:
    from bayeslat.collect.generate import generate_greedily

    chosen = replace(knobs, top_k=8)
    with vlm.set_to(chosen), recorded_routing(vlm) as routed:
        generate_greedily(vlm.model, vlm.request(chosen, seed=0))
    # All 8 experts of each of 3 blocks: in the prefill, and in 3 decode steps.
    assert routed.prefill == [8] * 3
    assert routed.decode == [8] * 9


def test_a_router_that_does_not_follow_top_k_is_told(
    vlm: Any, knobs: Knobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of phimoe, which sends each token to two experts."""
    from bayeslat.collect.generate import generate_greedily

    router = type(vlm.gates[0])
    follow = router.forward

    def two(self: Any, *arguments: Any) -> Any:
        monkeypatch.setattr(self, "top_k", 2)
        return follow(self, *arguments)

    monkeypatch.setattr(router, "forward", two)
    for top_k in (2, 3):
        chosen = replace(knobs, top_k=top_k)
        with vlm.set_to(chosen), recorded_routing(vlm):
            request = vlm.request(chosen, seed=0)
            if top_k == 2:
                generate_greedily(vlm.model, request)
                continue
            with pytest.raises(InputError, match=r"to 2 experts where top_k is 3.*top_k=2:2"):
                generate_greedily(vlm.model, request)


def test_a_dense_model_routes_nothing(vlms: dict[str, Any], knobs: Knobs) -> None:
    from bayeslat.collect.generate import generate_greedily

    dense = vlms["qwen3_vl"]
    with recorded_routing(dense) as routed:
        generate_greedily(dense.model, dense.request(replace(knobs, top_k=1), seed=0))
    assert all(math.isnan(mean) for mean in routed.means().values())


def test_no_hook_stays_behind(vlm: Any) -> None:
    with recorded_routing(vlm):
        assert _hooks(vlm.model) == 4
    assert _hooks(vlm.model) == 0


def _hooks(model: Any) -> int:
    return sum(len(part._forward_pre_hooks) for part in model.modules())
