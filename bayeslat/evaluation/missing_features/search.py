"""The search for missing residual features of a fitted spec, overlaps, and tiles in its physics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.errors import ConvergenceError, ExpressionError, InputError
from bayeslat.evaluation.missing_features.candidates import list_candidates, stage_axes
from bayeslat.evaluation.missing_features.gain import GroupRows, held_out_density
from bayeslat.evaluation.missing_features.overlaps import list_overlaps
from bayeslat.evaluation.missing_features.tiles import list_tiles
from bayeslat.features.hardware import HardwareTable
from bayeslat.inference.fitting.prepare import PreparedStage, prepare_stage
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.rows.plan import FitPlan, plan_fit
from bayeslat.inference.rows.repeats import number_configs
from bayeslat.model.priors import RESIDUAL_OFFSET_SCALE, RESIDUAL_SHARED_SCALE
from bayeslat.parallel import check_workers, run

__all__ = ["MissingFeature", "find_missing_features"]

_FOLDS = 5
_SURE = 2.0  # standard errors
_LEAST = 4.0  # below, a gain is small, and its standard error says too little


@dataclass(frozen=True)
class MissingFeature:
    """A candidate for a stage's residual, with what it adds.

    Attributes
    ----------
    stage : str
    kind : {"knob", "power", "product", "overlap", "tile"}
    expression : str
        To be added to the stage's residual features; of a tile, what stands in place of `name`.
    gain : float
        Of the expected log predictive density of held-out configurations, summed over them.
    se : float
        Of the gain, over configurations.
    error_before, error_after : float
        Root mean square error of log latency of held-out rows.
    term, name, formula : str
        Of a tile: the physics term, the size that is rounded up in it, and what to write for the
        term; empty for others.
    """

    stage: str
    kind: str
    expression: str
    gain: float
    se: float
    error_before: float
    error_after: float
    term: str = ""
    name: str = ""
    formula: str = ""

    @property
    def sure(self) -> bool:
        """Whether the gain is more than 4, and more than two standard errors.

        Smaller gains are within what a normal approximation can tell (Sivula, Magnusson and Vehtari
        2020, arXiv:2008.10296); of some hundred candidates, one has such a gain by chance.
        """
        return self.gain > max(_LEAST, _SURE * self.se)


def find_missing_features(
    data: PosteriorData,
    traces: pd.DataFrame,
    *,
    hardware: HardwareTable,
    seed: int = 0,
    jobs: int = 1,
    engine_address: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[MissingFeature, ...]:
    """Rank powers, products, unused knobs, overlaps and tiles by what held-out configurations gain.

    Each candidate joins the regression of its stage, with the prior that it would have in the spec;
    an overlap is of arithmetic and memory traffic, a tile rounds a size in a term up. The scales
    are those of the posterior. Configurations are held out by fifths, on all GPUs alike; the gain
    is the difference in expected log predictive density (Vehtari, Gelman and Gabry 2017, section
    2), with the standard error of its sum over configurations.

    Parameters
    ----------
    data : PosteriorData
    traces : DataFrame, one row a measurement
        Of the fitted GPUs: those that were fitted.
    hardware : HardwareTable
    seed : int
        Of the folds.
    jobs, engine_address
        Where stages are searched, as for `bayeslat.parallel.run`; gains do not depend on it.
    on_progress : callable (done, total), optional
        Of stages.

    Returns
    -------
    tuple of MissingFeature
        Of all stages, the largest gain first.

    Raises
    ------
    TraceError
        With every row that breaks a rule.
    InputError
        If a fitted GPU has no rows: what is missing is told by the rows of the fit.
    WorkerError
        As for `bayeslat.parallel.run`.
    """
    check_workers(jobs, engine_address)
    _check_rows(data, traces, hardware)
    plan = plan_fit(data.spec, traces, gpus=data.fitted_gpus, hardware=hardware)
    of_stages = run(
        _search_stage,
        list(data.stages),
        _Setting(data, plan, seed),
        jobs=jobs,
        engine_address=engine_address,
        on_progress=on_progress,
    )
    found = [each for of_stage in of_stages for each in of_stage]
    return tuple(sorted(found, key=lambda each: -each.gain))


def _check_rows(data: PosteriorData, traces: pd.DataFrame, hardware: HardwareTable) -> None:
    """Refuse traces that lack the rows of a fitted GPU."""
    if "gpu" not in traces:
        return  # told where all rules are checked
    names = traces["gpu"].dropna().unique()
    found = {gpu.key for gpu in map(hardware.find, map(str, names)) if gpu is not None}
    if missing := [key for key in data.fitted_gpus if key not in found]:
        raise InputError(
            f"no rows of GPU {', '.join(missing)}, which was fitted; the traces hold "
            f"{', '.join(sorted(map(str, names)))}. Missing features are sought in the rows that "
            "were fitted, a calibrated GPU's do not count: add the traces of the fit"
        )


@dataclass(frozen=True)
class _Setting:
    """What all stages share."""

    data: PosteriorData
    plan: FitPlan
    seed: int


def _search_stage(setting: _Setting, stage: str) -> list[MissingFeature]:
    return list(_try_candidates(setting.data, setting.plan, stage, setting.seed))


def _try_candidates(
    data: PosteriorData, plan: FitPlan, stage: str, seed: int
) -> Iterator[MissingFeature]:
    """Try every candidate of a stage."""
    prepared = prepare_stage(plan, stage)
    axes, axis_values = stage_axes(plan, stage, prepared.rows)
    groups, config = _groups(plan, prepared, data, stage, seed)
    part = data.stages[stage]
    scales = part.scales.mean(axis=0)
    shared, offset = part.problem.shared_sd(scales), part.problem.offset_sd(scales)
    before, error_before = held_out_density(groups, shared, offset, _FOLDS)

    def judge(after: NDArray[np.float64], error_after: NDArray[np.float64]) -> _Judged:
        """Compare with the stage as it is."""
        gains = np.bincount(config, after - before)
        se = np.sqrt(len(gains)) * gains.std(ddof=1)
        return _Judged(float(gains.sum()), float(se), _rms(error_before), _rms(error_after))

    def judge_feature(values: Sequence[NDArray[np.float64]]) -> _Judged:
        """Try a further feature of the residual, given at each group's rows."""
        columns = _columns(prepared, part.terms, _scaled(values))
        tried = [group.with_column(column) for group, column in zip(groups, columns, strict=True)]
        return judge(
            *held_out_density(
                tried,
                np.append(shared, RESIDUAL_SHARED_SCALE),
                np.append(offset, RESIDUAL_OFFSET_SCALE),
                _FOLDS,
            )
        )

    residual = data.spec.stages[stage].residual
    for candidate in list_candidates(axes, residual.degree if residual else 0):
        values = [candidate.column(each) for each in axis_values]
        if np.ptp(np.concatenate(values)) > 0:
            yield MissingFeature(
                stage, candidate.kind, candidate.text(axes), *judge_feature(values)
            )
    for overlap in list_overlaps(data.spec, stage, prepared.rows):
        yield MissingFeature(stage, "overlap", overlap.text, *judge_feature(overlap.values))
    for tile in list_tiles(plan, stage, np.concatenate([part.position for part in prepared.rows])):
        try:
            changed = replace(plan, spec=tile.applied(plan.spec, stage))
            tiled = prepare_stage(changed, stage, set_aside=prepared.set_aside)
        except (ConvergenceError, ExpressionError):
            continue  # physics that no GPU follows, or too long to be written
        judged = judge(
            *held_out_density(_in_place(groups, prepared, tiled), shared, offset, _FOLDS)
        )
        formula = tile.formula(plan.spec, stage)
        yield MissingFeature(stage, "tile", tile.text, *judged, tile.term, tile.name, formula)


class _Judged(NamedTuple):
    """What a candidate gains: as `MissingFeature` has it."""

    gain: float
    se: float
    error_before: float
    error_after: float


def _in_place(
    groups: Sequence[GroupRows], prepared: PreparedStage, changed: PreparedStage
) -> list[GroupRows]:
    """Return the rows by other physics, in units of the noise that they had.

    Parameters
    ----------
    groups : sequence of GroupRows
        Of `prepared`.
    prepared, changed : PreparedStage
        The stage as it is, and with other physics; of the same rows.
    """
    found = []
    for number, group in enumerate(groups):
        spread = changed.regression.noise.spread[number]
        unit = spread / prepared.regression.noise.spread[number]
        design = changed.regression.designs[number] * unit[:, None]
        response = changed.regression.responses[number] * unit
        found.append(replace(group, design=design, response=response))
    return found


def _groups(
    plan: FitPlan, prepared: PreparedStage, data: PosteriorData, stage: str, seed: int
) -> tuple[list[GroupRows], NDArray[np.int64]]:
    """Return the rows of the stage's regression with their folds, and each row's configuration."""
    positions = [part.position for part in prepared.rows]
    every = plan.frame.iloc[np.concatenate(positions)]
    config = number_configs(every[list(plan.reference)])
    order = np.random.default_rng(seed).permutation(int(config.max()) + 1)
    fold = np.split(order[config] % _FOLDS, np.cumsum([len(each) for each in positions])[:-1])
    part, regression = data.stages[stage], prepared.regression
    layout, scales = part.problem.layout, part.scales.mean(axis=0)
    return [
        GroupRows(
            design=regression.designs[number],
            response=regression.responses[number],
            variance=np.exp(2.0 * layout.log_noise(scales, number))
            / regression.noise.weights[number],
            fold=fold[number],
        )
        for number in range(len(positions))
    ], config


def _scaled(columns: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Map a feature's range to [-1, 1], as the residual basis does."""
    every = np.concatenate(columns)
    low, high = every.min(), every.max()
    return [(2.0 * each - low - high) / (high - low) for each in columns]


def _columns(
    prepared: PreparedStage, terms: int, columns: Sequence[NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    """Take what physics could explain off a candidate's column, as the fit does with its own."""
    regression = prepared.regression
    found = []
    for design, column, spread in zip(
        regression.designs, columns, regression.noise.spread, strict=True
    ):
        even = column / spread
        shares = design[:, :terms]
        found.append(even - shares @ np.linalg.lstsq(shares, even, rcond=1e-10)[0])
    return found


def _rms(error: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(error**2)))
