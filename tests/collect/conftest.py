"""A model so small that a request takes milliseconds, and what goes with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bayeslat.collect.knobs import Knobs
from bayeslat.collect.limits import VlmLimits, read_limits

ROOT = Path(__file__).resolve().parents[2]

_SMALL_TEXT = {
    "vocab_size": 128,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "num_experts": 8,
    "moe_intermediate_size": 16,
    "max_position_embeddings": 128,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 500000.0,
        "mrope_section": [4, 2, 2],
        "mrope_interleaved": True,
    },
}
_SMALL_VISION = {
    "depth": 3,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "out_hidden_size": 32,
}


@pytest.fixture(scope="session")
def shipped_config() -> Path:
    return ROOT / "models" / "tiny_qwen3_vl_moe.json"


@pytest.fixture(scope="session")
def config_path(shipped_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the shipped configuration, shrunk."""
    config = json.loads(shipped_config.read_text(encoding="utf-8"))
    config["text_config"] |= _SMALL_TEXT
    config["vision_config"] |= _SMALL_VISION
    special = ("vision_start", "vision_end", "image", "video")
    config |= {f"{name}_token_id": 124 + i for i, name in enumerate(special)}
    path = tmp_path_factory.mktemp("model") / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def crop_pixels() -> int:
    """Return the side of a crop that becomes 2 x 2 vision tokens."""
    return 64


@pytest.fixture(scope="session")
def limits(config_path: Path, crop_pixels: int) -> VlmLimits:
    return read_limits(config_path, crop_pixels)


@pytest.fixture(scope="session")
def torch() -> Any:
    return pytest.importorskip("torch", reason="torch (extra 'collect') is not installed")


@pytest.fixture(scope="session")
def transformers(torch: Any) -> Any:
    reason = "transformers (extra 'collect') is not installed"
    return pytest.importorskip("transformers", reason=reason)


@pytest.fixture(scope="session")
def model(transformers: Any, config_path: Path) -> Any:
    from bayeslat.collect.model import build_model

    return build_model(config_path, "float32", seed=0)


@pytest.fixture
def knobs() -> Knobs:
    return Knobs(
        image_crops=2, prompt_tokens=9, top_k=3, active_blocks=3, batch_size=2, output_tokens=4
    )
