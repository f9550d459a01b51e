"""Building a vision-language model with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bayeslat.collect.backend import load_torch, load_transformers
from bayeslat.errors import InputError

__all__ = ["DTYPE_BYTES", "KERNELS", "build_model"]

KERNELS = {"attn_implementation": "sdpa", "experts_implementation": "grouped_mm"}
"""Which of transformers' implementations run, so that a new default cannot change a trace."""

DTYPE_BYTES = {"float32": 4, "bfloat16": 2}
"""Bytes per weight of each dtype that can be measured."""


def build_model(config_path: str | Path, dtype: str, seed: int) -> Any:
    """Build a model from its configuration alone, without a download.

    Parameters
    ----------
    config_path : str or Path
        A Hugging Face `config.json`.
    dtype : str
        A key of `DTYPE_BYTES`. The weights are drawn in float32 and then cast, so that one seed
        gives the same model, up to rounding, in every dtype.
    seed : int
        Seed of the weights.

    Returns
    -------
    Qwen3VLMoeForConditionalGeneration
        On the CPU, in evaluation mode.

    Raises
    ------
    InputError
        If the dtype is not known.
    """
    if dtype not in DTYPE_BYTES:
        raise InputError(f"dtype {dtype!r} is not known; choose one of {', '.join(DTYPE_BYTES)}")
    torch, transformers = load_torch(), load_transformers()
    config = transformers.Qwen3VLMoeConfig.from_json_file(str(config_path))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModelForImageTextToText.from_config(config, **KERNELS)
    return model.to(getattr(torch, dtype)).eval()
