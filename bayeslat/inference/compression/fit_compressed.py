"""A fit from statistics: the rows are not needed any more."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from bayeslat.errors import InputError
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.compression.changed import refuse_changed
from bayeslat.inference.compression.compressed import Compressed
from bayeslat.inference.compression.settled_rows import settled_rows
from bayeslat.inference.engines.draw_stages import OnProgress, draw_stages
from bayeslat.inference.engines.draws import StageDraws
from bayeslat.inference.engines.engine import EngineOptions, library_versions
from bayeslat.inference.fitting.constant_knobs import constant_knobs, constants_where
from bayeslat.inference.hurdles.hurdle import HurdlePosterior
from bayeslat.inference.hurdles.hurdle_fit import fit_hurdle
from bayeslat.inference.posteriors.posterior import PosteriorData, StagePosterior
from bayeslat.inference.rows.noise_correlation import Regression, correlate_noise, residuals
from bayeslat.inference.rows.plan import FitPlan, plan_fit
from bayeslat.inference.rows.settled import SettledPoint
from bayeslat.inference.rows.windows import StageSums, Window, total_sums
from bayeslat.model.priors import stage_problem
from bayeslat.model.problem import StageProblem

__all__ = ["fit_compressed", "join_stages", "rows_fingerprint", "stage_problems"]


def fit_compressed(
    data: Compressed,
    options: EngineOptions,
    engine_address: str | None = None,
    on_progress: OnProgress | None = None,
) -> PosteriorData:
    """Fit every stage to a compressed trace.

    Parameters
    ----------
    data : Compressed
    options : EngineOptions
    engine_address : str, optional
        As for `bayeslat.parallel.run`.
    on_progress : callable (stage, done, total), optional

    Returns
    -------
    PosteriorData
        Converged or not: ask its `diagnostics`. It keeps the windows.

    Raises
    ------
    InputError
        If no row holds a stage, or rows are of groups that have changed since the point was
        settled.
    ConvergenceError
        If the scales of a stage have no reachable mode.
    """
    point = data.point
    refuse_changed(point, data.sample)
    sums = {stage: total_sums(data.windows.values(), stage) for stage in point.stages}
    problems = stage_problems(point, sums)
    drawn, diagnostics = draw_stages(
        problems, options, engine_address=engine_address, on_progress=on_progress
    )
    plan = _sample_plan(data)
    left = {
        stage: residuals(_sample_rows(plan, point, stage), problems[stage].tree, drawn[stage])
        for stage in point.stages
    }
    first = next(iter(drawn.values()))
    hurdles = {stage: fit_hurdle(plan, stage, first.count, options.seed) for stage in point.stages}
    return PosteriorData(
        spec=point.spec,
        hardware=dict(point.hardware),
        groups=point.groups,
        families=point.families,
        reference=point.reference,
        stages=join_stages(point, problems, sums, drawn, hurdles),
        chains=first.scales.shape[0],
        statistics={stage: dict(each.statistics) for stage, each in drawn.items()},
        diagnostics=diagnostics,
        attrs={
            "engine": options.engine,
            "seed": options.seed,
            "rows": data.rows,
            "fingerprint": rows_fingerprint(data.windows),
            "sources": list(data.attrs.get("sources", ())),
            "constants": constant_knobs(plan),
            "constants_where": constants_where(plan),
            "versions": library_versions(),
        },
        noise_correlation=correlate_noise(left, len(plan.frame)),
        windows=dict(data.windows),
    )


def stage_problems(point: SettledPoint, sums: Mapping[str, StageSums]) -> dict[str, StageProblem]:
    """Lay out the problem of each stage.

    Parameters
    ----------
    point : SettledPoint
    sums : mapping of stage to StageSums

    Returns
    -------
    dict of stage to StageProblem

    Raises
    ------
    InputError
        With every stage that no row holds.
    """
    empty = [stage for stage, part in sums.items() if not part.measured.any()]
    if empty:
        raise InputError(
            f"no row holds a latency of stage {', '.join(empty)}; measure it, or take it out of "
            "the spec"
        )
    return {
        stage: stage_problem(
            point.spec,
            stage,
            part.basis,
            point.groups,
            point.tree,
            sums[stage].statistics,
            untold=part.untold,
            most_counted=part.most_counted,
        )
        for stage, part in point.stages.items()
    }


def join_stages(
    point: SettledPoint,
    problems: Mapping[str, StageProblem],
    sums: Mapping[str, StageSums],
    drawn: Mapping[str, StageDraws],
    hurdles: Mapping[str, HurdlePosterior | None],
) -> dict[str, StagePosterior]:
    """Put the draws of all chains beside what the statistics were settled at.

    Parameters
    ----------
    point : SettledPoint
    problems : mapping of stage to StageProblem
    sums : mapping of stage to StageSums
    drawn : mapping of stage to StageDraws
    hurdles : mapping of stage to HurdlePosterior or None

    Returns
    -------
    dict of stage to StagePosterior
    """
    return {
        stage: StagePosterior.of(
            part,
            problems[stage],
            tuple(sums[stage].measured.tolist()),
            drawn[stage].flat_scales,
            drawn[stage].flat_effects,
            hurdles[stage],
        )
        for stage, part in point.stages.items()
    }


def rows_fingerprint(windows: Mapping[str, Window]) -> str:
    """SHA-256 of the statistics, window by window: they stand for the rows.

    Parameters
    ----------
    windows : mapping of str to Window
    """
    found = hashlib.sha256()
    for name, window in windows.items():
        found.update(f"{name}\n{window.rows}\n".encode())
        for stage, part in window.stages.items():
            found.update(stage.encode())
            sums = part.statistics
            for array in (sums.gram, sums.moment, sums.square, sums.rows, part.measured):
                found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _sample_plan(data: Compressed) -> FitPlan:
    """Sort the sample into the groups of the fit; each row is a measurement of its own."""
    frame: pd.DataFrame = data.sample.assign(repeat=np.arange(len(data.sample)))
    table = load_hardware().extended(data.point.hardware)
    plan = plan_fit(data.point.spec, frame, hardware=table)
    held, none = dict(zip(plan.groups, plan.members, strict=True)), np.zeros(0, dtype=np.int64)
    return replace(
        plan,
        hardware=dict(data.point.hardware),
        groups=data.point.groups,
        members=tuple(held.get(group, none) for group in data.point.groups),
    )


def _sample_rows(plan: FitPlan, point: SettledPoint, stage: str) -> list[Regression]:
    """The sample's regression at the settled point, one part a group of the fit."""
    rows = [settled_rows(plan, point, stage, group) for group in point.groups]
    return [(each.position, each.design, each.calmed) for each in rows]
