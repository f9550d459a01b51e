"""Settling: a point for the statistics, from a sample of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bayeslat.errors import InputError
from bayeslat.features.admit import resolve_gpus
from bayeslat.features.hardware import HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.inference.compression.stream.row_group import GroupStage
from bayeslat.inference.compression.stream.sample import Sample
from bayeslat.inference.compression.stream.scan import Group
from bayeslat.inference.fitting.prepare import PreparedStage, prepare_stage
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.rows.pilot import Pilots
from bayeslat.inference.rows.plan import FitPlan, plan_admitted
from bayeslat.inference.rows.settled import SettledPoint, SettledStage
from bayeslat.model.groups import name_group
from bayeslat.parallel import run

__all__ = ["check_groups", "point_of", "settle"]

_LARGE_SAMPLE = 10_000  # rows: fewer are settled before other processes have started


def settle(
    spec: Spec,
    sample: Sample,
    hardware: HardwareTable,
    *,
    jobs: int = 1,
    engine_address: str | None = None,
) -> SettledPoint:
    """Settle a point from a sample of the rows, as a fit of these rows would.

    Parameters
    ----------
    spec : Spec
    sample : Sample
    hardware : HardwareTable
    jobs, engine_address
        Who shares the stages, as for `bayeslat.parallel.run`; a small sample is settled here.

    Returns
    -------
    SettledPoint

    Raises
    ------
    InputError
        If no row of the sample has a latency of a stage, or none is above its hurdle.
    ConvergenceError
        If the physics of a stage, or its hierarchy, has no reachable mode.
    """
    plan = plan_admitted(spec, resolve_gpus(spec.complete(sample.frame), hardware), hardware)
    # Those with the most terms take the longest: they start first.
    largest_first = sorted(spec.stages, key=lambda stage: -len(spec.stages[stage].physics))
    settled = run(
        _settle_stage,
        largest_first,
        (plan, sample.stands_for),
        jobs=jobs,
        engine_address=engine_address,
        worthwhile=len(sample.frame) >= _LARGE_SAMPLE,
    )
    found = dict(zip(largest_first, settled, strict=True))
    stages = {stage: found[stage] for stage in spec.stages}
    return SettledPoint(spec, dict(plan.hardware), plan.groups, plan.reference, stages)


def point_of(data: PosteriorData) -> SettledPoint:
    """Return the point that a posterior's statistics were settled at.

    Parameters
    ----------
    data : PosteriorData

    Returns
    -------
    SettledPoint
    """
    stages = {stage: part.settled for stage, part in data.stages.items()}
    gpus = {gpu: data.hardware[gpu] for gpu in data.gpus}
    return SettledPoint(data.spec, gpus, data.groups, data.reference, stages)


def check_groups(point: SettledPoint, held: Sequence[Group]) -> None:
    """Refuse rows of groups that a point was not settled for.

    Parameters
    ----------
    point : SettledPoint
    held : sequence of (gpu, stack)

    Raises
    ------
    InputError
        With every such group.
    """
    new = [name_group(*group) for group in held if group not in point.groups]
    if new:
        raise InputError(
            f"rows of {', '.join(new)}, which the statistics were not made for; `calibrate` adds a "
            "GPU or a stack to a posterior, `compress` or `fit` of all traces makes it a donor"
        )


def _settle_stage(shared: tuple[FitPlan, Mapping[GroupStage, float]], stage: str) -> SettledStage:
    plan, stands_for = shared
    prepared = prepare_stage(plan, stage)
    rows_a_row = [stands_for.get((group, stage), 1.0) for group in plan.groups]
    return replace(prepared.settled, pilots=_weigh(prepared, rows_a_row))


def _weigh(prepared: PreparedStage, rows_a_row: Sequence[float]) -> Pilots:
    """Weigh rows by how often a configuration repeats among all of them, not in the sample alone.

    A row of the sample with the weight w says that the repeats it was seen with add 1 / w - 1 to
    the variance of their mean (Kish's design effect, see `repeats`). Two rows of a group are as
    likely repeats in the sample as among all rows, so a pair's share of that, over the pairs of all
    groups, tells the weight where a row of the sample stands for several.
    """
    pilots = prepared.regression.pilots
    weight = pilots.weight.copy()
    held = prepared.regression.noise.weights
    pairs = sum(len(each) * (len(each) - 1) for each in held)
    share = sum(float(np.sum(1.0 / each - 1.0)) for each in held) / max(pairs, 1)
    for at, (each, several) in enumerate(zip(held, rows_a_row, strict=True)):
        if several > 1.0:
            weight[at] = 1.0 / (1.0 + share * max(several * len(each) - 1.0, 0.0))
    return Pilots(pilots.effect, pilots.sd, weight)
