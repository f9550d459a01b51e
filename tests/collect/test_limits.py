from __future__ import annotations

import json
from pathlib import Path

import pytest

from bayeslat.collect.limits import VlmLimits, read_limits
from bayeslat.errors import InputError


def test_limits_of_the_shipped_configuration(shipped_config: Path) -> None:
    # By hand: 192 px are 12 patches of 16 px a side, merged 2x2 to 6 x 6 tokens.
    assert read_limits(shipped_config, 192) == VlmLimits(
        crop_side_patches=12,
        tokens_per_crop=36,
        experts=16,
        blocks=12,
        deepstack_levels=2,
        context_tokens=4096,
    )


@pytest.mark.parametrize(("crop_pixels", "cure"), [(100, "96"), (16, "32"), (0, "32")])
def test_a_crop_of_parts_of_patches_is_refused(
    shipped_config: Path, crop_pixels: int, cure: str
) -> None:
    with pytest.raises(InputError, match=rf"{crop_pixels} pixels.*multiple of 32.*try {cure}"):
        read_limits(shipped_config, crop_pixels)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.json: no such file"):
        read_limits(tmp_path / "absent.json", 192)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not JSON"),
        ("[1]", "model_type is None"),
        (json.dumps({"model_type": "llava"}), "model_type is 'llava'"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        read_limits(path, 192)
