"""The shipped specs, as text: what people read of them; and the models that they are of."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from bayeslat.features.hardware import load_hardware, missing_fields
from bayeslat.features.spec import load_spec
from bayeslat.traces.model_parts import model_parts
from bayeslat.traces.model_sizes import language_config, model_sizes

FOLDER = Path(__file__).parents[2] / "models"
MODELS = sorted(FOLDER.glob("*.toml"))
_ORPHAN = re.compile(r"^# .*\n\[stages\.\w+\.residual\]", re.MULTILINE)


def test_a_comment_without_its_term_is_found() -> None:
    assert _ORPHAN.search('a = "1"\n# of a term that went\n[stages.decode.residual]\n')


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_comment_of_the_physics_stands_above_its_term(path: Path) -> None:
    assert not _ORPHAN.search(path.read_text(encoding="utf-8"))


def test_the_model_that_measures_for_vlm_is_the_one_that_it_describes() -> None:
    told = json.loads((FOLDER / "internvl_qwen3_moe.json").read_text(encoding="utf-8"))
    text, vision = language_config(told), told["vision_config"]
    sizes, parts = model_sizes(text), model_parts(text, {})
    (side,), (patch,) = set(vision["image_size"]), set(vision["patch_size"])
    merge = round(1 / told["downsample_ratio"])
    spec = load_spec(FOLDER / "vlm.toml").architecture
    assert {
        "hidden": sizes["hidden"],
        "q_width": sizes["heads"] * sizes["head_dim"],
        "kv_width": parts["kv_width"] / 2,
        "experts": sizes["experts"],
        "experts_per_token": sizes["experts_per_token"],
        "expert_inner": sizes["moe_intermediate"],
        "vocab": sizes["vocab"],
        "vit_layers": vision["num_hidden_layers"],
        "vit_hidden": vision["hidden_size"],
        "vit_inner": vision["intermediate_size"],
        "patches": (side // patch) ** 2,
        "merged": (side // patch // merge) ** 2,
        "merged_width": vision["hidden_size"] * merge**2,
    }.items() <= spec.items()
    assert sizes["layers"] == parts["moe_layers"] == 48


@pytest.mark.parametrize("slowdown", [0.75, 3350 / 450])
def test_links_may_be_as_fast_as_blis_has_them_or_as_nvlink_is(slowdown: float) -> None:
    """By the bandwidth of an H100's memory: BLIS's coefficient, and a direction of NVLink 4."""
    spec = load_spec(FOLDER / "vllm.toml")
    prior = spec.priors[spec.stages["step"].physics["tensor_parallel"].kind]
    assert abs(np.log(slowdown / prior.slowdown)) < 3.0 * prior.slowdown_log_sd


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_shipped_specs_ask_of_no_gpu_what_its_generation_lacks(path: Path) -> None:
    """A T4 or V100 has no bf16."""
    needed = load_spec(path).hardware_fields
    lacking = {
        gpu.key: fields
        for gpu in load_hardware().gpus.values()
        if (fields := missing_fields(gpu, needed))
    }
    assert not lacking
