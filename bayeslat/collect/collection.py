"""A collection: a design, measured in random order on one device."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from bayeslat.collect.backend import load_transformers
from bayeslat.collect.dtypes import DTYPE_BYTES
from bayeslat.collect.generate import generate_greedily
from bayeslat.collect.knobs import Knobs
from bayeslat.collect.measure import Measurement, measure
from bayeslat.collect.memory import is_out_of_memory, release_memory
from bayeslat.collect.request import Request
from bayeslat.collect.routing import RoutedExperts, recorded_routing
from bayeslat.collect.schedule import Visit
from bayeslat.collect.telemetry import Telemetry
from bayeslat.collect.vlm import Vlm
from bayeslat.errors import InputError
from bayeslat.traces.names import MEASURED

__all__ = ["OUT_OF_MEMORY", "Row", "collect", "measured_row"]

type Row = dict[str, Any]

OUT_OF_MEMORY = "out_of_memory"
"""Outcome of a configuration that needs more memory than there is."""


def collect(
    load: Callable[[str], Vlm],
    configs: Mapping[int, Knobs],
    visits: Iterable[Visit],
    telemetry: Telemetry,
    seed: int,
) -> Iterator[Row]:
    """Measure one visit after the other.

    Parameters
    ----------
    load : callable (dtype) -> Vlm
        Loads the model; called once for each dtype, when it is first needed.
    configs : mapping of config_id to Knobs
    visits : iterable of Visit
    telemetry : Telemetry
        Of the device.
    seed : int
        Seed of the inputs.

    Yields
    ------
    dict
        A row of the trace, without its `gpu`; `repeat` is None for the reference. Visits of a
        configuration that ran out of memory are left out from then on.

    Raises
    ------
    InputError
        If a model cannot be loaded, or a configuration fails for another reason than memory. A GPU
        is of no more use then.
    """
    loaded: dict[str, Vlm] = {}
    too_large: set[int] = set()
    routing: dict[int, dict[str, float]] = {}
    stack = f"transformers_{load_transformers().__version__}"
    for visit in visits:
        if visit.config_id in too_large:
            continue
        knobs = configs[visit.config_id]
        if knobs.dtype not in loaded:
            loaded[knobs.dtype] = _beside(loaded, knobs.dtype, load)
        vlm = loaded[knobs.dtype]
        routed = routing.get(visit.config_id)
        with _named(visit.config_id, knobs):
            row = measured_row(vlm, knobs, telemetry, seed + visit.config_id, routed)
        if row["outcome"] == OUT_OF_MEMORY:
            too_large.add(visit.config_id)
        else:
            routing[visit.config_id] = {name: row[name] for name in RoutedExperts().means()}
        yield {
            "stack": stack,
            "config_id": visit.config_id,
            "repeat": visit.repeat,
            "reference": visit.repeat is None,
            **row,
        }


def _beside(loaded: Collection[str], dtype: str, load: Callable[[str], Vlm]) -> Vlm:
    """Load the model in a dtype; what is loaded already may have left too little memory."""
    try:
        return load(dtype)
    except InputError as error:
        if not loaded:
            raise
        raise InputError(
            f"{error}. It is loaded in {' and '.join(loaded)} too: measure one dtype a call, by "
            "--dtype"
        ) from error


@contextmanager
def _named(config_id: int, knobs: Knobs) -> Iterator[None]:
    """Name the configuration that the model fails on; torch raises RuntimeErrors."""
    try:
        yield
    except RuntimeError as error:
        values = ", ".join(f"{name}={value}" for name, value in asdict(knobs).items() if value)
        reason = next(iter(str(error).splitlines()), "")
        raise InputError(
            f"config {config_id} ({values}): the model fails on it ({type(error).__name__}: "
            f"{reason}). Rows so far stay; to go on without it, set ranges that leave it out with "
            "--knob, or give a file of configurations with --design"
        ) from error


def measured_row(
    vlm: Vlm,
    knobs: Knobs,
    telemetry: Telemetry,
    seed: int,
    routed: Mapping[str, float] | None = None,
) -> Row:
    """Measure one configuration once.

    Parameters
    ----------
    vlm : Vlm
    knobs : Knobs
        A configuration that `check_knobs` accepts.
    telemetry : Telemetry
    seed : int
        Seed of the inputs.
    routed : mapping of str to float, optional
        The experts that this request reaches, if they were counted before.

    Returns
    -------
    dict
        Knobs, latencies in ms, and what the device was like meanwhile.
    """
    started = datetime.now(UTC)
    with telemetry.watching() as seen:
        found = _measure(vlm, knobs, seed, routed)
    task = {} if knobs.task is None else {"task": knobs.task}
    return {
        "collected_at": f"{started:%Y-%m-%dT%H:%M:%S}.{started.microsecond // 1000:03d}Z",
        "vision_tokens": knobs.vision_tokens(vlm.limits),
        **{name: value for name, value in asdict(knobs).items() if name != "task"},
        **task,
        "dtype_bytes": DTYPE_BYTES[knobs.dtype],
        **found,
        **seen,
    }


def _measure(vlm: Vlm, knobs: Knobs, seed: int, routed: Mapping[str, float] | None) -> Row:
    """Return latencies and routing; none if the memory is too small."""
    try:
        with vlm.set_to(knobs):
            request = vlm.request(knobs, seed)
            experts = _routing(vlm, request) if routed is None else routed
            return {**_latencies(measure(vlm, request), knobs), **experts, "outcome": MEASURED}
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    # Here, since the error holds on to the tensors of the frames that it came through.
    release_memory()
    return {**_NOT_MEASURED, **RoutedExperts().means(), "outcome": OUT_OF_MEMORY}


def _routing(vlm: Vlm, request: Request) -> dict[str, float]:
    with recorded_routing(vlm) as routed:
        generate_greedily(vlm.model, request)
    return routed.means()


def _latencies(measurement: Measurement, knobs: Knobs) -> Row:
    stages, warm_up = measurement.stages, measurement.warm_up
    return {
        **{f"t_{name}": value for name, value in asdict(stages).items()},
        "stage_sum_ms": stages.total_ms(knobs.output_tokens),
        "end_to_end_ms": warm_up.end_to_end_ms,
        "warm_up_passes": warm_up.passes,
        "steady": warm_up.steady,
    }


_NOT_MEASURED: Row = {
    "t_vision_encoder_ms": math.nan,
    "t_projector_ms": math.nan,
    "t_llm_prefill_ms": math.nan,
    "t_llm_decode_per_token_ms": math.nan,
    "stage_sum_ms": math.nan,
    "end_to_end_ms": math.nan,
    "warm_up_passes": 0,
    "steady": False,
}
