"""optimum-benchmark's `benchmark.json`: one measured configuration, with the time of each run.

Read in optimum-benchmark 0.6 (`trackers/latency.py`, `benchmark/report.py`). The report names the
unit. Times are of a whole batch. A report without its configuration says no shapes; the
configuration is taken from `benchmark_config.json` beside `benchmark_report.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.importer import Batch, Importer, Tally, each_alone
from bayeslat.traces.importers.json_stream import decode
from bayeslat.traces.importers.units import MS_PER_UNIT
from bayeslat.traces.importers.vocabulary import Column, columns_named

__all__ = ["IMPORTER"]

type Numbers = NDArray[np.float64]

_LARGEST_BYTES = 1 << 28


def _read(path: Path, tally: Tally) -> Iterator[Batch]:
    document = _load(path)
    report, config = document.get("report", document), document.get("config")
    if config is None:
        beside = path.with_name("benchmark_config.json")
        config = _load(beside) if beside.is_file() else {}
    if not isinstance(report, dict) or not isinstance(config, dict):
        raise _not_ours(path)
    prefill, decode_ms, per_token = (
        _latencies(report, target, path) for target in ("prefill", "decode", "per_token")
    )
    if prefill is None and decode_ms is None and per_token is None:
        raise _not_ours(path)
    constants = _constants(config, tally)
    if "batch_size" not in constants:
        raise refuse(
            path,
            "says no shapes of its inputs; import benchmark.json, or put benchmark_config.json "
            "beside the report",
        )
    if decode_ms is not None:
        columns = _side_by_side(prefill, decode_ms, constants.get("output_tokens"))
    elif per_token is not None:
        columns = {"t_prefill_ms": prefill, "t_tpot_ms": per_token}
    else:
        columns = {"t_prefill_ms": prefill}
    yield _batch(
        {name: values for name, values in columns.items() if values is not None}, constants
    )


def _load(path: Path) -> dict[str, Any]:
    """Return a small JSON document."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise _not_ours(path)
        return decode(path.read_bytes(), dict[str, Any])
    except OSError as error:
        raise refuse(path, f"cannot be opened ({error.strerror}); check it") from error
    except ValueError as error:
        raise refuse(path, f"is no JSON object, or cut short ({error}); copy it again") from error


def _not_ours(path: Path) -> Exception:
    return refuse(
        path,
        "has no latency of prefill, decode or per_token, as reports of optimum-benchmark's "
        "inference scenario have; name its benchmark.json",
    )


def _latencies(report: Mapping[str, Any], target: str, path: Path) -> Numbers | None:
    """Return the time of each run, ms; None if it was not measured."""
    latency = _dict(_dict(report.get(target)).get("latency"))
    if not latency:
        return None
    values, unit = latency.get("values"), latency.get("unit")
    if not isinstance(values, list) or not values:
        raise refuse(
            path, f"holds aggregates only of {target}, not the time of each run; measure again"
        )
    if unit not in MS_PER_UNIT:
        raise refuse(path, f"gives {target} in the unit {unit!r}, which nobody knows here")
    if not all(isinstance(value, int | float) for value in values):
        raise refuse(path, f"its values of {target} are not all numbers; measure again")
    return MS_PER_UNIT[unit] * np.array(values, dtype=np.float64)


def _side_by_side(
    prefill: Numbers | None, decode_ms: Numbers, output: str | float | int | None
) -> dict[str, Numbers | None]:
    """Return prefill and decode of the same runs; where they are of other runs, apart."""
    per_token = (
        decode_ms / (output - 1) if isinstance(output, int) and output > 1 else np.nan * decode_ms
    )
    if prefill is not None and len(prefill) != len(decode_ms):
        nothing = np.nan * decode_ms
        apart = np.nan * prefill
        return {
            "t_prefill_ms": np.concatenate([prefill, nothing]),
            "t_decode_ms": np.concatenate([apart, decode_ms]),
            "t_tpot_ms": np.concatenate([apart, per_token]),
        }
    return {"t_prefill_ms": prefill, "t_decode_ms": decode_ms, "t_tpot_ms": per_token}


def _constants(config: Mapping[str, Any], tally: Tally) -> dict[str, str | float | int]:
    """Return what was measured, on what."""
    found: dict[str, str | float | int] = {"observed_by": "engine"}
    scenario, backend = _dict(config.get("scenario")), _dict(config.get("backend"))
    shapes, generation = _dict(scenario.get("input_shapes")), _dict(scenario.get("generate_kwargs"))
    counts = {
        "batch_size": shapes.get("batch_size"),
        "prompt_tokens": shapes.get("sequence_length"),
        "output_tokens": generation.get("max_new_tokens") or scenario.get("new_tokens"),
    }
    found |= {name: value for name, value in counts.items() if isinstance(value, int)}
    if isinstance(backend.get("model"), str):
        found["model"] = backend["model"]
    if isinstance(backend.get("torch_dtype"), str):
        found["dtype"] = backend["torch_dtype"]
    if isinstance(backend.get("name"), str):
        version = backend.get("version")
        found["stack"] = f"{backend['name']}_{version}" if version else backend["name"]
    return found | _device(config, backend, tally)


def _device(
    config: Mapping[str, Any], backend: Mapping[str, Any], tally: Tally
) -> dict[str, str | float | int]:
    """Return the device that ran it, by the name that its driver has for it."""
    environment = _dict(config.get("environment"))
    version = environment.get("optimum_benchmark_version")
    if isinstance(version, str):
        tally.software["optimum-benchmark"] = version
    gpus: Sequence[Any] = environment.get("gpu") or []
    names = {name for name in gpus if isinstance(name, str)} if isinstance(gpus, list) else set()
    if backend.get("device") in ("cuda", None) and len(names) == 1:
        return {"gpu": names.pop()}
    return {}


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _batch(columns: Mapping[str, Numbers], constants: Mapping[str, str | float | int]) -> Batch:
    """Return the runs as rows; a shorter list ends early."""
    n_rows = max(map(len, columns.values()))
    padded = {
        name: np.concatenate([values, np.full(n_rows - len(values), np.nan)])
        for name, values in columns.items()
    }
    return Batch(
        n_rows=n_rows,
        columns={**padded, **constants, "request_id": np.arange(n_rows).astype(str).tolist()},
    )


def _without_reports(files: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Leave out copies, and reports where the whole benchmark, which holds it, stands beside."""
    whole = {file.parent.resolve() for file in files if file.name == "benchmark.json"}
    return each_alone(
        [
            file
            for file in files
            if file.name != "benchmark_report.json" or file.parent.resolve() not in whole
        ]
    )


IMPORTER = Importer(
    name="optimum_benchmark",
    title="optimum-benchmark, benchmark.json of the inference scenario",
    patterns=("benchmark.json", "benchmark_report.json"),
    columns=(
        *columns_named(
            "gpu",
            "stack",
            "model",
            "request_id",
            "observed_by",
            "t_prefill_ms",
            "t_decode_ms",
            "t_tpot_ms",
            "prompt_tokens",
            "output_tokens",
            "batch_size",
        ),
        Column("dtype", "text", "of weights and activations"),
    ),
    definitions={
        "t_prefill_ms": "engine: the forward pass over the prompts of the whole batch",
        "t_decode_ms": "engine: all further forward passes of the whole batch",
        "t_tpot_ms": "engine: one further forward pass of the whole batch, mean of a run",
    },
    read=_read,
    names_gpu=True,
    series=_without_reports,
)
