"""Predictions against measurements: the predictive checks of `bayeslat check`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom

from bayeslat.decisions.predict import predict
from bayeslat.decisions.prediction import TOTAL, Prediction
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.evaluation.metrics import bias, coverage, crps, mape, pit
from bayeslat.features.admit import admit
from bayeslat.features.hardware import HardwareTable, load_hardware
from bayeslat.inference.posterior import PosteriorData

__all__ = ["FALSE_ALARM", "PosteriorCheck", "check_posterior"]

FALSE_ALARM = 0.001
"""Probability that a coverage is reported though the intervals are right."""
_LEVELS = {"50": (0.5, "q25", "q75"), "90": (0.9, "q05", "q95")}


@dataclass(frozen=True)
class PosteriorCheck:
    """How a posterior's predictions compare with measurements.

    Attributes
    ----------
    problems : tuple of str
        What is wrong with the draws, with the cure.
    frame : DataFrame or None, one row a GPU and stage
        `gpu`, `stage`, `rows`, `configs`, `mape`, `bias`, `coverage_50`, `coverage_90`,
        `crps_relative` (mean of CRPS over the measured latency), `pit_mean`, `extrapolates` (part
        of the rows) and `zero_shot`. None without traces.
    findings : tuple of str
        Coverages that chance does not explain.
    """

    problems: tuple[str, ...]
    frame: pd.DataFrame | None
    findings: tuple[str, ...]


def check_posterior(
    data: PosteriorData,
    traces: pd.DataFrame | None = None,
    *,
    hardware: HardwareTable | None = None,
    seed: int = 0,
) -> PosteriorCheck:
    """Predict measured rows and compare.

    A coverage is a finding when its number of configs inside the interval lies outside the central
    99.9 % of the binomial distribution. Repeats of a config share the error of its prediction, so
    a config counts once, by the mean over its repeats. Configs of one GPU share that GPU's error
    too, which the rule leaves out: on GPUs with few measured rows, expect more findings than one in
    a thousand. Rows that the fit saw are predicted a little too well.

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
    table = hardware or load_hardware()
    frame = admit(traces, data.spec, table)
    rows: list[dict[str, Any]] = []
    for gpu in dict.fromkeys(frame["gpu"]):
        measured = frame[frame["gpu"] == gpu]
        entry = data.hardware.get(gpu) or table.resolve(gpu)
        prediction = predict(data, measured, entry, seed=seed)
        for stage, latency in measured_latencies(data.spec, measured, entry).items():
            if not np.isnan(latency).all():
                rows.append({"gpu": gpu, **_score(data, prediction, stage, latency)})
    scores = pd.DataFrame(rows)
    return PosteriorCheck(data.diagnostics.problems, scores, tuple(_findings(rows)))


def _score(
    data: PosteriorData, prediction: Prediction, stage: str, latency: NDArray[np.float64]
) -> dict[str, Any]:
    """Score one stage on one GPU."""
    draws, frame = prediction.draws(stage), prediction.frame
    point = frame[f"{stage}_point_ms"].to_numpy()
    held = ~np.isnan(latency)
    config = frame.groupby(list(data.spec.knobs), sort=False).ngroup().to_numpy()
    excess = [part.excess.any(axis=1) for name, part in prediction.stages.items()]
    out = np.any(excess, axis=0) if stage == TOTAL else prediction.stages[stage].excess.any(axis=1)
    return {
        "stage": stage,
        "rows": int(held.sum()),
        "configs": len(np.unique(config[held])),
        "mape": mape(point, latency),
        "bias": bias(point, latency),
        **{
            f"coverage_{name}": coverage(
                frame[f"{stage}_{low}_ms"].to_numpy(),
                frame[f"{stage}_{high}_ms"].to_numpy(),
                latency,
            )
            for name, (_, low, high) in _LEVELS.items()
        },
        "crps_relative": float(np.nanmean(crps(draws, latency) / latency)),
        "pit_mean": float(np.nanmean(pit(draws, latency))),
        "extrapolates": float(out[held].mean()),
        "zero_shot": bool(prediction.zero_shot.any()),
    }


def _findings(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Say which coverages chance does not explain."""
    for row in rows:
        for name, (level, _, _) in _LEVELS.items():
            seen, configs = row[f"coverage_{name}"], row["configs"]
            low, high = binom.interval(1 - FALSE_ALARM, configs, level)
            if not low <= seen * configs <= high:
                yield (
                    f"{row['gpu']}, {row['stage']}: {name} % intervals cover {seen:.1%} of "
                    f"{configs} configs, outside {low / configs:.1%} to {high / configs:.1%}; "
                    + _cure(seen < level, row)
                )


def _cure(too_few: bool, row: dict[str, Any]) -> str:
    """What to do about intervals that cover too few or too many."""
    if not too_few:
        return "they are wider than they need be: measured rows of this GPU narrow them"
    if row["zero_shot"]:
        return "this GPU is unlike the donors: fit it with some of its rows"
    if row["extrapolates"] > 0.1:
        return "many rows leave the range of the fit: fit rows that span it"
    return "fit these rows too, or give the stage a physics term or residual feature that it lacks"
