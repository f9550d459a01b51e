"""The search finds interactions of knobs that are no features yet, as a queue's with the cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bayeslat.evaluation.missing_features import MissingFeature, find_missing_features
from bayeslat.evaluation.missing_features.candidates import (
    Axis,
    Candidate,
    list_candidates,
    stage_axes,
)
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.fitting.prepare import prepare_stage
from bayeslat.inference.rows.plan import plan_fit
from bayeslat.model.simulate import draw_parameters, simulate

pytestmark = pytest.mark.xdist_group("missing features")

GPUS = ("a100_sxm", "h100_sxm", "l40s")
TEXT = """
name = "server"
knobs = ["prefill_tokens", "decode_requests", "waiting", "kv_usage"]

[defaults]
prefill_tokens = 0
decode_requests = 0
waiting = 0
kv_usage = 0

[architecture]
weights = 8e9

[stages.step]
[stages.step.physics]
compute = "2 * weights * (prefill_tokens + decode_requests) / (bf16_tflops * 1e9)"
weights = "2 * weights / (mem_bw_GBps * 1e6)"
per_request = { ms = "0.1 * decode_requests", kind = "per_sequence" }
per_step = "0.5"
"""
RESIDUAL = '[stages.step.residual]\nfeatures = ["{}"]\ndegree = 1\n'
QUEUE, PREFILL = "waiting * kv_usage", "prefill_tokens * kv_usage"
PLANTED: Mapping[str, Callable[[pd.DataFrame], pd.Series]] = {
    "": lambda frame: frame["t_step_ms"],
    QUEUE: lambda frame: frame["t_step_ms"] + 0.05 * frame["waiting"] * frame["kv_usage"],
    PREFILL: lambda frame: (
        frame["t_step_ms"] * np.exp(0.4 * frame["prefill_tokens"] / 8192 * frame["kv_usage"])
    ),
}


def configs(seed: int) -> pd.DataFrame:
    """Steps of a server: half have no prompt, and half no queue."""
    rng, count = np.random.default_rng(seed), 150
    tokens = np.exp(rng.uniform(np.log(16), np.log(8192), count)).round()
    return pd.DataFrame(
        {
            "prefill_tokens": np.where(rng.random(count) < 0.5, 0, tokens),
            "decode_requests": rng.integers(1, 257, count),
            "waiting": np.where(rng.random(count) < 0.5, 0, rng.integers(1, 60, count)),
            "kv_usage": rng.uniform(0.01, 1, count).round(4),
        }
    )


@lru_cache(maxsize=6)
def steps(planted: str, seed: int = 0) -> pd.DataFrame:
    spec = Spec.from_text(TEXT)
    truth = draw_parameters(spec, GPUS, configs=configs(seed), seed=seed)
    frame = simulate(spec, configs(seed), GPUS, parameters=truth, seed=seed)
    return frame.assign(t_step_ms=PLANTED[planted](frame))


def search(text: str, frame: pd.DataFrame) -> tuple[MissingFeature, ...]:
    data = fit_posterior(Spec.from_text(text), frame, engine="laplace")
    return find_missing_features(data, frame, hardware=load_hardware())


@lru_cache(maxsize=6)
def found(planted: str, seed: int = 0) -> tuple[MissingFeature, ...]:
    return search(TEXT, steps(planted, seed))


@pytest.mark.parametrize("planted", [QUEUE, PREFILL])
def test_an_interaction_of_knobs_comes_first(planted: str) -> None:
    best = found(planted)[0]
    assert (best.kind, best.expression) == ("product", planted)
    assert best.sure


@pytest.mark.parametrize("planted", [QUEUE, PREFILL])
def test_the_advice_brings_what_it_says(planted: str) -> None:
    """A fit again settles noise and scales anew, and may bring more."""
    best = found(planted)[0]
    after = search(TEXT + RESIDUAL.format(best.expression), steps(planted))
    assert after[0].error_before < 1.01 * best.error_after
    assert best.error_after < 0.95 * best.error_before


@pytest.mark.parametrize("planted", [QUEUE, PREFILL])
def test_products_of_scaled_knobs_would_find_others(
    planted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken twin: what is judged is another function than what is written."""
    monkeypatch.setattr(Candidate, "column", _of_scaled)
    assert search(TEXT, steps(planted))[0].expression != planted


def _of_scaled(candidate: Candidate, values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = values.min(axis=0), values.max(axis=0)
    scaled = (2 * values - low - high) / (high - low)
    return np.prod([scaled[:, axis] ** power for axis, power in candidate.powers], axis=0)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 4))]
)
def test_no_interaction_is_found_where_none_is(seed: int) -> None:
    assert not any(each.sure for each in found("", seed))


def test_no_log_is_proposed_of_what_may_be_0() -> None:
    """No row has 0, as on a server under load: an idle one could not be predicted."""
    text = TEXT.replace('"kv_usage"]', '"kv_usage", "hidden", "running", "speed"]')
    text = text.replace("waiting = 0", 'waiting = 0\nrunning = "decode_requests"')
    frame = steps("").assign(waiting=lambda rows: rows["waiting"] + 1)
    frame["running"] = frame["decode_requests"]
    frame["hidden"] = 1024 * (1 + np.arange(len(frame)) % 3)
    frame["speed"] = np.linspace(-1, 2, len(frame))
    plan = plan_fit(Spec.from_text(text), frame)
    axes, values = stage_axes(plan, "step", prepare_stage(plan, "step").rows)
    assert [
        each.text for each in axes if each.name not in ("prefill_tokens", "decode_requests")
    ] == [
        "waiting",
        "log(1 + waiting)",
        "kv_usage",
        "log(hidden)",
        "running",
        "log(1 + running)",
        "speed",
    ]
    assert all(each.shape[1] == len(axes) and np.isfinite(each).all() for each in values)


def test_a_knob_of_a_product_may_still_lack_by_itself() -> None:
    frame = steps(QUEUE)
    frame = frame.assign(t_step_ms=frame["t_step_ms"] * np.exp(0.3 * frame["kv_usage"]))
    best = search(TEXT + RESIDUAL.format(QUEUE), frame)[0]
    assert (best.kind, best.expression) == ("knob", "kv_usage")


def test_what_is_used_is_no_candidate() -> None:
    axes = [Axis("a * b", "a * b", True), Axis("a", "a", False), Axis("b", "b", False)]
    texts = [each.text(axes) for each in list_candidates(axes, 1)]
    assert texts == ["a", "b", "(a * b) ** 2", "a * b * a", "a * b * b"]


def test_what_is_judged_is_what_is_written() -> None:
    texts = ["a / b", "log(1 + c)", "c", "a * log(c)"]
    axes = [Axis(text, text, True) for text in texts]
    table = np.array([[2.0, 3.0, 5.0, 7.0], [7.0, 11.0, 13.0, 2.0]])
    squared = Candidate("product", ((0, 2), (1, 1)))
    assert squared.text(axes) == "(a / b) ** 2 * log(1 + c)"
    assert squared.column(table).tolist() == [12.0, 539.0]
    assert Candidate("knob", ((0, 1),)).text(axes) == "a / b"
    assert Candidate("product", ((2, 1), (3, 1))).text(axes) == "c * a * log(c)"
    assert Candidate("power", ((3, 2),)).text(axes) == "(a * log(c)) ** 2"
