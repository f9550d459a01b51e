"""What is in the files for BLIS: what it reads, the sidecar, and vectors for the program in Go."""

from __future__ import annotations

import re
import shlex
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from bayeslat.export.blis_basis import BASES, BATCH, step_bases_us
from bayeslat.export.blis_blackbox import BLACKBOX_BASES
from bayeslat.export.blis_coefficients import summarise
from bayeslat.export.blis_export import BlisExport
from bayeslat.export.blis_model import peak_tflops
from bayeslat.features.thinning import evenly

__all__ = [
    "coefficients_yaml",
    "command_line",
    "go_vectors",
    "hardware_entry",
    "model_config",
    "options_left_out",
    "sidecar",
]

# BLIS reads the width of the weights from a model's name where its configuration does not say it.
_SAYS_WIDTH = re.compile(r"w\d+a\d+|fp8", re.IGNORECASE)
_VECTORS = 64
_SERVER = {
    "--block-size-in-tokens": "kv_block_tokens",
    "--max-num-running-reqs": "max_num_seqs",
    "--max-num-scheduled-tokens": "max_num_batched_tokens",
}
_UNLIMITED_BLOCKS = 1_000_000  # as BLIS has it by default


def coefficients_yaml(export: BlisExport, beta: NDArray[np.float64]) -> str:
    """Return a file of coefficients; any further key is an error to BLIS.

    Parameters
    ----------
    export : BlisExport
    beta : ndarray, shape (basis,) or (3,)
        Of the mean, or of a draw.
    """
    alpha = [float(each) for each in export.alpha_us]
    name = export.model_name.lower()
    content: dict[str, Any] = {"version": "0.0.1"}
    setting = {"GPU": export.gpu.key, "tensor_parallelism": export.model.tensor_parallel}
    if export.blackbox is None:
        content["defaults"] = {name: {**setting, "hf_repo": export.model_name}}
        content["trained_physics_coefficients"] = {
            "alpha_coeffs": alpha,
            "beta_coeffs": [float(each) for each in beta],
        }
    else:
        content["models"] = [
            {
                "id": name,
                **setting,
                "vllm_version": _software(export),
                "alpha_coeffs": alpha,
                "beta_coeffs": [float(each) for each in beta],
                "best_loss": float(np.abs(export.departure).mean()),
            }
        ]
    return str(yaml.safe_dump(content, sort_keys=False))


def hardware_entry(export: BlisExport) -> dict[str, Any]:
    """Return the GPU in BLIS's units; its mfu* are those of another backend."""
    gpu, coefficients = export.gpu, export.coefficients.mean
    prefill = max(coefficients[BASES.index("prefill_compute")], 1.0)
    decode = max(coefficients[BASES.index("weights")], 1.0)
    return {
        gpu.key: {
            "TFlopsPeak": peak_tflops(gpu, export.model.weight_bytes),
            "TFlopsFP8": gpu.fp8_tflops or 0.0,
            "BwPeakTBs": export.model.mem_bw_TBps,
            "mfuPrefill": 1.0 / prefill,
            "mfuDecode": 1.0 / decode,
            "MemoryGiB": (gpu.mem_GB or 0.0) * 1e9 / 2**30,
        }
    }


def model_config(export: BlisExport) -> dict[str, Any]:
    """Return the model's sizes under the names of a Hugging Face config.json."""
    model = export.model
    config: dict[str, Any] = {
        "hidden_size": model.hidden,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        # BLIS refuses 0, which a model has whose layers all have experts.
        "intermediate_size": model.intermediate or model.moe_intermediate,
        "torch_dtype": "float32" if model.weight_bytes > 2 else "bfloat16",
    }
    if model.weight_bytes < 2 or _SAYS_WIDTH.search(export.model_name):
        config["quantization_config"] = {"bits": round(8 * model.weight_bytes)}
    if model.has_experts:
        config |= {
            "num_local_experts": model.experts,
            "num_experts_per_tok": model.experts_per_token,
            "moe_intermediate_size": model.moe_intermediate,
        }
    return config


def command_line(export: BlisExport) -> str:
    """Return the command that simulates the server, to be run in the folder."""
    blackbox = export.blackbox is not None
    options: dict[str, str | int] = {
        "--model": export.model_name.lower(),
        "--hardware": export.gpu.key,
        "--tp": export.model.tensor_parallel,
        "--hardware-config": "hardware.json",
        "--model-config-folder": "model",
        "--defaults-filepath": "coefficients.yaml",
        "--latency-model": "blackbox" if blackbox else "trained-physics",
    }
    if blackbox:
        options["--vllm-version"] = _software(export)  # one of the four keys that find the model
    # Without it, BLIS computes the cache from a vocabulary that the traces do not know.
    options["--total-kv-blocks"] = export.kv_blocks or _UNLIMITED_BLOCKS
    left_out = options_left_out(export)
    options |= {
        option: round(export.knobs[knob])
        for option, knob in _SERVER.items()
        if option not in left_out
    }
    words = [str(word) for pair in options.items() for word in pair]
    return shlex.join(["blis", "run", *words]) + "\n"


def options_left_out(export: BlisExport) -> dict[str, str]:
    """Return limits of the server that the command does not name, and the knobs that they are.

    The traces do not have them, or have several servers of the stack that differ in them.
    """
    return {
        option: knob for option, knob in _SERVER.items() if not export.knobs.get(knob, 0.0) >= 1
    }


def sidecar(export: BlisExport) -> dict[str, Any]:
    """Return what BLIS does not read: spread of the coefficients, and what they miss.

    Of `blackbox` the mean alone is known: its spread is empty.
    """
    blackbox = export.blackbox is not None
    return {
        "gpu": export.gpu.key,
        "model": export.model_name,
        "stack": export.stack,
        "tensor_parallel": export.model.tensor_parallel,
        "backend": "blackbox" if blackbox else "trained-physics",
        "bases": list(BLACKBOX_BASES if blackbox else BASES),
        "alpha_us": list(export.alpha_us),
        "beta": [float(each) for each in export.beta],
        "beta_posterior": {} if blackbox else summarise(export.coefficients.draws),
        "departure_from_posterior_mean": {
            "batches": len(export.departure),
            **_sizes(export.departure),
        },
        "whole_prompts": export.whole_prompts,
        "between_steps_us": export.between_us,
        "departure_by_the_count_of_blis": _sizes(export.counted_departure),
        "made_with": {"bayeslat": version("bayeslat")},
    }


def go_vectors(export: BlisExport) -> dict[str, Any]:
    """Return batches with their features and step times, for the program in Go."""
    batches = export.coefficients.batches
    kept = batches.iloc[evenly(len(batches), _VECTORS)]
    features = step_bases_us(export.model, kept)
    return {
        "model": asdict(export.model),
        "beta": [float(each) for each in export.coefficients.mean],
        "vectors": [
            {
                "batch": {name: float(row[name]) for name in BATCH},
                "features": [float(each) for each in bases],
                "step_us": float(bases @ export.coefficients.mean),
            }
            for (_, row), bases in zip(kept.iterrows(), features, strict=True)
        ],
    }


def _sizes(departure: NDArray[np.float64]) -> dict[str, float]:
    size = np.abs(departure)
    return {
        "mean": float(size.mean()),
        "q95": float(np.quantile(size, 0.95)),
        "largest": float(size.max()),
    }


def _software(export: BlisExport) -> str:
    return export.stack.split("/", maxsplit=1)[0]
