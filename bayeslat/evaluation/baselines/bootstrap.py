"""Method `bootstrap`: an ensemble of ridges on resampled rows of the target, with draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.baselines.donors import Donors
from bayeslat.evaluation.baselines.estimate import Estimate
from bayeslat.evaluation.baselines.knob_features import KnobFeatures
from bayeslat.evaluation.baselines.monomials import monomials
from bayeslat.evaluation.baselines.observations import Observations, observe_target
from bayeslat.evaluation.baselines.point_estimator import estimate_draws
from bayeslat.evaluation.baselines.ridge import TARGET_POLYNOMIAL
from bayeslat.evaluation.baselines.ridge_fit import RidgeFit, fit_ridge
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["MEMBERS", "Bootstrap", "Ensemble", "fit_ensemble"]

type Values = NDArray[np.float64]

MEMBERS = 200
"""Resampled fits, and so draws."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Fits of one stage to resampled rows.

    Attributes
    ----------
    features : KnobFeatures
    coefficients : ndarray, shape (column, draw)
    intercepts, log_noise : ndarray, shape (draw,)
        Noise of a run, resampled from what the fit to all rows leaves.
    """

    features: KnobFeatures
    coefficients: Values
    intercepts: Values
    log_noise: Values

    def log_ms(self, configs: pd.DataFrame) -> Values:
        """Log latency without noise. Shape (config, draw)."""
        columns = monomials(self.features.columns(configs), TARGET_POLYNOMIAL.degree)
        predicted: Values = columns @ self.coefficients + self.intercepts
        return predicted


def fit_ensemble(features: KnobFeatures, observed: Observations, *, seed: int) -> Ensemble:
    """Resample rows and fit each time, with the penalty that suits all rows.

    Parameters
    ----------
    features : KnobFeatures
    observed : Observations
    seed : int

    Returns
    -------
    Ensemble
        Of `MEMBERS` fits.
    """
    rng = np.random.default_rng(seed)
    columns = monomials(features.columns(observed.configs), TARGET_POLYNOMIAL.degree)
    rows = len(columns)
    whole = fit_ridge(columns, observed.log_ms, TARGET_POLYNOMIAL.alphas)
    counts = rng.multinomial(rows, np.full(rows, 1.0 / rows), size=MEMBERS)
    fits = [_fit(columns, observed.log_ms, whole.alpha, count) for count in counts]
    # A residual is sqrt(1 - leverage) times as wide as the noise (Davison and Hinkley 1997, 6.2.3).
    noise = whole.residuals / np.sqrt(np.maximum(1.0 - whole.leverage, 1e-3))
    return Ensemble(
        features,
        np.stack([fit.coefficients for fit in fits], axis=1),
        np.array([fit.intercept for fit in fits]),
        rng.choice(noise - noise.mean(), MEMBERS),
    )


def _fit(columns: Values, log_ms: Values, alpha: float, count: NDArray[np.int64]) -> RidgeFit:
    """Fit rows that were drawn `count` times each."""
    drawn = count > 0
    return fit_ridge(columns[drawn], log_ms[drawn], [alpha], count[drawn].astype(float))


@dataclass(frozen=True)
class BootstrapEstimator:
    """See `Bootstrap`."""

    spec: Spec
    gpu: Gpu
    ensembles: Mapping[str, Ensemble]

    def predict(self, configs: pd.DataFrame) -> Estimate:
        """Estimate the latencies of configs, with draws."""
        logs = {name: each.log_ms(configs) for name, each in self.ensembles.items()}
        means = {name: log.mean(axis=1) for name, log in logs.items()}
        runs = {name: log + self.ensembles[name].log_noise for name, log in logs.items()}
        return estimate_draws(self.spec, configs, self.gpu, means, runs)


@dataclass(frozen=True)
class TrainedBootstrap:
    """See `Bootstrap`."""

    method: Bootstrap
    spec: Spec
    features: Mapping[str, KnobFeatures]
    seed: int
    note: str = ""

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> BootstrapEstimator:
        """Fit the ensemble of each stage."""
        method, stages = self.method, self.spec.stages
        observed = observe_target(method, self.spec, rows, gpu, stages)
        seeds = np.random.SeedSequence(self.seed).generate_state(len(observed)).tolist()
        ensembles = {
            name: fit_ensemble(self.features[name], each, seed=seed)
            for (name, each), seed in zip(observed.items(), seeds, strict=True)
        }
        return BootstrapEstimator(self.spec, gpu, ensembles)


@dataclass(frozen=True)
class Bootstrap:
    """The ridge of method `ridge`, on rows drawn with replacement.

    The point is the mean of the logs. Stages are resampled independently.

    Attributes
    ----------
    name : str
    least_rows : int
    """

    name: str
    least_rows: int = 5

    def train(self, donors: Donors) -> TrainedBootstrap:
        """Take the scale of the knobs."""
        return TrainedBootstrap(self, donors.spec, donors.features, donors.seed)
