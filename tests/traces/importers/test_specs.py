"""What importers write is what the shipped specs read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bayeslat.features.spec import load_spec
from bayeslat.traces import read_traces
from bayeslat.traces.importers.convert import Settings, import_traces
from bayeslat.traces.importers.registry import find_importer
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
    assert len(of_a_step) == 5
    assert set(of_a_step) <= columns


def _config(layers: int, hidden: int, heads: int, kv_heads: int, **more: Any) -> dict[str, Any]:
    return {
        **{"num_hidden_layers": layers, "hidden_size": hidden},
        **{"num_attention_heads": heads, "num_key_value_heads": kv_heads, **more},
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
    ],
)
def test_models_vllm_counts_the_parameters_of_published_models(
    config: dict[str, Any], dense: int, routed: int
) -> None:
    """Those of transformers' classes, without embeddings: norms, biases and routers are few."""
    sizes = dict.fromkeys(FIELDS, 0.0) | model_sizes(config)
    spec = load_spec(MODELS / "vllm.toml")
    assert spec.evaluate("dense_params", sizes, {}) == pytest.approx(dense, rel=0.015)
    assert spec.evaluate("experts * expert_params", sizes, {}) == pytest.approx(routed, rel=0.002)
