"""The hierarchical model behind the interface of the baselines, so that all are run alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bayeslat.decisions.predict import predict
from bayeslat.decisions.prediction import TOTAL, Prediction
from bayeslat.decisions.summary import summarise_draws
from bayeslat.errors import InputError
from bayeslat.evaluation.baselines import BASELINES, Baseline, Donors, Estimate, find_baseline
from bayeslat.features.gpu import Gpu
from bayeslat.inference.calibrate import calibrate_group
from bayeslat.inference.posterior import PosteriorData

__all__ = [
    "HIERARCHICAL",
    "Hierarchical",
    "as_estimate",
    "check_methods",
    "find_method",
    "method_names",
]

HIERARCHICAL = "bayeslat"
"""The name of this project's own method."""


@dataclass(frozen=True)
class Hierarchical:
    """Fit the donors, calibrate the target in closed form.

    Attributes
    ----------
    engine : {"laplace", "nuts"}
    """

    engine: str = "laplace"
    name: str = HIERARCHICAL
    least_rows: int = 0

    def train(self, donors: Donors) -> _Trained:
        """Fit the donors."""
        from bayeslat.inference.fit import fit_posterior  # samplers: not for those who predict

        engine: Any = self.engine
        data = fit_posterior(
            donors.spec, donors.rows, hardware=donors.hardware, engine=engine, seed=donors.seed
        )
        return _Trained(data, donors.seed)


@dataclass(frozen=True)
class _Trained:
    """A fit of the donors."""

    data: PosteriorData
    seed: int
    note: str = ""

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> _Calibrated:
        """Add the target."""
        calibrated = calibrate_group(self.data, rows, gpu, "", seed=self.seed)
        return _Calibrated(calibrated, gpu, self.seed)


@dataclass(frozen=True)
class _Calibrated:
    """A posterior that holds the target."""

    data: PosteriorData
    gpu: Gpu
    seed: int

    def predict(self, configs: pd.DataFrame) -> Estimate:
        """Predict configs."""
        return as_estimate(predict(self.data, configs, self.gpu, seed=self.seed))


def as_estimate(prediction: Prediction) -> Estimate:
    """Return a prediction in the form in which methods are scored."""
    draws = {name: prediction.draws(name) for name in (*prediction.stages, TOTAL)}
    points = {name: summarise_draws(each)["point"] for name, each in draws.items()}
    total = points.pop(TOTAL)
    return Estimate(points, total, draws=draws)


def method_names() -> tuple[str, ...]:
    """All methods, this project's own first."""
    return (HIERARCHICAL, *BASELINES)


def find_method(name: str, engine: str) -> Baseline:
    """Return a method by its name.

    Raises
    ------
    InputError
        If there is none.
    """
    return Hierarchical(engine) if name == HIERARCHICAL else find_baseline(name)


def check_methods(names: Sequence[str]) -> None:
    """Tell every name that is no method's.

    Raises
    ------
    InputError
    """
    unknown = [name for name in names if name not in method_names()]
    if unknown:
        raise InputError(
            f"no method {', '.join(map(repr, unknown))}; there are {', '.join(method_names())}"
        )
