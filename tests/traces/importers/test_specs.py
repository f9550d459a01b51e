"""What importers write is what the shipped specs read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayeslat.features.design import stage_inputs, stage_times
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import load_spec
from bayeslat.traces import read_traces
from bayeslat.traces.importers.convert import Settings, import_traces
from bayeslat.traces.importers.registry import find_importer
from bayeslat.traces.model_parts import PARTS, model_parts
from bayeslat.traces.model_sizes import FIELDS, model_sizes
from tests.traces.importers.cases import write_case
from tests.traces.importers.workload import make_requests

MODELS = Path(__file__).parents[3] / "models"


@pytest.mark.parametrize(
    "name", ["vllm_bench", "guidellm", "aiperf", "inference_perf", "blis_trace"]
)
def test_requests_of_clients_have_the_knobs_of_models_requests(name: str, tmp_path: Path) -> None:
    spec = load_spec(MODELS / "requests.toml")
    path = write_case(name, tmp_path, make_requests(20))
    out = tmp_path / "o.parquet"
    import_traces(find_importer(name), [path], out, Settings(gpu="h100_sxm"))
    frame = read_traces(out)
    assert frame[list(spec.knobs)].notna().all(axis=None)
    for stage in spec.stages.values():
        assert frame[stage.column].notna().mean() > 0.5  # one token has no time after it


@pytest.mark.parametrize("name", ["vllm_logger", "blis_journey", "aiconfigurator"])
def test_steps_have_the_knobs_of_models_vllm(name: str) -> None:
    """Those that have a default would otherwise be taken for it."""
    spec = load_spec(MODELS / "vllm.toml")
    columns = {column.name for column in find_importer(name).columns}
    of_a_step = [knob for knob in spec.knobs if knob.startswith(("prefill_", "decode_"))]
    assert len(of_a_step) == 6
    assert set(of_a_step) <= columns


def _config(layers: int, hidden: int, heads: int, kv_heads: int, **more: Any) -> dict[str, Any]:
    return {
        **{"num_hidden_layers": layers, "hidden_size": hidden},
        **{"num_attention_heads": heads, "num_key_value_heads": kv_heads, **more},
    }


_LATENT = {
    **{"kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128},
}


@pytest.mark.parametrize(
    ("config", "dense", "routed"),
    [
        # Llama-3.1-8B, Qwen3-0.6B, Mistral-Nemo, Gemma-3-27B: in three, heads are wider than hidden
        # or narrower.
        (_config(32, 4096, 32, 8, intermediate_size=14336), 6_979_588_096, 0),
        (_config(28, 1024, 16, 8, head_dim=128, intermediate_size=3072), 440_467_456, 0),
        (_config(40, 5120, 32, 8, head_dim=128, intermediate_size=14336), 10_905_605_120, 0),
        (_config(62, 5376, 32, 16, head_dim=128, intermediate_size=21504), 25_599_716_096, 0),
        # Mixtral-8x7B, Qwen3-30B-A3B, gpt-oss-20b
        (
            _config(32, 4096, 32, 8, intermediate_size=14336, num_local_experts=8),
            1_343_492_096,
            45_097_156_608,
        ),
        (
            _config(48, 2048, 32, 4, head_dim=128, intermediate_size=6144)
            | {"num_experts": 128, "moe_intermediate_size": 768},
            918_763_520,
            28_991_029_248,
        ),
        (
            _config(24, 2880, 64, 8, head_dim=64, intermediate_size=2880, num_local_experts=32),
            639_557_184,
            19_116_933_120,
        ),
        # DeepSeek-V3 and V2-Lite: latents, shared experts, first layers without experts
        (
            _config(61, 7168, 128, 128, head_dim=64, intermediate_size=18432)
            | {"n_routed_experts": 256, "moe_intermediate_size": 2048, "n_shared_experts": 1}
            | _LATENT
            | {"q_lora_rank": 1536, "first_k_dense_replace": 3},
            15_264_275_456,
            653_908_770_816,
        ),
        (
            _config(27, 2048, 16, 16, intermediate_size=10944, first_k_dense_replace=1)
            | {"n_routed_experts": 64, "moe_intermediate_size": 1408, "n_shared_experts": 2}
            | _LATENT,
            892_202_496,
            14_394_851_328,
        ),
        # Qwen1.5-MoE, GLM-4.5, Llama-4-Maverick, Ernie-4.5-21B
        (
            _config(24, 2048, 16, 16, intermediate_size=5632, num_experts=60)
            | {"moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632},
            1_236_371_456,
            12_457_082_880,
        ),
        (
            _config(92, 5120, 96, 8, head_dim=128, intermediate_size=12288, n_shared_experts=1)
            | {"n_routed_experts": 160, "moe_intermediate_size": 1536}
            | {"first_k_dense_replace": 3},
            15_280_829_440,
            335_963_750_400,
        ),
        (
            _config(48, 5120, 40, 8, head_dim=128, intermediate_size=8192, num_local_experts=128)
            | {"model_type": "llama4_text", "intermediate_size_mlp": 16384}
            | {"interleave_moe_layer_step": 2},
            12_095_820_800,
            386_547_056_640,
        ),
        (
            _config(28, 2560, 20, 4, intermediate_size=12288, moe_num_experts=64)
            | {"moe_intermediate_size": 1536, "moe_num_shared_experts": 2}
            | {"moe_layer_start_index": 1, "moe_layer_end_index": -1, "moe_layer_interval": 1},
            1_176_355_008,
            20_384_317_440,
        ),
    ],
)
def test_models_vllm_counts_the_parameters_of_published_models(
    config: dict[str, Any], dense: int, routed: int
) -> None:
    """Those of transformers' classes, without embeddings: norms, biases and routers are few."""
    sizes = dict.fromkeys(FIELDS, 0.0) | model_sizes(config) | model_parts(config, {})
    spec = load_spec(MODELS / "vllm.toml")
    assert spec.evaluate("dense_weights", sizes, {}) == pytest.approx(dense, rel=0.015)
    assert spec.evaluate("moe_weights", sizes, {}) == pytest.approx(routed, rel=0.002)


def test_models_vllm_counts_the_tokens_that_a_server_speculates() -> None:
    """Each is computed as one of a request of its own is, and the cache is read once a request."""
    spec = load_spec(MODELS / "vllm.toml")
    sizes = model_sizes(_config(32, 4096, 32, 8, intermediate_size=14336, torch_dtype="bfloat16"))
    server = {"max_num_seqs": 8, "max_num_batched_tokens": 512, "kv_block_tokens": 16}
    rows = pd.DataFrame(
        [
            {"decode_requests": 3, "decode_context_tokens": 900},
            {"decode_requests": 3, "decode_context_tokens": 900, "decode_tokens": 3},
            {"decode_requests": 3, "decode_context_tokens": 900, "decode_tokens": 12},
            {"decode_requests": 12, "decode_context_tokens": 3600, "decode_tokens": 12},
        ]
    ).assign(**sizes, **server, kv_blocks=100)
    gpu = load_hardware().resolve("h100_sxm")
    terms = stage_inputs(spec, "step", spec.complete(rows), gpu).terms_ms
    at = {name: place for place, name in enumerate(spec.stages["step"].physics)}
    np.testing.assert_allclose(terms[1], terms[0])
    compute, cache = terms[:, at["decode_compute"]], terms[:, at["decode_kv"]]
    assert compute[2] == pytest.approx(compute[3])
    assert cache[2] == pytest.approx(cache[1] * 912 / 903)
    assert terms[2, at["per_request"]] == terms[1, at["per_request"]]


def test_a_step_waits_for_nothing_in_models_vllm() -> None:
    """Its total is its time, and the queue does not say that it extrapolates."""
    spec = load_spec(MODELS / "vllm.toml")
    gpu = load_hardware().resolve("h100_sxm")
    rows = spec.complete(
        pd.DataFrame([{"decode_requests": 3}, {"decode_requests": 3, "prompt_tokens": 20}]).assign(
            **dict.fromkeys(set(spec.knobs) - {"prompt_tokens", "decode_requests"}, np.nan)
        )
    )
    assert stage_times(spec, "step", rows, gpu).tolist() == [1, 1]
    assert stage_times(spec, "queueing", rows, gpu).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("config", "shards"),
    [
        (_config(32, 4096, 32, 8), 8),  # a head of keys on each GPU
        (_config(32, 4096, 32, 64), 16),
        (_config(61, 7168, 128, 128) | _LATENT, 1),  # all of the latent on each
    ],
)
def test_models_vllm_shards_the_cache_by_heads(config: dict[str, Any], shards: int) -> None:
    sizes = model_sizes(config) | model_parts(config, {}) | {"tensor_parallel": 16.0}
    assert load_spec(MODELS / "vllm.toml").evaluate("kv_shards", sizes, {}) == shards


@pytest.mark.parametrize(
    "more",
    [
        {"intermediate_size": 14336},
        {"intermediate_size": 6144, "num_experts": 128, "moe_intermediate_size": 768},
    ],
)
def test_parts_of_a_plain_model_are_what_the_spec_takes_where_rows_say_nothing(
    more: dict[str, Any],
) -> None:
    config = _config(32, 4096, 32, 8, head_dim=96, torch_dtype="bfloat16") | more
    spec = load_spec(MODELS / "vllm.toml")
    rows = spec.complete(pd.DataFrame([model_sizes(config)]))
    parts = model_parts(config, {})
    assert parts.keys() == PARTS.keys()
    assert rows[list(parts)].iloc[0].to_dict() == parts
