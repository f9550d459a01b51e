"""The hierarchical model behind the interface of the baselines, so that all are run alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslat.decisions.guard import Budget
from bayeslat.decisions.predict import predict
from bayeslat.decisions.prediction import TOTAL, Prediction
from bayeslat.decisions.summary import summarise_draws
from bayeslat.errors import InputError
from bayeslat.evaluation.baselines import (
    BASELINES,
    Baseline,
    Donors,
    Estimate,
    find_baseline,
    what_it_lacks,
)
from bayeslat.features.gpu import Gpu
from bayeslat.features.spec import Spec
from bayeslat.inference.calibration.calibrate import calibrate_stacks
from bayeslat.inference.posteriors.posterior import PosteriorData

__all__ = [
    "HIERARCHICAL",
    "Hierarchical",
    "as_estimate",
    "check_methods",
    "find_method",
    "method_names",
]

_NOTHING_MS = 1e-300
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
        # Samplers: not for those who predict.
        from bayeslat.inference.fitting.fit import fit_posterior

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
        """Add the target, if there are rows of it."""
        data = calibrate_stacks(self.data, rows, gpu, seed=self.seed) if len(rows) else self.data
        return _Calibrated(data, gpu, self.seed)


@dataclass(frozen=True)
class _Calibrated:
    """A posterior that holds the target."""

    data: PosteriorData
    gpu: Gpu
    seed: int

    def predict(self, configs: pd.DataFrame) -> Estimate:
        """Predict configs."""
        prediction = predict(self.data, configs, self.gpu, seed=self.seed)
        return as_estimate(prediction, if_it_takes_time=True)


def as_estimate(
    prediction: Prediction, budgets: Sequence[Budget] = (), *, if_it_takes_time: bool = False
) -> Estimate:
    """Return a prediction in the form in which methods are scored.

    Parameters
    ----------
    prediction : Prediction
    budgets : sequence of Budget
        The stages that they join are estimated together, too.
    if_it_takes_time : bool
        Whether a stage with a hurdle is predicted given that it is above it, as other methods do.
        The total has the hurdle in any case.
    """
    draws = {name: prediction.draws(name) for name in (*prediction.stages, TOTAL)}
    if if_it_takes_time:
        hurdles = {k: part for k, part in prediction.stages.items() if part.hurdle is not None}
        draws |= {name: part.taking_ms for name, part in hurdles.items()}
    for budget in budgets:
        part, name = budget.of(prediction)
        draws.setdefault(str(budget), part.draws(name))
    # Where no stage of a sum runs, nothing is measured, and estimates are above 0.
    draws = {name: np.maximum(each, _NOTHING_MS) for name, each in draws.items()}
    points = {name: summarise_draws(each)["point"] for name, each in draws.items()}
    total = points.pop(TOTAL)
    return Estimate(points, total, draws=draws)


def method_names(spec: Spec | None = None) -> tuple[str, ...]:
    """All methods, this project's own first; with a spec, those that can predict it."""
    suited = (
        name for name, each in BASELINES.items() if spec is None or not what_it_lacks(each, spec)
    )
    return (HIERARCHICAL, *suited)


def find_method(name: str, engine: str) -> Baseline:
    """Return a method by its name.

    Raises
    ------
    InputError
        If there is none.
    """
    return Hierarchical(engine) if name == HIERARCHICAL else find_baseline(name)


def check_methods(names: Sequence[str], spec: Spec) -> None:
    """Tell every name that is no method's, or of a method that the spec does not suit.

    Raises
    ------
    InputError
    """
    problems = []
    unknown = [name for name in names if name not in method_names()]
    if unknown:
        problems.append(
            f"no method {', '.join(map(repr, unknown))}; there are {', '.join(method_names())}"
        )
    known = [name for name in names if name in BASELINES]
    lacking = {name: what_it_lacks(BASELINES[name], spec) for name in known}
    problems += [
        f"method {name!r} does not suit: {why}. Leave it out"
        for name, why in lacking.items()
        if why
    ]
    if problems:
        raise InputError("; ".join(problems))
