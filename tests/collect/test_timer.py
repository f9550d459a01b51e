from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from bayeslat.collect.knobs import Knobs
from bayeslat.collect.limits import VlmLimits
from bayeslat.collect.measure import measure
from bayeslat.collect.request import make_request
from bayeslat.collect.timer import Spans, StageTimes, recorded_spans, stage_times

DELAY_MS = 300.0


def test_spans_become_stages() -> None:
    spans = Spans(
        visual_ns=[9_000_000],
        merger_ns=[500_000, 1_500_000],
        language_model_ns=[20_000_000, 3_000_000, 5_000_000],
        lm_head_ns=[1_000_000, 500_000, 1_500_000],
    )
    assert stage_times(spans, 45_000_000) == StageTimes(
        vision_encoder_ms=7.0,
        projector_ms=2.0,
        llm_prefill_ms=21.0,
        llm_decode_per_token_ms=5.0,
        end_to_end_ms=45.0,
    )


def test_a_step_without_its_lm_head_is_noticed() -> None:
    spans = Spans(visual_ns=[1], merger_ns=[1], language_model_ns=[1, 1], lm_head_ns=[1])
    with pytest.raises(ValueError, match="zip"):
        stage_times(spans, 10)


SLOWED: list[tuple[Callable[[Any], Any], set[str]]] = [
    (lambda model: model.model.visual.patch_embed, {"vision_encoder_ms"}),
    (lambda model: model.model.visual.blocks[1], {"vision_encoder_ms"}),
    (lambda model: model.model.visual.merger, {"projector_ms"}),
    (lambda model: model.model.visual.deepstack_merger_list[0], {"projector_ms"}),
    (lambda model: model.model.language_model, {"llm_prefill_ms", "llm_decode_per_token_ms"}),
    (lambda model: model.lm_head, {"llm_prefill_ms", "llm_decode_per_token_ms"}),
]


@pytest.mark.parametrize(("part", "stages"), SLOWED)
def test_a_slow_part_slows_its_own_stage_alone(
    monkeypatch: pytest.MonkeyPatch,
    model: Any,
    knobs: Knobs,
    limits: VlmLimits,
    part: Callable[[Any], Any],
    stages: set[str],
) -> None:
    request = make_request(model, knobs, limits, seed=0)
    measure(model, request)  # what torch prepares at its first call is no stage's time
    module = part(model)
    forward = module.forward

    def slow(*inputs: Any, **named: Any) -> Any:
        time.sleep(DELAY_MS / 1e3)
        return forward(*inputs, **named)

    monkeypatch.setattr(module, "forward", slow)
    times = asdict(measure(model, request))
    # A request of this model takes a tenth of the delay, so only a slowed stage can reach it.
    assert {name for name, value in times.items() if value >= DELAY_MS} == {
        *stages,
        "end_to_end_ms",
    }


def test_no_hook_stays_behind(model: Any) -> None:
    with recorded_spans(model):
        assert _hooks(model) == 2 * 6  # visual, language_model, lm_head, three mergers
    assert _hooks(model) == 0


def _hooks(model: Any) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())
