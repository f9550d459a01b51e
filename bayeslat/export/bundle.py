"""The guard bundle: one GPU's guardrail in a small file, for a reader that needs NumPy alone."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.atomic import atomic_path, refuse_folder
from bayeslat.counted import listed
from bayeslat.decisions.counted_range import counted_range
from bayeslat.decisions.doubted import doubted_configs
from bayeslat.decisions.evidence import find_evidence
from bayeslat.decisions.predict import predict
from bayeslat.decisions.run_noise import score_table
from bayeslat.errors import HardwareError, InputError
from bayeslat.export import guard_reader
from bayeslat.export.agreement import answer, check_agreement
from bayeslat.export.bundle_header import CountedKnobs, describe_parts
from bayeslat.export.draw_order import order_draws
from bayeslat.export.graph import Graph
from bayeslat.export.stage_part import StagePart, make_part
from bayeslat.features.corners import CELLS
from bayeslat.features.design import stage_times
from bayeslat.features.hardware import Gpu, explain_missing, missing_fields
from bayeslat.features.tasks import task_names
from bayeslat.inference.calibration.new_tasks import grid_of_tasks
from bayeslat.inference.posteriors.caveats import caveats_of
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.thin_draws import DRAWS, thin_draws
from bayeslat.traces.names import TASK, wrong_stack

__all__ = ["READER_NAME", "Bundle", "make_bundle", "write_bundle"]

READER_NAME = "guard_reader.py"
_FORMAT = "bayeslat guard bundle"
_ALIGNED = 64  # bytes
_LOUD = (0.1, 0.03, 0.0)  # of a run's variance: where so much is unsure, draws are looked at
_AGREES = 0.004  # with the posterior, in p_exceed


@dataclass(frozen=True, eq=False, repr=False)
class Bundle:
    """The content of a bundle.

    Attributes
    ----------
    header : dict
        For JSON: what the bundle is of, its steps, and what each stage reads of them.
    arrays : dict of str to ndarray
        Draws and tables.
    """

    header: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def __repr__(self) -> str:
        stack = f" with {self.header['stack']}" if self.header["stack"] else ""
        stages = listed(each["name"] for each in self.header["stages"])
        size = sum(array.nbytes for array in self.arrays.values())
        return f"<Bundle of {self.header['gpu']}{stack}: {stages}; {size / 1e3:,.0f} kB of arrays>"

    def to_bytes(self) -> bytes:
        """Return the file: a line that names it, header, arrays, and a seal over all of these.

        Equal bundles make equal files.
        """
        entries, blocks, offset = [], [], 0
        for name, array in self.arrays.items():
            kind = "<f4" if array.dtype == np.float32 else "<f8"
            block = np.ascontiguousarray(array, dtype=kind).tobytes()
            block += bytes(-len(block) % _ALIGNED)
            entries.append(
                {"name": name, "dtype": kind, "shape": list(array.shape), "offset": offset}
            )
            blocks.append(block)
            offset += len(block)
        header = json.dumps({**self.header, "arrays": entries}, allow_nan=False).encode("ascii")
        first = guard_reader.MAGIC + f"{guard_reader.FORMAT_VERSION} {len(header)}\n".encode()
        content = first + header
        content += bytes(-len(content) % _ALIGNED) + b"".join(blocks)
        return content + guard_reader.SEAL + hashlib.sha256(content).hexdigest().encode()


def make_bundle(
    data: PosteriorData, gpu: Gpu, *, stack: str | None = None, seed: int = 0
) -> Bundle:
    """Collect what decisions about one GPU need.

    Parameters
    ----------
    data : PosteriorData
    gpu : Gpu
        Fitted, calibrated, or known by its data sheet alone.
    stack : str, optional
        That of the GPU's rows that name none, or its only one, by default.
    seed : int
        As a prediction takes it: the same draws stand behind both.

    Returns
    -------
    Bundle

    Raises
    ------
    HardwareError
        If the GPU has no value of a hardware field that the spec needs.
    SpecError
        If a constant part of an expression is no finite number on this GPU.
    InputError
        If the name of the stack is empty, or a stage has a hurdle.
    """
    if problem := wrong_stack(stack):
        raise InputError(problem)
    if hurdles := [stage for stage, part in data.stages.items() if part.hurdle is not None]:
        raise InputError(
            f"stage {hurdles[0]!r} has a hurdle, which a bundle cannot hold; use `bayeslat guard`, "
            "or fit the other stages alone: --stages"
        )
    if missing := missing_fields(gpu, data.spec.hardware_fields):
        raise HardwareError(explain_missing(gpu, missing))
    thin = thin_draws(data, DRAWS)
    graph = Graph(data.spec, gpu)
    parts = [make_part(thin, stage, gpu, stack, seed, graph) for stage in thin.stages]
    configs = _that_run(thin, gpu)
    prediction = predict(thin, configs, gpu, stack=stack, seed=seed)
    each_stage = prediction.stages.values()
    order, reach = order_draws(
        np.stack([np.log(part.typical_ms) for part in each_stage]),
        np.stack([part.times for part in each_stage]),
    )
    evidence = find_evidence(data, gpu.key, stack)
    meant = evidence.stack
    header = {
        "format": _FORMAT,
        "spec": {"name": data.spec.name, "hash": data.spec.hash},
        "gpu": gpu.key,
        "stack": meant,
        "gpu_names": [gpu.key, gpu.name, *gpu.aliases],
        "stack_names": [] if meant is None else [meant],
        "seed": seed,
        "draws": parts[0].draws.shape[1],
        "zero_shot": evidence.zero_shot,
        "unmeasured": list(evidence.unmeasured),
        "evidence": str(evidence),
        "converged": data.diagnostics.converged,
        "caveats": list(caveats_of(data)),
        "made_with": {name: version(name) for name in ("bayeslat", "numpy", "scipy")},
        "fitted": {
            name: data.attrs[name] for name in ("engine", "fingerprint") if name in data.attrs
        },
        "knobs": [
            {
                "name": knob,
                "low": float(data.reference[knob].min()),
                "high": float(data.reference[knob].max()),
            }
            for knob in data.spec.knobs
        ],
        "names_task": data.spec.uses_task,
        "tasks": sorted({task for part in parts for task in part.basis.tasks}),
        "doubted": _doubted(data, gpu, stack),
        "reach": reach,
        **describe_parts(parts, [_counting(data, part.name, gpu) for part in parts], graph),
    }
    arrays = _arrays(parts, order, data)
    answers = answer(thin, gpu, stack, configs, prediction, seed)
    for loud in _LOUD:
        header["loud"] = loud
        header["agreement"] = check_agreement(header, arrays, answers)
        if header["agreement"]["p_exceed"] <= _AGREES:
            break
    return Bundle(header, arrays)


def _that_run(data: PosteriorData, gpu: Gpu) -> pd.DataFrame:
    """Return the configurations of the fit in which any stage runs: the others take no time."""
    configs = grid_of_tasks(data)
    runs = np.any(
        [stage_times(data.spec, stage, configs, gpu) > 0 for stage in data.stages], axis=0
    )
    return configs[runs].reset_index(drop=True)


def write_bundle(
    data: PosteriorData,
    gpu: Gpu,
    path: str | Path,
    *,
    stack: str | None = None,
    seed: int = 0,
    reader: bool = True,
) -> Bundle:
    """Write a bundle, whole or not at all, and the reader beside it.

    Parameters
    ----------
    data : PosteriorData
    gpu : Gpu
    path : str or Path
        Missing folders are made.
    stack, seed
        As `make_bundle` takes them.
    reader : bool
        Whether to write `guard_reader.py` beside it.

    Returns
    -------
    Bundle
        What was written.

    Raises
    ------
    HardwareError, SpecError, InputError
        As `make_bundle` does; or if the path is that of the reader, or of a folder.
    """
    target = Path(path)
    if target.name == READER_NAME:
        raise InputError(f"{target}: is the name of the reader; name the bundle otherwise")
    beside = target.with_name(READER_NAME) if reader else None
    for file in filter(None, (target, beside)):  # before the work
        refuse_folder(file)
    bundle = make_bundle(data, gpu, stack=stack, seed=seed)
    with atomic_path(target) as temporary:
        temporary.write_bytes(bundle.to_bytes())
    if beside is not None:
        with atomic_path(beside) as temporary:
            shutil.copyfile(guard_reader.__file__, temporary)
    return bundle


def _doubted(data: PosteriorData, gpu: Gpu, stack: str | None) -> list[list[float | str]]:
    """Configurations that are not accepted since their own measurement was set aside.

    The knobs of each, then its task.
    """
    rows = doubted_configs(data, gpu.key, stack)
    tasks = task_names(rows[TASK].tolist() if TASK in rows else None, len(rows))
    knobs = rows[list(data.spec.knobs)].to_numpy(dtype=float).tolist()
    return [[*values, str(task)] for values, task in zip(knobs, tasks, strict=True)]


def _counting(data: PosteriorData, stage: str, gpu: Gpu) -> CountedKnobs:
    """Knobs that only say how often a stage runs: their place, and range."""
    knobs = list(data.spec.knobs)
    ranges = counted_range(data, stage, gpu.key)
    return [(knobs.index(knob), low, high) for knob, (low, high) in ranges.items()]


def _arrays(
    parts: Sequence[StagePart], order: NDArray[np.int64], data: PosteriorData
) -> dict[str, NDArray[Any]]:
    """Loads and draws in 32 bits, and tables."""
    table = score_table()
    arrays: dict[str, NDArray[Any]] = {
        "inverse_dof": table.inverse_dof,
        "tails": table.tails,
        "slope": table.slope,
    }
    for part in parts:
        arrays[f"{part.name} loads"] = part.loads.astype(np.float32)
        arrays[f"{part.name} draws"] = part.draws[:, order].astype(np.float32)
        arrays[f"{part.name} noise"] = part.noise_squares[order].astype(np.float32)
        if part.walk is not None:
            arrays[f"{part.name} reached"] = part.walk.reached
        if len(part.corners.pairs):
            arrays[f"{part.name} corners"] = part.corners.depth.reshape(-1, CELLS**2)
    if data.noise_correlation is not None:
        arrays["correlation"] = data.noise_correlation
    return arrays
