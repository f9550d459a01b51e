from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bayeslat.collect.model import build_model
from bayeslat.errors import InputError


def test_one_seed_gives_one_model_in_every_dtype(
    transformers: Any, torch: Any, config_path: Path, model: Any
) -> None:
    half = build_model(config_path, "bfloat16", seed=0)
    assert half.dtype == torch.bfloat16
    for name, weight in model.named_parameters():
        rounded = weight.to(torch.bfloat16)
        assert torch.equal(half.get_parameter(name), rounded), name


def test_another_seed_gives_another_model(
    transformers: Any, torch: Any, config_path: Path, model: Any
) -> None:
    other = build_model(config_path, "float32", seed=1)
    assert not torch.equal(other.lm_head.weight, model.lm_head.weight)


def test_building_leaves_the_global_random_state_alone(
    transformers: Any, torch: Any, config_path: Path
) -> None:
    before = torch.random.get_rng_state()
    build_model(config_path, "float32", seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_shipped_model_has_the_size_it_is_said_to_have(
    transformers: Any, shipped_config: Path
) -> None:
    weights = sum(part.numel() for part in build_model(shipped_config, "float32", 0).parameters())
    assert 20e6 < weights < 50e6


def test_an_unknown_dtype_is_refused(config_path: Path) -> None:
    with pytest.raises(InputError, match=r"'float8'.*float32, bfloat16"):
        build_model(config_path, "float8", seed=0)
