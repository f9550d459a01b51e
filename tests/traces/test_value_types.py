"""Bytes of a value of weights, products and cache."""

from __future__ import annotations

from typing import Any

import pytest

from bayeslat.traces.value_types import kv_value_bytes, value_types, weight_types

EXPERTS = {"num_hidden_layers": 8, "num_experts": 64, "moe_intermediate_size": 1408}
BF16 = {"dtype": "bfloat16"}


def _scheme(**entries: Any) -> dict[str, Any]:
    return {"quantization_config": entries}


def _compressed(weights: dict[str, Any], inputs: dict[str, Any] | None) -> dict[str, Any]:
    group = {"weights": weights, "input_activations": inputs, "targets": ["Linear"]}
    return _scheme(quant_method="compressed-tensors", config_groups={"group_0": group})


@pytest.mark.parametrize(
    ("told", "server", "weight", "product"),
    [
        ({}, BF16, 2, 2),
        ({}, {"dtype": "float32"}, 4, 4),
        ({"torch_dtype": "bfloat16"}, {"dtype": "auto"}, 2, 2),
        # Both of 8 bits, and weights alone
        ({}, {**BF16, "quantization": "fp8"}, 1, 1),
        (_scheme(quant_method="fp8", activation_scheme="dynamic"), BF16, 1, 1),
        ({}, {**BF16, "quantization": "experts_int8"}, 1, 2),
        # 4 bits, with a scale of 16 bits for 128 values, 32 values (of 8 bits), 16 values (of 8)
        (_scheme(bits=4, group_size=128), {**BF16, "quantization": "awq_marlin"}, 0.515625, 2),
        (_scheme(bits=4, group_size=-1), {**BF16, "quantization": "gptq"}, 0.5, 2),
        (_scheme(w_bit=4, group_size=64), {**BF16, "quantization": "awq"}, 0.53125, 2),
        ({}, {**BF16, "quantization": "mxfp4"}, 0.53125, 2),
        ({}, {**BF16, "quantization": "modelopt_fp4"}, 0.5625, 0.5),
        (_scheme(load_in_4bit=True), {**BF16, "quantization": "bitsandbytes"}, 0.5, 2),
        (_scheme(load_in_8bit=True), {**BF16, "quantization": "bitsandbytes"}, 1, 2),
        # Made by vLLM as it loads
        ({}, {**BF16, "quantization": "fp8_per_block"}, 1, 1),
        ({}, {**BF16, "quantization": "mxfp8"}, 1.03125, 1),
        # As llm-compressor writes it
        (
            _compressed({"num_bits": 8, "type": "float"}, {"num_bits": 8}),
            {**BF16, "quantization": "compressed-tensors"},
            *(1, 1),
        ),
        (
            _compressed({"num_bits": 4, "group_size": 128}, None),
            {**BF16, "quantization": "compressed-tensors"},
            *(0.515625, 2),
        ),
        # NVFP4: 16 values have a scale of 8 bits
        (
            _compressed({"num_bits": 4, "type": "float", "group_size": 16}, {"num_bits": 4}),
            {**BF16, "quantization": "compressed-tensors"},
            *(0.5625, 0.5),
        ),
    ],
)
def test_types_of_weights(
    told: dict[str, Any], server: dict[str, Any], weight: float, product: float
) -> None:
    assert weight_types(told, server) == (weight, product)


@pytest.mark.parametrize(
    ("told", "method", "bytes_of"),
    [
        # gpt-oss, and Kimi-K2 of 4 bits
        (_scheme(modules_to_not_convert=["model.layers.*.self_attn", "lm_head"]), "mxfp4", 2),
        (_scheme(bits=4, ignore=["re:.*self_attn.*"]), "compressed-tensors", 2),
        ({}, "experts_int8", 2),
        ({}, "fp8", 1),
        (_scheme(modules_to_not_convert=["lm_head"]), "fp8", 1),
        (_scheme(ignore=["model.layers.0.self_attn.q_proj"]), "fp8", 1),
        (_scheme(ignore="attn"), "fp8", 1),
    ],
)
def test_weights_of_which_only_experts_are_quantised(
    told: dict[str, Any], method: str, bytes_of: float
) -> None:
    server = {**BF16, "quantization": method}
    parts = value_types(EXPERTS | told, server)
    types = weight_types(told, server)
    assert types is not None
    assert (parts["weight_bytes"], parts["expert_weight_bytes"]) == (bytes_of, types[0])
    assert value_types(told, server)["weight_bytes"] == types[0]  # of a dense model


@pytest.mark.parametrize(
    ("told", "method", "multiplied"),
    [
        ({}, "fp8", {80: 2, 89: 1, 90: 1, 100: 1}),
        ({}, "modelopt_fp4", {90: 2, 100: 0.5}),
        (_compressed({"num_bits": 8}, {"num_bits": 8, "type": "float"}), "ct", {80: 2, 90: 1}),
        (_compressed({"num_bits": 8}, {"num_bits": 8, "type": "int"}), "ct", {80: 1, 90: 1}),
        ({}, None, {80: 2, 100: 2}),
    ],
)
def test_a_gpu_multiplies_what_it_can(
    told: dict[str, Any], method: str | None, multiplied: dict[int, float]
) -> None:
    for capability, expected in multiplied.items():
        server = {**BF16, "quantization": method, "capability": capability}
        types = weight_types(told, server)
        assert types is not None
        assert types[1] == expected


@pytest.mark.parametrize(
    ("told", "server"),
    [
        ({}, {}),
        ({}, {**BF16, "quantization": "gguf"}),
        ({}, {**BF16, "quantization": "compressed-tensors"}),
        (_scheme(bits="four"), {**BF16, "quantization": "awq"}),
        (_scheme(config_groups=[1]), {**BF16, "quantization": "compressed-tensors"}),
    ],
)
def test_types_that_are_not_told(told: dict[str, Any], server: dict[str, Any]) -> None:
    assert weight_types(told, server) is None
    assert "weight_bytes" not in value_types(told, server)


@pytest.mark.parametrize(
    ("cache", "expected"),
    [("auto", 2), (None, 2), ("fp8_e4m3", 1), ("fp8", 1), ("float32", 4), ("turbo3", None)],
)
def test_type_of_the_cache(cache: str | None, expected: float | None) -> None:
    assert kv_value_bytes({}, {**BF16, "kv_cache_dtype": cache}) == expected
