"""Files for the BLIS simulator: coefficients, hardware, model, draws, and how to run it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayeslat.atomic import atomic_folder
from bayeslat.decisions.group_view import view_group
from bayeslat.errors import InputError
from bayeslat.export.blis_blackbox import fit_blackbox
from bayeslat.export.blis_coefficients import fit_coefficients
from bayeslat.export.blis_export import BlisExport
from bayeslat.export.blis_files import (
    coefficients_yaml,
    command_line,
    go_vectors,
    hardware_entry,
    model_config,
    sidecar,
)
from bayeslat.export.blis_model import blis_model, cache_blocks, find_stack, model_knobs
from bayeslat.export.blis_queueing import point_queueing
from bayeslat.export.blis_queueing_files import queueing_json, queueing_vectors
from bayeslat.export.blis_queueing_stage import QUEUEING, why_left_out
from bayeslat.features.gpu import Gpu
from bayeslat.features.thinning import evenly
from bayeslat.inference.posteriors.posterior import PosteriorData

__all__ = ["make_blis", "write_blis"]

_LAST_BLACKBOX = (0, 7, 10)
_GO = Path(__file__).parent / "go"
_GO_QUEUEING = ("queueing*", "student_t.go")


def make_blis(
    data: PosteriorData,
    gpu: Gpu,
    model: str,
    *,
    tensor_parallel: int = 1,
    draws: int = 0,
    blis_version: str = "",
    alpha_us: tuple[float, float, float] | None = None,
    whole_prompts: bool = False,
    between_us: float = 0.0,
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
    whole_prompts : bool
        BLIS lets each chunk of a prompt attend to the whole prompt (`count_as_blis`). Fit the
        coefficients to that, as well as they can; by default they are those of the posterior's own
        count, and simulated prefills of long prompts take longer than its mean.
    between_us : float
        Time from the end of a step to the start of the next (`time_between_us`), which is added to
        each step: BLIS starts the next at once.
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
    knobs = {
        **model_knobs(data, gpu, stack, tensor_parallel),
        "tensor_parallel": float(tensor_parallel),
    }
    old = bool(blis_version) and _version(blis_version) <= _LAST_BLACKBOX
    problems = _problems(knobs, tensor_parallel, draws, alpha_us)
    if not (np.isfinite(between_us) and between_us >= 0):
        problems.append(f"between_us is {between_us}; it must be a finite number of us, 0 or more")
    if old and whole_prompts:
        problems.append(
            f"whole prompts: BLIS {blis_version} counts no attention of prompts; leave it out"
        )
    if old and draws:
        problems.append(f"draws is {draws}; the mean alone is exported to BLIS {blis_version}")
    if problems:
        raise InputError("; ".join(problems))
    shape = blis_model(knobs, gpu, tensor_parallel)
    batches = _batches(data, knobs)
    found = fit_coefficients(
        data,
        gpu,
        stack,
        shape,
        batches,
        whole_prompts=whole_prompts,
        between_us=between_us,
        seed=seed,
    )
    if draws > len(found.draws):
        raise InputError(f"draws is {draws}; the posterior has {len(found.draws)}: ask for fewer")
    blocks = cache_blocks(data, gpu, stack, tensor_parallel)
    queueing, left_out = None, ""
    if QUEUEING in data.stages and not old:
        server = {name: value for name, value in knobs.items() if name != "kv_blocks"}
        server |= {"kv_blocks": float(blocks)} if blocks else {}
        left_out = why_left_out(data, server)
        queueing = None if left_out else point_queueing(data, gpu, stack, server, seed)
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
        kv_blocks=blocks,
        whole_prompts=whole_prompts,
        between_us=between_us,
        queueing=queueing,
        queueing_left_out=left_out,
    )


def write_blis(export: BlisExport, folder: str | Path) -> None:
    """Write all files, or none.

    Parameters
    ----------
    export : BlisExport
    folder : str or Path
        `coefficients.yaml`, `hardware.json`, `model/config.json`, `draws/` with a file each,
        `posterior.json` with the spread, `command.txt`, and `go/` with the dot product, a test and
        its vectors, of the queueing delay, too, if there is one. An earlier export is replaced.

    Raises
    ------
    InputError
        If the folder holds something else.
    """
    with atomic_folder(folder, "posterior.json") as out:
        _text(out / "coefficients.yaml", coefficients_yaml(export, export.beta))
        _text(out / "hardware.json", _json(hardware_entry(export)))
        _text(out / "model" / "config.json", _json(model_config(export)))
        _text(out / "posterior.json", _json(sidecar(export)))
        _text(out / "command.txt", command_line(export))
        if export.blackbox is None:
            for number, at in enumerate(evenly(len(export.coefficients.draws), export.draws)):
                path = out / "draws" / f"{number:04d}.yaml"
                _text(path, coefficients_yaml(export, export.coefficients.draws[at]))
            _go(export, out / "go")


def _go(export: BlisExport, folder: Path) -> None:
    """Write the programs in Go: that of the step time, and that of the queueing delay if any."""
    left_out = () if export.queueing else _GO_QUEUEING
    shutil.copytree(_GO, folder, ignore=shutil.ignore_patterns(*left_out))
    _text(folder / "vectors.json", _json(go_vectors(export)))
    if export.queueing:
        _text(folder / "queueing.json", _json(queueing_json(export.queueing)))
        _text(folder / "queueing_vectors.json", _json(queueing_vectors(export.queueing)))


def _problems(
    knobs: Mapping[str, float],
    tensor_parallel: int,
    draws: int,
    alpha_us: tuple[float, float, float] | None,
) -> list[str]:
    problems = [
        f"tp is {tensor_parallel}, which does not divide {name} ({knobs[name]:g}), as BLIS "
        "demands: choose a divisor"
        for name in ("heads", "kv_heads")
        if tensor_parallel >= 1 and knobs[name] % tensor_parallel
    ]
    if tensor_parallel < 1:
        problems.append(f"tp is {tensor_parallel}; it must be at least 1")
    if draws < 0:
        problems.append(f"draws is {draws}; it must be 0 or more")
    if alpha_us is not None and not all(np.isfinite(each) and each >= 0 for each in alpha_us):
        problems.append(f"alpha is {alpha_us}; BLIS takes finite numbers of us, 0 or more")
    return problems


def _version(text: str) -> tuple[int, ...]:
    found = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", text.strip())
    if found is None:
        raise InputError(f"blis version is {text!r}; write it as v0.7.11")
    return tuple(map(int, found.groups()))


def _batches(data: PosteriorData, knobs: Mapping[str, float]) -> pd.DataFrame:
    """Return batches of the training range, as the model would run them."""
    batches = data.reference.assign(**knobs)
    busy = batches["prefill_tokens"] + batches["decode_requests"] > 0
    return batches[busy].reset_index(drop=True)


def _empty_queue_us(data: PosteriorData, gpu: Gpu, stack: str) -> float:
    """Time through an empty queue, of the first stage with a hurdle."""
    for stage in data.stages:
        hurdle = view_group(data, stage, gpu, stack, np.random.default_rng(0)).hurdle
        if hurdle is not None:
            return 1000.0 * float(np.median(hurdle.below_ms))
    return 0.0


def _json(content: Mapping[str, Any] | Sequence[Any]) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
