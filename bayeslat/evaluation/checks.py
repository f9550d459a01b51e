"""Predictions against measurements: the predictive checks of `bayeslat check`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.evidence import Unmeasured
from bayeslat.decisions.predict import predict
from bayeslat.decisions.prediction import TOTAL, Prediction
from bayeslat.decisions.summary import summarise_draws
from bayeslat.evaluation.blocks import name_block
from bayeslat.evaluation.findings import describe, find_departures
from bayeslat.evaluation.gross_rows import GrossRow, find_gross_rows
from bayeslat.evaluation.judged import judged
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.evaluation.metrics import bias, coverage, crps, mape, pit
from bayeslat.evaluation.passes import PassDifferences, compare_passes
from bayeslat.features.admit import admit
from bayeslat.features.gpu import Gpu
from bayeslat.features.hardware import HardwareTable, load_hardware
from bayeslat.features.spec import Spec
from bayeslat.inference.posteriors.gross_errors import (
    find_gross_errors,
    remembered_ratios,
    without_gross_errors,
)
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.rows.repeats import count_configs
from bayeslat.inference.rows.stage_rows import latency_of
from bayeslat.traces.row_stacks import split_by_stack

__all__ = ["PosteriorCheck", "check_posterior"]

_AS_FAR = 0.5  # part of the log ratio: a row that was measured anew is about as it should be
_ENDS = {"50": ("q25", "q75"), "90": ("q05", "q95")}


@dataclass(frozen=True)
class PosteriorCheck:
    """How a posterior's predictions compare with measurements.

    Attributes
    ----------
    problems : tuple of str
        What is wrong with the draws, with the cure.
    frame : DataFrame or None, one row a GPU, stack and stage
        `gpu`, `stack` (that the rows are taken for; empty for none), `stage` (or `total`), `rows`,
        `configs`, `mape` (of the point), `bias` (of the median: points lie below it),
        `coverage_50`, `coverage_90`, `crps_relative` (mean CRPS over the median measured latency),
        `pit_mean`, `beyond_3_sd` (part of the rows whose log latency is more than 3 sd from the
        mean of its draws), `extrapolates` (part of the rows), `zero_shot`, `unmeasured` (what makes
        it zero-shot, as `Unmeasured`), `mape_sound` (without `gross`), and `set_aside` (further
        rows, which are not scored: the posterior knows them as gross errors). None without traces.
    findings : tuple of str
        What the posterior did not expect, a sentence a GPU, stack and stage, with the cure; and
        which GPUs' passes over the configurations differ.
    passes : tuple of PassDifferences
        Of each GPU and stack with configurations that several passes measured.
    gross : tuple of GrossRow
        Rows that are scored, and that the GPU's other rows make impossible.
    """

    problems: tuple[str, ...]
    frame: pd.DataFrame | None
    findings: tuple[str, ...]
    passes: tuple[PassDifferences, ...] = ()
    gross: tuple[GrossRow, ...] = ()


def check_posterior(
    data: PosteriorData,
    traces: pd.DataFrame | None = None,
    *,
    hardware: HardwareTable | None = None,
    seed: int = 0,
) -> PosteriorCheck:
    """Predict measured rows and compare.

    A finding names the coverages of 90 % and 50 % intervals and the median error that no table of
    measurements has which the posterior simulates: `find_departures` has the rule. If the posterior
    is right, each of the three departs with a chance of 0.4 % at most (of 512 draws); 0.1 % in
    simulations. There are three for each GPU, stack and stage, so among many of them expect one
    now and then. Rows beyond the training range, whose intervals are wide on purpose, are
    judged apart.

    Rows that the fit saw are predicted a little too well, and depart less often. For a zero-shot
    GPU the posterior expects nearly any coverage, since all rows share the GPU's error: the median
    error is what tells.

    Where a whole pass over the configurations is slower than another (`compare_passes`), that is a
    finding of its own: of GPUs whose passes are alike, 1 % have it.

    Rows that a fit or a calibration set aside as gross errors are not scored, as long as they are
    as far off as they were then: one that was measured anew counts. Further rows that would be set
    aside if their GPU were calibrated with all of them are scored, and named.

    Parameters
    ----------
    data : PosteriorData
    traces : DataFrame, one row a measurement, optional
    hardware : HardwareTable, optional
        For GPUs that the posterior lacks; the shipped table by default.
    seed : int

    Returns
    -------
    PosteriorCheck

    Raises
    ------
    TraceError
        With every row and column that breaks a rule.
    """
    if traces is None:
        return PosteriorCheck(data.diagnostics.problems, None, ())
    table = (hardware or load_hardware()).extended(data.hardware)
    frame = admit(traces, data.spec, table)
    ratios = np.array(
        remembered_ratios(traces, (*data.set_aside, *find_gross_errors(data))), dtype=object
    )
    rows: list[dict[str, Any]] = []
    findings: list[str] = []
    passes: list[PassDifferences] = []
    gross: list[GrossRow] = []
    for gpu in dict.fromkeys(frame["gpu"]):
        entry = data.hardware.get(gpu) or table.resolve(gpu)
        held = np.flatnonzero(frame["gpu"] == gpu)
        blocks = split_by_stack(frame.iloc[held], data.unnamed_stack(gpu))
        for stack, own in blocks.items():
            measured = frame.iloc[held[own]]
            prediction = predict(data, measured, entry, stack=stack or None, seed=seed)
            sound = _without_gross(data.spec, measured, prediction, list(ratios[held[own]]))
            found = find_gross_rows(data, sound, entry, stack or "", seed=seed)
            gross += found
            left = without_gross_errors(data.spec, sound, [each.error for each in found])
            sound_ms = measured_latencies(data.spec, left, entry)
            for stage, latency, set_aside in _kept(data.spec, measured, sound, entry):
                score = _score(data, prediction, stage, latency, sound_ms[stage])
                place = {"gpu": gpu, "stack": stack or "", "stage": stage}
                rows.append({**place, **score, "set_aside": set_aside})
                name = name_block(rows[-1], alone=len(blocks) == 1)
                told = _findings(prediction, stage, latency, score["unmeasured"], seed)
                findings += [f"{name}, {stage}{text}" for text in told]
            if differences := compare_passes(data.spec, sound, entry, stack or "", seed=seed):
                passes.append(differences)
    findings += [f"{each.name}: {each}" for each in passes if each.differing]
    return PosteriorCheck(
        data.diagnostics.problems, pd.DataFrame(rows), tuple(findings), tuple(passes), tuple(gross)
    )


def _kept(
    spec: Spec, measured: pd.DataFrame, sound: pd.DataFrame, gpu: Gpu
) -> Iterator[tuple[str, NDArray[np.float64], int]]:
    """Each stage with latencies that are no gross errors, shape (config,), and how many are."""
    every = measured_latencies(spec, measured, gpu)
    kept = every if sound is measured else measured_latencies(spec, sound, gpu)
    for stage, latency in kept.items():
        if not np.isnan(latency).all():
            yield stage, latency, int(np.isnan(latency).sum() - np.isnan(every[stage]).sum())


def _without_gross(
    spec: Spec,
    measured: pd.DataFrame,
    prediction: Prediction,
    ratios: Sequence[Mapping[str, float]],
) -> pd.DataFrame:
    """Take the latencies out that were set aside, and still are as far off."""
    for stage in {stage for each in ratios for stage in each}:
        column = spec.stages[stage].column
        if column in measured:
            then = np.log([each.get(stage, np.nan) for each in ratios])
            now = np.log(latency_of(spec, stage, measured) / prediction.frame[f"{stage}_q50_ms"])
            gross = (now / then > _AS_FAR).to_numpy()
            measured = measured.assign(**{column: measured[column].mask(gross)})
    return measured


def _findings(
    prediction: Prediction,
    stage: str,
    latency: NDArray[np.float64],
    unmeasured: Unmeasured,
    seed: int,
) -> Iterator[str]:
    """Judge the rows inside the training range, and apart from them those beyond it."""
    out = _beyond(prediction, stage)
    for beyond, where in ((False, ""), (True, ", beyond the range of the fit")):
        judged = np.where(out == beyond, latency, np.nan)
        if departures := find_departures(prediction, stage, judged, seed=seed):
            yield f"{where}: {describe(departures, unmeasured=unmeasured, beyond=beyond)}"


def _beyond(prediction: Prediction, stage: str) -> NDArray[np.bool_]:
    """Tell which configs leave the training range of a stage, or of any. Shape (config,)."""
    part = prediction.stages.get(stage)
    return prediction.extrapolates if part is None else part.excess.any(axis=1)


def _score(
    data: PosteriorData,
    prediction: Prediction,
    stage: str,
    latency: NDArray[np.float64],
    sound: NDArray[np.float64],
) -> dict[str, Any]:
    """Score one stage on one GPU; `sound` are the latencies without gross errors."""
    draws, frame = prediction.draws(stage), prediction.frame
    judged_draws, told = judged(data.spec, prediction, stage, latency)
    summary = summarise_draws(judged_draws)
    held = ~np.isnan(latency)
    (evidence,) = prediction.evidence  # of one stack
    unmeasured = evidence.lacks(None if stage == TOTAL else stage)
    return {
        "rows": int(held.sum()),
        "configs": count_configs(frame[held], data.spec),
        "mape": mape(summary["point"], told),
        "mape_sound": mape(summary["point"], np.where(np.isnan(sound), np.nan, told)),
        "bias": bias(summary["q50"], told),  # the point lies below, the more so the wider it is
        **{
            f"coverage_{name}": coverage(
                frame[f"{stage}_{low}_ms"].to_numpy(),
                frame[f"{stage}_{high}_ms"].to_numpy(),
                latency,
            )
            for name, (low, high) in _ENDS.items()
        },
        "crps_relative": _crps_relative(judged_draws, told),
        "pit_mean": float(np.nanmean(pit(draws, latency))),
        "beyond_3_sd": float((np.abs(_z(draws[held], latency[held])) > 3.0).mean()),
        "extrapolates": float(_beyond(prediction, stage)[held].mean()),
        "zero_shot": unmeasured != "",
        "unmeasured": unmeasured,
    }


def _crps_relative(draws: NDArray[np.float64], latency: NDArray[np.float64]) -> float:
    """CRPS over the median measurement; NaN where nothing took time."""
    if np.isnan(latency).all():
        return float("nan")
    return float(np.nanmean(crps(draws, latency)) / np.nanmedian(latency))


def _z(draws: NDArray[np.float64], latency: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many sds of log latency a measurement is from the mean. Shape (config,)."""
    log_draws = np.log(draws)
    z: NDArray[np.float64] = (np.log(latency) - log_draws.mean(axis=1)) / log_draws.std(axis=1)
    return z
