"""Models so small that a request takes milliseconds, and what goes with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bayeslat.collect.knobs import Knobs
from bayeslat.collect.limits import VlmLimits
from tests.collect.small_models import MODELS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def shipped_config() -> Path:
    return ROOT / "models" / "tiny_qwen3_vl_moe.json"


@pytest.fixture(scope="session")
def torch() -> Any:
    return pytest.importorskip("torch", reason="torch (extra 'collect') is not installed")


@pytest.fixture(scope="session")
def transformers(torch: Any) -> Any:
    reason = "transformers (extra 'collect') is not installed"
    return pytest.importorskip("transformers", reason=reason)


@pytest.fixture(scope="session")
def config_paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a configuration of each model type."""
    paths = {}
    for model_type, config in MODELS.items():
        paths[model_type] = tmp_path_factory.mktemp(model_type) / "config.json"
        paths[model_type].write_text(json.dumps(config), encoding="utf-8")
    return paths


@pytest.fixture(scope="session")
def config_path(config_paths: dict[str, Path]) -> Path:
    return config_paths["qwen3_vl_moe"]


@pytest.fixture(scope="session")
def vlms(transformers: Any, config_paths: dict[str, Path]) -> dict[str, Any]:
    """Return a loaded model of each type."""
    from bayeslat.collect.vlm import Source, load_vlm

    return {
        name: load_vlm(Source(str(path), random_weights=True), "float32")
        for name, path in config_paths.items()
    }


@pytest.fixture(scope="session")
def vlm(vlms: dict[str, Any]) -> Any:
    """Return a loaded Qwen3-VL with experts."""
    return vlms["qwen3_vl_moe"]


@pytest.fixture(scope="session")
def limits() -> VlmLimits:
    """Return the limits of the small Qwen3-VL with experts, by hand."""
    return VlmLimits(
        image_pixels=128,
        pixel_step=32,
        pixels_per_token=32,
        markers_per_crop=2,
        experts=8,
        top_k=2,
        blocks=4,
        least_blocks=2,
        context_tokens=128,
    )


@pytest.fixture
def knobs() -> Knobs:
    return Knobs(
        image_crops=2,
        image_pixels=64,
        prompt_tokens=9,
        output_tokens=4,
        top_k=3,
        active_blocks=3,
        batch_size=2,
        dtype="float32",
    )
