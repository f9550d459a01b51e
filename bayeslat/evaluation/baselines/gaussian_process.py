"""Method `gaussian_process`: one for each stage, on the target's own rows, with draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtri

from bayeslat.decisions.prediction import TOTAL
from bayeslat.evaluation.baselines.donors import Donors
from bayeslat.evaluation.baselines.estimate import Estimate
from bayeslat.evaluation.baselines.knob_features import KnobFeatures
from bayeslat.evaluation.baselines.libraries import require
from bayeslat.evaluation.baselines.neural import quiet
from bayeslat.evaluation.baselines.observations import Observations, observe_target
from bayeslat.evaluation.baselines.point_estimator import estimate_draws
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["DRAWS", "GaussianProcess"]

type Values = NDArray[np.float64]

DRAWS = 400
_STEPS = 40  # of the optimiser of the kernel


@dataclass(frozen=True, eq=False)
class StageProcess:
    """The process of one stage.

    Attributes
    ----------
    features : KnobFeatures
    process : sklearn.gaussian_process.GaussianProcessRegressor
        Of the standardised log latency, with noise.
    centre, scale : float
        Of the log latency.
    standard : ndarray, shape (draw,)
        Standard normal: the middles of as many equal parts, shuffled. All configs share it.
    """

    features: KnobFeatures
    process: Any
    centre: float
    scale: float
    standard: Values

    def log_ms(self, configs: pd.DataFrame) -> tuple[Values, Values]:
        """Mean and draws of log latency. Shapes (config,), (config, draw)."""
        columns = self.features.columns(configs)
        mean, sd = self.process.predict(columns, return_std=True)
        log_mean = self.centre + self.scale * mean
        return log_mean, log_mean[:, None] + self.scale * sd[:, None] * self.standard


@dataclass(frozen=True)
class GaussianProcessEstimator:
    """See `GaussianProcess`."""

    spec: Spec
    gpu: Gpu
    processes: Mapping[str, StageProcess]

    def predict(self, configs: pd.DataFrame) -> Estimate:
        """Estimate the latencies of configs, with draws."""
        if configs.empty:  # which scikit-learn refuses
            nothing = {name: np.empty((0, DRAWS)) for name in (*self.processes, TOTAL)}
            return Estimate(dict.fromkeys(self.processes, np.empty(0)), np.empty(0), draws=nothing)
        logs = {name: each.log_ms(configs) for name, each in self.processes.items()}
        means = {name: mean for name, (mean, _) in logs.items()}
        runs = {name: draws for name, (_, draws) in logs.items()}
        return estimate_draws(self.spec, configs, self.gpu, means, runs)


@dataclass(frozen=True)
class TrainedGaussianProcess:
    """See `GaussianProcess`."""

    method: GaussianProcess
    spec: Spec
    features: Mapping[str, KnobFeatures]
    seed: int
    note: str = ""

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> GaussianProcessEstimator:
        """Fit the process of each stage."""
        method, stages = self.method, self.spec.stages
        observed = observe_target(method, self.spec, rows, gpu, stages)
        rng = np.random.default_rng(self.seed)
        processes = {name: _fit(self.features[name], each, rng) for name, each in observed.items()}
        return GaussianProcessEstimator(self.spec, gpu, processes)


@dataclass(frozen=True)
class GaussianProcess:
    """Log latency is a line plus a smooth departure (Matern 5/2, a length for each feature).

    Stages are independent. The kernel is that of the highest marginal likelihood.

    Attributes
    ----------
    name : str
    least_rows : int
    """

    name: str
    least_rows: int = 3

    def train(self, donors: Donors) -> TrainedGaussianProcess:
        """Take the scale of the knobs.

        Raises
        ------
        InputError
            If scikit-learn is not installed.
        """
        require("sklearn.gaussian_process")
        return TrainedGaussianProcess(self, donors.spec, donors.features, donors.seed)


def _fit(features: KnobFeatures, observed: Observations, rng: np.random.Generator) -> StageProcess:
    columns, log_ms = features.columns(observed.configs), observed.log_ms
    centre, scale = float(log_ms.mean()), float(log_ms.std()) or 1.0
    process = require("sklearn.gaussian_process").GaussianProcessRegressor(
        _kernel(columns.shape[1]), alpha=1e-8, optimizer=_optimise
    )
    with quiet():
        process.fit(columns, (log_ms - centre) / scale)
    standard = rng.permutation(ndtri((np.arange(DRAWS) + 0.5) / DRAWS))
    return StageProcess(features, process, centre, scale, standard)


def _kernel(features: int) -> Any:
    """Line, smooth departure and noise, of a standardised log latency."""
    kernels = require("sklearn.gaussian_process.kernels")
    line = kernels.ConstantKernel(1.0, (1e-2, 1e2)) * kernels.DotProduct(1.0, "fixed")
    smooth = kernels.Matern(np.full(features, 2.0), (0.5, 30.0), nu=2.5)
    departure = kernels.ConstantKernel(0.1, (1e-4, 1e2)) * smooth
    return line + departure + kernels.WhiteKernel(1e-2, (1e-5, 1.0))


def _optimise(
    objective: Callable[[Values], tuple[float, Values]], start: Values, bounds: Values
) -> tuple[Values, float]:
    """Minimise in few steps; the last ones change no prediction."""
    found = minimize(
        objective, start, method="L-BFGS-B", jac=True, bounds=bounds, options={"maxiter": _STEPS}
    )
    return found.x, found.fun
