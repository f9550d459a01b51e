"""Files for the BLIS simulator: coefficients, hardware, model, draws, and how to run it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from bayeslat.atomic import atomic_folder
from bayeslat.decisions.group_view import view_group
from bayeslat.errors import InputError
from bayeslat.export.blis_basis import BASES, BATCH, BlisModel, step_bases_us
from bayeslat.export.blis_blackbox import blackbox_columns, fit_blackbox
from bayeslat.export.blis_coefficients import BlisCoefficients, fit_coefficients, summarise
from bayeslat.export.blis_model import blis_model, find_stack, model_knobs
from bayeslat.features.gpu import Gpu
from bayeslat.features.thinning import evenly
from bayeslat.inference.posterior import PosteriorData

__all__ = ["BlisExport", "make_blis", "write_blis"]

_LAST_BLACKBOX = (0, 7, 10)
_VECTORS = 64
_GO = Path(__file__).parent / "go"


@dataclass(frozen=True)
class BlisExport:
    """What goes into the files.

    Attributes
    ----------
    model_name, stack : str
    gpu : Gpu
    model : BlisModel
    alpha_us : tuple of float
        Queueing, once after decode, and of each output token.
    coefficients : BlisCoefficients
    knobs : mapping of str to float
        Of the model and the server, as the posterior knows them.
    blis_version : str
        Empty for the newest.
    blackbox : ndarray, shape (3,), or None
        Coefficients of old versions: of a step, a prompt token and a generated one, in us.
    draws : int
        How many draws are written.
    """

    model_name: str
    stack: str
    gpu: Gpu
    model: BlisModel
    alpha_us: tuple[float, float, float]
    coefficients: BlisCoefficients
    knobs: Mapping[str, float]
    blis_version: str
    blackbox: NDArray[np.float64] | None
    draws: int

    @property
    def beta(self) -> NDArray[np.float64]:
        """The coefficients that are written."""
        return self.coefficients.mean if self.blackbox is None else self.blackbox

    @property
    def largest_departure(self) -> float:
        """Of the exported step time from the posterior's mean, relative, over its batches."""
        return float(np.abs(self.departure).max())

    @property
    def departure(self) -> NDArray[np.float64]:
        """Relative departure of the exported step time. Shape (batch,)."""
        if self.blackbox is None:
            return self.coefficients.departure
        batches = self.coefficients.batches
        departure: NDArray[np.float64] = (
            blackbox_columns(batches) @ self.blackbox / self.coefficients.predicted_us - 1.0
        )
        return departure


def make_blis(
    data: PosteriorData,
    gpu: Gpu,
    model: str,
    *,
    tensor_parallel: int = 1,
    draws: int = 0,
    blis_version: str = "",
    alpha_us: tuple[float, float, float] | None = None,
    seed: int = 0,
) -> BlisExport:
    """Compute what BLIS needs to simulate a model on a GPU.

    Parameters
    ----------
    data : PosteriorData
        Fitted with models/vllm.toml or a spec with the same stage `step`.
    gpu : Gpu
    model : str
        As the traces name it.
    tensor_parallel : int
    draws : int
        Draws of the coefficients to write besides their mean.
    blis_version : str
        Up to v0.7.10, the backend is `blackbox`; the newest by default.
    alpha_us : tuple of float, optional
        By default, the time that a request takes through an empty queue, 0 and 0: what a server
        does outside its engine is not in the traces of the engine.
    seed : int

    Returns
    -------
    BlisExport

    Raises
    ------
    InputError
        With everything that BLIS cannot take.
    HardwareError
        If the data sheet lacks what BLIS needs.
    """
    stack = find_stack(data, gpu, model)
    knobs = {**model_knobs(data, gpu, stack), "tensor_parallel": float(tensor_parallel)}
    _check(knobs, tensor_parallel, draws, alpha_us)
    shape = blis_model(knobs, gpu, tensor_parallel)
    batches = _batches(data, knobs)
    found = fit_coefficients(data, gpu, stack, shape, batches, seed=seed)
    if draws > len(found.draws):
        raise InputError(f"draws is {draws}; the posterior has {len(found.draws)}: ask for fewer")
    old = _version(blis_version) <= _LAST_BLACKBOX if blis_version else False
    return BlisExport(
        model_name=model,
        stack=stack,
        gpu=gpu,
        model=shape,
        alpha_us=alpha_us or (_empty_queue_us(data, gpu, stack), 0.0, 0.0),
        coefficients=found,
        knobs=knobs,
        blis_version=blis_version,
        blackbox=fit_blackbox(batches, found.predicted_us) if old else None,
        draws=draws,
    )


def write_blis(export: BlisExport, folder: str | Path) -> None:
    """Write all files, or none.

    Parameters
    ----------
    export : BlisExport
    folder : str or Path
        `coefficients.yaml`, `hardware.json`, `model/config.json`, `draws/` with a file each,
        `posterior.json` with the spread, `command.txt`, and `go/` with the dot product, a test and
        its vectors. An earlier export is replaced.

    Raises
    ------
    InputError
        If the folder holds something else.
    """
    with atomic_folder(folder, "posterior.json") as out:
        _text(out / "coefficients.yaml", _yaml(export, export.beta))
        _text(out / "hardware.json", _json(_hardware(export)))
        _text(out / "model" / "config.json", _json(_config(export)))
        _text(out / "posterior.json", _json(_posterior(export)))
        _text(out / "command.txt", _command(export))
        if export.blackbox is None:
            for number, at in enumerate(evenly(len(export.coefficients.draws), export.draws)):
                path = out / "draws" / f"{number:04d}.yaml"
                _text(path, _yaml(export, export.coefficients.draws[at]))
            shutil.copytree(_GO, out / "go")
            _text(out / "go" / "vectors.json", _json(_vectors(export)))


def _check(
    knobs: Mapping[str, float],
    tensor_parallel: int,
    draws: int,
    alpha_us: tuple[float, float, float] | None,
) -> None:
    problems = [
        f"tp is {tensor_parallel}, which does not divide {name} ({knobs[name]:g}): choose a divisor"
        for name in ("heads", "kv_heads")
        if tensor_parallel >= 1 and knobs[name] % tensor_parallel
    ]
    if tensor_parallel < 1:
        problems.append(f"tp is {tensor_parallel}; it must be at least 1")
    if draws < 0:
        problems.append(f"draws is {draws}; it must be 0 or more")
    if alpha_us is not None and not all(np.isfinite(each) and each >= 0 for each in alpha_us):
        problems.append(f"alpha is {alpha_us}; BLIS takes finite numbers of us, 0 or more")
    if problems:
        raise InputError("; ".join(problems))


def _version(text: str) -> tuple[int, ...]:
    found = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", text.strip())
    if found is None:
        raise InputError(f"blis version is {text!r}; write it as v0.7.11")
    return tuple(map(int, found.groups()))


def _batches(data: PosteriorData, knobs: Mapping[str, float]) -> pd.DataFrame:
    """Return batches of the training range, as the model would run them."""
    batches = data.reference.assign(**dict(knobs.items()))
    busy = batches["prefill_tokens"] + batches["decode_requests"] > 0
    return batches[busy].reset_index(drop=True)


def _empty_queue_us(data: PosteriorData, gpu: Gpu, stack: str) -> float:
    """Time through an empty queue, of the first stage with a hurdle."""
    for stage in data.stages:
        hurdle = view_group(data, stage, gpu, stack, np.random.default_rng(0)).hurdle
        if hurdle is not None:
            return 1000.0 * float(np.median(hurdle.below_ms))
    return 0.0


def _yaml(export: BlisExport, beta: NDArray[np.float64]) -> str:
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
                "vllm_version": export.stack.split("/")[0],
                "alpha_coeffs": alpha,
                "beta_coeffs": [float(each) for each in beta],
                "best_loss": float(np.abs(export.departure).mean()),
            }
        ]
    return str(yaml.safe_dump(content, sort_keys=False))


def _hardware(export: BlisExport) -> dict[str, Any]:
    gpu, coefficients = export.gpu, export.coefficients.mean
    prefill = max(coefficients[BASES.index("prefill_compute")], 1.0)
    decode = max(coefficients[BASES.index("weights")], 1.0)
    return {
        gpu.key: {
            "TFlopsPeak": export.model.tflops,
            "TFlopsFP8": gpu.fp8_tflops or 0.0,
            "BwPeakTBs": export.model.mem_bw_TBps,
            "mfuPrefill": 1.0 / prefill,
            "mfuDecode": 1.0 / decode,
            "MemoryGiB": (gpu.mem_GB or 0.0) * 1e9 / 2**30,
        }
    }


def _config(export: BlisExport) -> dict[str, Any]:
    """Return the model's sizes under the names of a Hugging Face config.json."""
    model = export.model
    config: dict[str, Any] = {
        "hidden_size": model.hidden,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "intermediate_size": model.intermediate,
        "torch_dtype": {4: "float32", 2: "bfloat16", 1: "float8_e4m3fn"}.get(
            int(model.weight_bytes), "bfloat16"
        ),
    }
    if model.has_experts:
        config |= {
            "num_local_experts": model.experts,
            "num_experts_per_tok": model.experts_per_token,
            "moe_intermediate_size": model.moe_intermediate,
        }
    return config


def _posterior(export: BlisExport) -> dict[str, Any]:
    departure = np.abs(export.departure)
    return {
        "gpu": export.gpu.key,
        "model": export.model_name,
        "stack": export.stack,
        "tensor_parallel": export.model.tensor_parallel,
        "backend": "blackbox" if export.blackbox is not None else "trained-physics",
        "bases": list(BASES),
        "alpha_us": list(export.alpha_us),
        "beta": [float(each) for each in export.beta],
        "beta_posterior": summarise(export.coefficients.draws),
        "departure_from_posterior_mean": {
            "batches": len(departure),
            "mean": float(departure.mean()),
            "q95": float(np.quantile(departure, 0.95)),
            "largest": float(departure.max()),
        },
        "made_with": {"bayeslat": version("bayeslat")},
    }


def _command(export: BlisExport) -> str:
    words = [
        *("blis run", f"--model {export.model_name.lower()}", f"--hardware {export.gpu.key}"),
        f"--tp {export.model.tensor_parallel}",
        *("--hardware-config hardware.json", "--model-config-folder model"),
        *("--defaults-filepath coefficients.yaml",),
        f"--latency-model {'blackbox' if export.blackbox is not None else 'trained-physics'}",
    ]
    return " ".join(words) + "\n"


def _vectors(export: BlisExport) -> dict[str, Any]:
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


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
