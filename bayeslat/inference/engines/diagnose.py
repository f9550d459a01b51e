"""Measuring convergence: R-hat, effective sample sizes, divergences, energy, importance weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayeslat.inference.engines.diagnostics import StageDiagnostics
from bayeslat.inference.engines.draws import StageDraws
from bayeslat.model.problem import StageProblem

__all__ = ["diagnose"]

_TAILS = (0.05, 0.95)


def diagnose(stage: str, problem: StageProblem, draws: StageDraws) -> StageDiagnostics:
    """Diagnose every scale and every effect of a stage.

    Parameters
    ----------
    stage : str
    problem : StageProblem
    draws : StageDraws

    Returns
    -------
    StageDiagnostics
    """
    from arviz_stats.base import array_stats

    names = _parameter_names(problem)
    chains, count = draws.scales.shape[:2]
    effects = draws.effects.reshape(chains, count, -1)
    values = np.concatenate([draws.scales, effects], axis=2)
    several = chains > 1
    with np.errstate(invalid="ignore", divide="ignore"):  # of a parameter that never moves
        rhat = array_stats.rhat(values, chain_axis=0, draw_axis=1) if several else None
    stats = draws.statistics
    energy = stats.get("energy")
    return StageDiagnostics(
        stage=stage,
        rhat=_worst(rhat, names, largest=True) if rhat is not None else (np.nan, ""),
        ess_bulk=_worst(array_stats.ess(values, 0, 1, method="bulk"), names, largest=False),
        ess_tail=_worst(
            array_stats.ess(values, 0, 1, method="tail", prob=_TAILS), names, largest=False
        ),
        divergences=int(np.sum(stats.get("diverging", 0))),
        bfmi=float(np.min(array_stats.bfmi(energy))) if energy is not None else np.nan,
        pareto_k=float(np.max(stats["pareto_k"])) if "pareto_k" in stats else np.nan,
    )


def _parameter_names(problem: StageProblem) -> list[str]:
    """Name every scale, then every node's effect of every feature."""
    nodes = (*problem.tree.names, "shared")
    effects = [f"{feature}[{node}]" for node in nodes for feature in problem.features.names]
    return [*problem.layout.names, *effects]


def _worst(
    values: NDArray[np.float64], names: Sequence[str], *, largest: bool
) -> tuple[float, str]:
    """Pick the worst value and the parameter that has it; what has no value is the worst."""
    values = np.where(np.isnan(values), np.inf if largest else 0.0, values)
    at = int(np.argmax(values) if largest else np.argmin(values))
    return float(values[at]), names[at]
