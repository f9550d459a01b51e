from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from bayeslat.collect.clock import HostClock
from bayeslat.collect.knobs import Knobs
from bayeslat.collect.timer import StageTimes, Timeline, recorded_timeline, stage_times

DELAY_MS = 300.0


@dataclass(frozen=True)
class FakeParts:
    """A vision encoder that holds its projector, or does not."""

    vision: Any
    projectors: tuple[Any, ...]
    language_model: Any = None


@dataclass(frozen=True, eq=False)
class FakeModule:
    inside: tuple[Any, ...] = ()

    def modules(self) -> tuple[Any, ...]:
        return (self, *self.inside)


def timeline_ms(*tokens: float) -> Timeline:
    """Return a timeline in ms: vision from 1 to 10, projector 0.5 and 1.5 long."""
    ns = 1_000_000
    return Timeline(
        start=0,
        tokens=[round(token * ns) for token in tokens],
        vision=[(1 * ns, 10 * ns)],
        projector=[(3 * ns, round(3.5 * ns)), (8 * ns, round(9.5 * ns))],
    )


def test_a_timeline_becomes_stages_without_gaps() -> None:
    projector = FakeModule()
    parts: Any = FakeParts(FakeModule((projector,)), (projector,))
    found = stage_times(timeline_ms(31.0, 34.0, 41.0), parts, HostClock())
    # Vision 9 less the projector's 2 inside it; prefill the rest up to 31; 10 ms for two steps.
    assert found == StageTimes(7.0, 2.0, 22.0, 5.0)
    assert found.total_ms(3) == 41.0


def test_a_projector_behind_the_vision_encoder_is_not_taken_from_it() -> None:
    parts: Any = FakeParts(FakeModule(), (FakeModule(),))
    found = stage_times(timeline_ms(31.0), parts, HostClock())
    assert (found.vision_encoder_ms, found.projector_ms, found.llm_prefill_ms) == (9.0, 2.0, 20.0)


def test_a_single_token_has_no_decode_step() -> None:
    parts: Any = FakeParts(FakeModule(), (FakeModule(),))
    found = stage_times(timeline_ms(31.0), parts, HostClock())
    assert math.isnan(found.llm_decode_per_token_ms)
    assert found.total_ms(1) == 31.0


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
    vlm: Any,
    knobs: Knobs,
    part: Callable[[Any], Any],
    stages: set[str],
) -> None:
    times = _slowed(monkeypatch, vlm, knobs, part(vlm.model))
    assert {name for name, value in times.items() if value >= DELAY_MS} == stages


@pytest.mark.parametrize(
    ("part", "stages"),
    [
        (lambda parts: parts.vision, {"vision_encoder_ms"}),
        (lambda parts: parts.projectors[0], {"projector_ms"}),
        (lambda parts: parts.language_model, {"llm_prefill_ms", "llm_decode_per_token_ms"}),
    ],
)
def test_a_slow_part_of_llava_slows_its_own_stage_alone(
    monkeypatch: pytest.MonkeyPatch,
    vlms: dict[str, Any],
    part: Callable[[Any], Any],
    stages: set[str],
) -> None:
    vlm = vlms["llava"]
    knobs = Knobs(1, 32, 9, 3, 1, 4, 1, "float32")
    times = _slowed(monkeypatch, vlm, knobs, part(vlm.parts))
    assert {name for name, value in times.items() if value >= DELAY_MS} == stages


def test_no_hook_stays_behind(vlm: Any) -> None:
    with recorded_timeline(vlm.parts, HostClock()):
        assert _hooks(vlm.model) == 2 * 4  # visual and three mergers
    assert _hooks(vlm.model) == 0


def _slowed(
    monkeypatch: pytest.MonkeyPatch, vlm: Any, knobs: Knobs, module: Any
) -> dict[str, float]:
    """Return the stage times of a request, one module of which sleeps first."""
    from bayeslat.collect.generate import generate_greedily

    request = vlm.request(knobs, seed=0)
    generate_greedily(vlm.model, request)  # what torch prepares at its first call
    forward = module.forward

    def slow(*inputs: Any, **named: Any) -> Any:
        time.sleep(DELAY_MS / 1e3)
        return forward(*inputs, **named)

    monkeypatch.setattr(module, "forward", slow)
    clock = HostClock()
    with recorded_timeline(vlm.parts, clock) as timeline:
        timeline.start = clock.mark()
        generate_greedily(vlm.model, request, lambda: timeline.tokens.append(clock.mark()))
    # A request of this model takes a tenth of the delay, so only a slowed stage can reach it.
    return asdict(stage_times(timeline, vlm.parts, clock))


def _hooks(model: Any) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())
