"""Scores of one method's estimates of held-out configurations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.prediction import TOTAL
from bayeslat.evaluation.baselines import LEVELS, Estimate
from bayeslat.evaluation.holdout import Holdout
from bayeslat.evaluation.metrics import (
    coverage,
    crps,
    interval_width,
    mae,
    mape,
    mean_measured,
    p95_absolute_error,
    pit,
)

__all__ = ["GUARD_QUANTILES", "scatter_estimate", "score_estimate"]

GUARD_QUANTILES = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Budgets of the guard, as quantiles of the measured totals."""
_MARGIN = 1.1  # the document's guard: accept if 1.1 x prediction <= budget
_MAX_RISK = 0.05


def score_estimate(estimate: Estimate, held: Holdout) -> Iterator[dict[str, Any]]:
    """Score every stage that the method predicts, and the total, where they are measured.

    Errors are of the point against the median of repeats; coverage and CRPS are of one run each.
    The CRPS of a method without a distribution is that of its point, the absolute error.

    Parameters
    ----------
    estimate : Estimate
    held : Holdout

    Yields
    ------
    dict
        `stage`, `mae_ms`, `mape`, `p95_ms`, `coverage_90`, `coverage_50`, `width_90` (median of the
        90 % interval over the point), `crps_ms`; of the total also `false_accept` and
        `false_reject`, as parts of all configurations, means over `GUARD_QUANTILES`.
    """
    for stage, point in _measured(estimate, held.typical_ms).items():
        typical, run = held.typical_ms[stage], held.run_ms[stage]
        row: dict[str, Any] = {
            "stage": stage,
            "mae_ms": mae(point, typical),
            "mape": mape(point, typical),
            "p95_ms": p95_absolute_error(point, typical),
            "crps_ms": mean_measured(_crps(estimate, stage, point, run)),
        }
        if estimate.has_distribution:
            q05, q25, q75, q95 = (estimate.quantile(stage, at) for at in (0.05, 0.25, 0.75, 0.95))
            row["coverage_90"] = coverage(q05, q95, run)
            row["coverage_50"] = coverage(q25, q75, run)
            row["width_90"] = interval_width(q05, q95, point)
        if stage == TOTAL:
            row["false_accept"], row["false_reject"] = _guard(estimate, held)
        yield row


def scatter_estimate(estimate: Estimate, run_ms: Mapping[str, NDArray[np.float64]]) -> pd.DataFrame:
    """Set estimates beside one measured run of each configuration.

    Parameters
    ----------
    estimate : Estimate
        With a distribution.
    run_ms : mapping of stage (and `total`) to ndarray, shape (config,)

    Returns
    -------
    DataFrame, one row a stage and config
        `stage`, `point_ms`, `q05_ms`, `q95_ms`, `measured_ms`, and `pit` (NaN without draws), of
        what is measured.
    """
    tables = [
        pd.DataFrame(
            {
                "stage": stage,
                "point_ms": point,
                "q05_ms": estimate.quantile(stage, 0.05),
                "q95_ms": estimate.quantile(stage, 0.95),
                "measured_ms": run_ms[stage],
                "pit": np.nan
                if estimate.draws is None
                else pit(estimate.draws[stage], run_ms[stage]),
            }
        )
        for stage, point in _measured(estimate, run_ms).items()
    ]
    return pd.concat(tables, ignore_index=True)


def _measured(
    estimate: Estimate, latencies: Mapping[str, NDArray[np.float64]]
) -> Mapping[str, NDArray[np.float64]]:
    """Points of the stages, and of the total, of which any latency is measured."""
    points = estimate.points
    return {name: each for name, each in points.items() if not np.isnan(latencies[name]).all()}


def _crps(
    estimate: Estimate, stage: str, point: NDArray[np.float64], run: NDArray[np.float64]
) -> NDArray[np.float64]:
    """CRPS of each config; of quantiles, twice the mean pinball loss. Shape (config,)."""
    if estimate.draws is not None:
        return crps(estimate.draws[stage], run)
    if not estimate.has_distribution:
        return np.abs(point - run)
    levels = np.array(LEVELS)
    edges = np.concatenate([[0.0], 0.5 * (levels[1:] + levels[:-1]), [1.0]])
    score = np.zeros(len(run))
    for level, weight in zip(LEVELS, np.diff(edges), strict=True):
        gap = run - estimate.quantile(stage, level)
        score += 2.0 * weight * np.maximum(level * gap, (level - 1.0) * gap)
    return score


def _guard(estimate: Estimate, held: Holdout) -> tuple[float, float]:
    """False accepts and rejects: by probability with draws, else by the point and a margin."""
    measured = ~np.isnan(held.typical_ms[TOTAL])
    if not measured.any():
        return float("nan"), float("nan")
    latency = held.typical_ms[TOTAL][measured]
    accepts, rejects = [], []
    for level in GUARD_QUANTILES:
        budget = float(np.quantile(latency, level))
        if estimate.draws is not None:
            accepted = (estimate.draws[TOTAL][measured] > budget).mean(axis=1) <= _MAX_RISK
        else:
            accepted = _MARGIN * estimate.total[measured] <= budget
        over = latency > budget
        accepts.append(np.mean(accepted & over))
        rejects.append(np.mean(~accepted & ~over))
    return float(np.mean(accepts)), float(np.mean(rejects))
