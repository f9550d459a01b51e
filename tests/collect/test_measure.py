from __future__ import annotations

import gc
from typing import Any

import pytest

from bayeslat.collect.knobs import Knobs


class FakeClock:
    """A clock for `warm_up`, which reads the time itself."""

    def settle(self) -> None:
        pass


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let passes take the times that a test gives."""
    from bayeslat.collect import measure as module

    def take(*times_ms: float) -> None:
        left = iter(times_ms)
        monkeypatch.setattr(module, "_pass_ms", lambda *_: next(left))

    return take


@pytest.mark.parametrize(
    ("times_ms", "count", "steady"),
    [
        ((100.0, 104.0), 2, True),
        ((200.0, 110.0, 100.0, 101.0), 4, True),
        ((100.0, 150.0, 100.0, 150.0, 100.0, 150.0), 6, False),
    ],
)
def test_warming_up_ends_when_two_passes_agree(
    passes: Any, times_ms: tuple[float, ...], count: int, steady: bool
) -> None:
    from bayeslat.collect.measure import WarmUp, warm_up

    passes(*times_ms)
    unused: Any = None
    assert warm_up(unused, unused, unused) == WarmUp(times_ms[-1], count, steady)


def test_a_measurement_leaves_the_garbage_collector_on(vlm: Any, knobs: Knobs) -> None:
    from bayeslat.collect.measure import measure

    assert gc.isenabled()
    with vlm.set_to(knobs):
        measure(vlm, vlm.request(knobs, seed=0))
    assert gc.isenabled()
