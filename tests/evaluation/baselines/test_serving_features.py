"""The notes' symbols and features, against arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import InputError
from bayeslat.evaluation.baselines.mole_rd import REGIMES
from bayeslat.evaluation.baselines.picf import FEATURES
from bayeslat.evaluation.baselines.serving_features import (
    evaluate_features,
    missing_inputs,
    serving_symbols,
)
from bayeslat.features.gpu import Gpu
from bayeslat.features.spec import Spec
from tests.evaluation.baselines import problem, serving_problem

GPU = Gpu(
    key="g", name="g", family="f", mem_bw_GBps=3000.0, bf16_tflops=1000.0, num_sm=100,
    boost_GHz=2.0, l2_MB=50.0,
)  # fmt: skip
_TOLD = {
    "prefill_requests": 2, "prefill_tokens": 300, "decode_requests": 20, "running": 25,
    "waiting": 7, "kv_usage": 0.6, "prompt_tokens": 512, "max_num_seqs": 64,
    "max_num_batched_tokens": 2048, "tensor_parallel": 2, "chunked_prefill": 1, "layers": 10,
    "hidden": 1000, "heads": 10, "kv_heads": 2, "head_dim": 128, "intermediate": 4000, "experts": 8,
    "experts_per_token": 2, "dtype_bytes": 2, "cpu_offload_GB": 4.0, "kv_blocks": 1000,
    "kv_block_tokens": 16,
}  # fmt: skip
CONFIG = serving_problem.SPEC.complete(pd.DataFrame([_TOLD])).iloc[0].to_dict()
# By hand, with a vocabulary of 0, which models/vllm.toml has no knob for:
FPT = 2 * 1000 * (3 * 4000)
KV = 2 * 10 * (1000 / 10) * 2 * 2


def features_of(rows: pd.DataFrame, features: tuple) -> list[float]:
    table = evaluate_features(features, serving_symbols(serving_problem.SPEC, rows, GPU))
    assert table.shape == (len(rows), len(features))
    return table[0].tolist()


def test_picf_of_a_step() -> None:
    expected = [
        300 * FPT / 1000,
        300**2 / (2 * 1000),
        20 * KV / 3000,
        20 * 25,
        300 * 20 / 320**2,
        2 * 20 / 3000,
        320 / (2 * 100),
        0.6 * 20,
    ]
    assert features_of(pd.DataFrame([CONFIG]), FEATURES["step"]) == pytest.approx(expected)


def test_picf_of_a_queue() -> None:
    k = 1 / (1 - 0.6 + 1e-6)
    served = 3000 / (KV * 25)
    expected = [7, 49 / served, k, k * 7, 512 / 2048, 512 * 25 / 2048, 1 / 64, 1]
    assert features_of(pd.DataFrame([CONFIG]), FEATURES["queueing"]) == pytest.approx(expected)


def test_mole_rd_of_each_regime() -> None:
    expected = {
        "low": [1, 0.512, 0],
        "high": [1 / (1 - 0.6 + 0.01), 7 * 0.6, 512 * 0.6],
        "preempt": [7, 0, 0, 0.6],
        "normal": [7, 0, 512 / 2048, 25 / 64],
        "prefill": [300 * FPT / 1000, 300**2 / 2000, 2, 8 * 300 / 1000],
        "decode": [20 * KV / 3000, 20 * 25, 20 * 8 / 3000, 0],
        "mixed": [300 / 1000, 20 / 3000, 300 * 20 / 320**2, 25 * 0.6],
        "saturation": [320 / 3000, 0, 0, 1 / (1 - 0.6 + 0.01)],
    }
    found = {
        regime.name: features_of(pd.DataFrame([CONFIG]), regime.features)
        for regimes in REGIMES.values()
        for regime in regimes
    }
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values), name


def test_an_empty_step_and_a_full_cache_are_finite() -> None:
    empty = pd.DataFrame([{**CONFIG, "prefill_tokens": 0, "decode_requests": 0, "kv_usage": 1.0}])
    assert features_of(empty, FEATURES["step"]) == pytest.approx([0.0] * 8)
    assert features_of(empty, FEATURES["queueing"])[2] == pytest.approx(1e6)


def test_what_a_spec_does_not_observe_is_0() -> None:
    spec = Spec.from_text("""
name = "bare"
knobs = ["prefill_tokens", "decode_requests"]
[architecture]
vocab = 500
hidden = 100
[stages.step.physics]
launch = "1 + 0 * (prefill_tokens + decode_requests)"
""")
    assert not missing_inputs(spec)
    rows = pd.DataFrame({"prefill_tokens": [300], "decode_requests": [20]})
    table = evaluate_features(FEATURES["step"], serving_symbols(spec, rows, GPU))
    # The vocabulary is a constant of this spec; the number of GPUs is 1 unless told.
    expected = [300 * 2 * 100 * 500 / 1000, 300**2 / 1000, 0, 0, 300 * 20 / 320**2, 0, 3.2, 0]
    np.testing.assert_allclose(table[0], expected)


def test_a_knob_that_the_spec_has_may_not_be_missing() -> None:
    with pytest.raises(InputError, match="no column 'hidden'"):
        serving_symbols(serving_problem.SPEC, pd.DataFrame([CONFIG]).drop(columns="hidden"), GPU)


def test_what_a_spec_has_to_have_is_told() -> None:
    assert not missing_inputs(serving_problem.SPEC)
    assert "has prefill, decode" in missing_inputs(problem.SPEC)
    bare = Spec.from_text("""
name = "bare"
knobs = ["waiting"]
[stages.queueing.physics]
launch = "1 + waiting"
""")
    assert missing_inputs(bare) == "spec 'bare' has no knob kv_usage"
