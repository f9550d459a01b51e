"""A collection: a design, measured in random order on one device."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bayeslat.collect.backend import load_transformers
from bayeslat.collect.knobs import Knobs, applied, check_knobs
from bayeslat.collect.limits import VlmLimits, read_limits
from bayeslat.collect.machine import load_average, using_threads
from bayeslat.collect.measure import generate_greedily, measure
from bayeslat.collect.model import DTYPE_BYTES, build_model
from bayeslat.collect.request import make_request
from bayeslat.collect.routing import recorded_routing

__all__ = ["Plan", "Row", "collect", "visits"]

type Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What to measure, and on what.

    Attributes
    ----------
    device_key : str
        Key of the device in the hardware table.
    config_path : Path
        A model's `config.json`.
    design : tuple of Knobs, dim (config,)
        Configurations; a position is a config_id.
    dtype : str
        Dtype of weights and activations: a key of `DTYPE_BYTES`.
    threads : int
        Threads that torch computes with.
    repeats : int
        Measurements of each configuration.
    crop_pixels : int
        Height and width of a crop.
    seed : int
        Seed of weights, inputs and order.
    """

    device_key: str
    config_path: Path
    design: tuple[Knobs, ...]
    dtype: str = "float32"
    threads: int = 1
    repeats: int = 3
    crop_pixels: int = 192
    seed: int = 0


def visits(configs: int, repeats: int, seed: int) -> list[tuple[int, int]]:
    """Return the order of the measurements as pairs (config_id, repeat).

    Every repeat goes through all configurations in an order of its own, so a slow drift of the
    machine shows as disagreement between repeats and not as the effect of a knob.
    """
    order = random.Random(seed)
    pairs: list[tuple[int, int]] = []
    for repeat in range(repeats):
        config_ids = list(range(configs))
        order.shuffle(config_ids)
        pairs += [(config_id, repeat) for config_id in config_ids]
    return pairs


def collect(plan: Plan, done: Collection[tuple[int, int]] = ()) -> Iterator[Row]:
    """Measure a plan's configurations one by one.

    Parameters
    ----------
    plan : Plan
        What to measure.
    done : collection of (config_id, repeat)
        Measurements to leave out.

    Yields
    ------
    dict
        One row of the trace.

    Raises
    ------
    InputError
        If the model cannot run a configuration, or the machine lacks the threads.
    """
    limits = read_limits(plan.config_path, plan.crop_pixels)
    for knobs in plan.design:
        check_knobs(knobs, limits)
    stack = f"transformers_{load_transformers().__version__}"
    with using_threads(plan.threads):
        model = build_model(plan.config_path, plan.dtype, plan.seed)
        for config_id, repeat in visits(len(plan.design), plan.repeats, plan.seed):
            if (config_id, repeat) in done:
                continue
            knobs = plan.design[config_id]
            yield {
                "gpu": plan.device_key,
                "stack": stack,
                "config_id": config_id,
                "repeat": repeat,
                "collected_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
                "vision_tokens": knobs.image_crops * limits.tokens_per_crop,
                **asdict(knobs),
                "dtype_bytes": DTYPE_BYTES[plan.dtype],
                **_measure(model, knobs, limits, plan.seed + config_id),
                "load_average": load_average(),
            }


def _measure(model: Any, knobs: Knobs, limits: VlmLimits, seed: int) -> Row:
    """Measure one configuration once, after one pass that warms it up."""
    request = make_request(model, knobs, limits, seed)
    with applied(model, knobs):
        # oneDNN prepares a kernel for each new matrix shape and forgets it after many others: in
        # bfloat16 a pass after other configurations took up to 1.8 times as long as the next one.
        with recorded_routing(model) as routed:
            generate_greedily(model, request)
        times = measure(model, request)
    stages = {f"t_{name}": value for name, value in asdict(times).items()}
    end_to_end_ms = stages.pop("t_end_to_end_ms")
    return {**stages, "end_to_end_ms": end_to_end_ms, **routed.means()}
