from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bayeslat.collect.knobs import Knobs, applied
from bayeslat.collect.limits import VlmLimits
from bayeslat.collect.measure import generate_greedily
from bayeslat.collect.request import make_request
from bayeslat.collect.routing import RoutedExperts, recorded_routing


@pytest.mark.parametrize("top_k", [1, 3, 8])
def test_one_token_reaches_top_k_experts_and_all_reach_every_expert_at_most(
    model: Any, knobs: Knobs, limits: VlmLimits, top_k: int
) -> None:
    chosen = replace(knobs, top_k=top_k, batch_size=1)
    request = make_request(model, chosen, limits, seed=0)
    with applied(model, chosen), recorded_routing(model) as routed:
        generate_greedily(model, request)
    assert routed.decode == [top_k] * (3 * 3)  # steps x blocks
    assert len(routed.prefill) == 3
    assert all(top_k <= count <= limits.experts for count in routed.prefill)


def test_means_per_block() -> None:
    means = RoutedExperts(prefill=[8, 6], decode=[1, 2, 3]).means()
    assert means == {"routed_experts_prefill": 7.0, "routed_experts_decode": 2.0}
    assert math.isnan(RoutedExperts(prefill=[8]).means()["routed_experts_decode"])
