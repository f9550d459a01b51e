"""The anchor: where each GPU's additive physics is linearised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from bayeslat.errors import ConvergenceError
from bayeslat.features.terms import KindPrior

__all__ = ["Anchor", "find_anchor"]

_DEPARTURE_SD = 0.3  # prior sd of a GPU's log efficiency round the shared one
_FARTHEST = 20.0  # logs; no efficiency is off by e^20
_LOSS_SCALE = 0.1  # log latency; physics alone is rarely closer
_LOSS_DOF = 4.0  # Student-t, so that a kernel switch or a bad row does not move the physics


@dataclass(frozen=True)
class Anchor:
    """Shared log efficiencies and each GPU's departure from them, at the joint mode.

    Attributes
    ----------
    shared : ndarray, shape (term,)
        theta0: log of the shared slowdown against the data sheet.
    departure : ndarray, shape (gpu, term)
        U: each GPU's own log slowdown less the shared one.
    """

    shared: NDArray[np.float64]
    departure: NDArray[np.float64]


def find_anchor(
    terms_ms: Sequence[NDArray[np.float64]],
    latency_ms: Sequence[NDArray[np.float64]],
    weights: Sequence[NDArray[np.float64]],
    priors: Sequence[KindPrior],
    smooth: Sequence[NDArray[np.float64]] | None = None,
    smooth_sd: NDArray[np.float64] | None = None,
) -> Anchor:
    """Fit physics alone to every GPU at once, robustly.

    The mode of log t ~ log sum_k exp(theta0_k + U_gk) F_k + Student-t4 noise, with
    theta0_k ~ Normal(log slowdown, its log sd) and U_gk ~ Normal(0, 0.3). Anchoring by GPU keeps
    what differs between GPUs out of theta0; pooling the rows instead doubles zero-shot errors.

    Parameters
    ----------
    terms_ms : sequence over gpu of ndarray, shape (config, term)
    latency_ms : sequence over gpu of ndarray, shape (config,)
    weights : sequence over gpu of ndarray, shape (config,)
        How many rows a row counts for.
    priors : sequence of KindPrior, shape (term,)
    smooth : sequence over gpu of ndarray, shape (config, column), optional
        Columns of a smooth correction that all GPUs share, where physics alone would lead astray.
    smooth_sd : ndarray, shape (column,), optional
        Prior sd of its weights.

    Returns
    -------
    Anchor

    Raises
    ------
    ConvergenceError
        If the optimiser stops before it reaches a mode.
    """
    centre = np.log([prior.slowdown for prior in priors])
    gpus, terms = len(terms_ms), len(priors)
    if smooth is None or smooth_sd is None:
        smooth, smooth_sd = [np.zeros((len(each), 0)) for each in latency_ms], np.zeros(0)
    # Scores: each unknown in prior standard deviations from its centre.
    prior_sd = np.concatenate(
        [
            [prior.slowdown_log_sd for prior in priors],
            np.full(gpus * terms, _DEPARTURE_SD),
            smooth_sd,
        ]
    )
    held = np.array([len(each) for each in latency_ms])
    gpu_of = np.repeat(np.arange(gpus), held)
    # One row a term or a column: sums over them are over whole rows of numbers.
    time = np.ascontiguousarray(np.concatenate(terms_ms).T)
    column = np.ascontiguousarray(np.concatenate(smooth).T)
    log_ms, weight = np.log(np.concatenate(latency_ms)), np.concatenate(weights)
    # Over the rows, and within bounds: a first step on the raw objective leaps out of range.
    rows = max(float(weight.sum()), 1.0)

    def objective(scores: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        shared, departure, slope = _split(scores * prior_sd, gpus, terms)
        parts = time * np.exp(centre + shared + departure)[gpu_of].T
        total = parts.sum(axis=0)
        residual = (log_ms - np.log(total) - slope @ column) / _LOSS_SCALE
        squared = residual**2
        value = 0.5 * (_LOSS_DOF + 1) * (weight @ np.log1p(squared / _LOSS_DOF))
        pull = (_LOSS_DOF + 1) / _LOSS_SCALE * weight * residual / (_LOSS_DOF + squared)
        parts *= pull / total
        by_gpu = np.array([np.bincount(gpu_of, part, gpus) for part in parts])
        climb = np.concatenate([by_gpu.sum(axis=1), by_gpu.T.ravel(), column @ pull]) * prior_sd
        return float(value + 0.5 * (scores @ scores)) / rows, (scores - climb) / rows

    found = minimize(
        objective,
        np.zeros(len(prior_sd)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-_FARTHEST / sd, _FARTHEST / sd) for sd in prior_sd],
        options={"maxiter": 5000, "maxfun": 10000, "ftol": 1e-14, "gtol": 1e-8},
    )
    if not np.isfinite(found.fun) or np.abs(found.jac).max() > 1e-3:
        raise ConvergenceError(
            f"The physics of the stage has no mode that the optimiser reaches ({found.message}). "
            "Check the units of the latencies, and that no two physics terms are the same."
        )
    shared, departure, _ = _split(found.x * prior_sd, gpus, terms)
    return Anchor(shared=centre + shared, departure=departure)


def _split(
    point: NDArray[np.float64], gpus: int, terms: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Shared efficiencies, each GPU's departures, and the weights of the smooth columns."""
    size = (gpus + 1) * terms
    return point[:terms], point[terms:size].reshape(gpus, terms), point[size:]
