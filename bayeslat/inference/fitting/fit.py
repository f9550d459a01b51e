"""Fitting: every stage of a spec, on every GPU of a trace."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bayeslat.features.hardware import HardwareTable, load_hardware
from bayeslat.features.spec import Spec
from bayeslat.inference.engines.draw_stages import OnProgress, draw_stages
from bayeslat.inference.engines.draws import StageDraws
from bayeslat.inference.engines.engine import Engine, EngineOptions, library_versions
from bayeslat.inference.fitting.constant_knobs import constant_knobs, constants_where
from bayeslat.inference.fitting.prepare import PreparedStage, prepare_stage
from bayeslat.inference.hurdles.hurdle_fit import fit_hurdle
from bayeslat.inference.posteriors.gross_errors import donor_gross_errors
from bayeslat.inference.posteriors.known_latencies import hash_latencies
from bayeslat.inference.posteriors.posterior import PosteriorData, StagePosterior
from bayeslat.inference.posteriors.target_rows import as_held
from bayeslat.inference.rows.noise_correlation import GroupRows, correlate_noise, residuals
from bayeslat.inference.rows.plan import FitPlan, plan_fit
from bayeslat.inference.rows.stage_rows import check_measured
from bayeslat.parallel import check_workers
from bayeslat.traces import row_sources

__all__ = ["Engine", "OnProgress", "fit_posterior"]


def fit_posterior(
    spec: Spec,
    traces: pd.DataFrame,
    *,
    gpus: Sequence[str] | None = None,
    hardware: HardwareTable | None = None,
    engine: Engine = "nuts",
    seed: int = 0,
    chains: int = 4,
    draws: int = 800,
    tune: int = 200,
    engine_address: str | None = None,
    on_progress: OnProgress | None = None,
) -> PosteriorData:
    """Fit every stage of a spec to a trace.

    Parameters and errors are those of `bayeslat.fit`.

    Returns
    -------
    PosteriorData
        Converged or not: ask its `diagnostics`. Gross errors are set aside (`set_aside`).
    """
    options = EngineOptions(engine, seed, chains, draws, tune)
    check_workers(1, engine_address)
    table = hardware or load_hardware()
    if gpus is not None:  # draws depend on the order of the groups, which must not be that of names
        gpus = sorted(table.resolve(name).key for name in gpus)
    plan = plan_fit(spec, traces, gpus=gpus, hardware=table)
    check_measured(plan, spec.stages)
    with threadpool_limits(1):  # the matrices are too small for threads inside a product
        # All before the first is sampled: what is wrong with a stage is told at once.
        prepared = {stage: prepare_stage(plan, stage) for stage in spec.stages}
    problems = {stage: each.problem for stage, each in prepared.items()}
    drawn, diagnostics = draw_stages(
        problems, options, engine_address=engine_address, on_progress=on_progress
    )
    first = next(iter(drawn.values()))
    return PosteriorData(
        spec=spec,
        hardware=dict(plan.hardware),
        groups=plan.groups,
        families={gpu: plan.hardware[gpu].family for gpu in plan.gpus},
        reference=plan.reference,
        stages={
            stage: StagePosterior.of(
                each.settled,
                each.problem,
                each.measured,
                drawn[stage].flat_scales,
                drawn[stage].flat_effects,
                fit_hurdle(plan, stage, first.count, seed),
            )
            for stage, each in prepared.items()
        },
        chains=first.scales.shape[0],
        statistics={stage: dict(drawn[stage].statistics) for stage in spec.stages},
        diagnostics=diagnostics,
        attrs={
            "engine": engine,
            "seed": seed,
            "rows": len(plan.frame),
            "fingerprint": _fingerprint(plan.frame, spec),
            "sources": list(row_sources(plan.frame)),
            "constants": constant_knobs(plan),
            "constants_where": constants_where(plan),
            "versions": library_versions(),
        },
        noise_correlation=correlate_noise(
            {stage: _residuals(each, drawn[stage]) for stage, each in prepared.items()},
            len(plan.frame),
        ),
        set_aside=donor_gross_errors(
            plan, {stage: each.set_aside for stage, each in prepared.items()}
        ),
        fitted_latencies=_fitted_latencies(plan),
    )


def _residuals(prepared: PreparedStage, drawn: StageDraws) -> list[GroupRows]:
    """What the fit leaves of a stage's rows, group by group."""
    rows = prepared.regression
    positions = [part.position for part in prepared.rows]
    groups = zip(positions, rows.designs, rows.responses, strict=True)
    return residuals(list(groups), prepared.problem.tree, drawn)


def _fitted_latencies(plan: FitPlan) -> dict[str, NDArray[np.uint64]]:
    """What tells the latencies of the fit from others, by stage."""
    knobs, columns = list(plan.reference), plan.spec.latency_columns
    held = [as_held(plan.frame.iloc[rows], [*knobs, *columns]) for rows in plan.members]
    return {
        stage: np.concatenate(
            [
                hash_latencies(rows[rows[part.column].notna()], part.column, knobs, group)
                for group, rows in zip(plan.groups, held, strict=True)
            ]
        )
        for stage, part in plan.spec.stages.items()
    }


def _fingerprint(frame: pd.DataFrame, spec: Spec) -> str:
    """SHA-256 of the fitted values: GPUs, stacks, tasks, knobs and latencies, row by row."""
    stages = spec.latency_columns
    columns = [name for name in ("gpu", "stack", "task", *spec.knobs, *stages) if name in frame]
    hashed = pd.util.hash_pandas_object(frame[columns].reset_index(drop=True), index=False)
    return hashlib.sha256(hashed.to_numpy().tobytes()).hexdigest()
