"""Methods that break the contract, one rule each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from bayeslat.evaluation.baselines import Donors, Estimate, Estimator, TrainedBaseline
from bayeslat.evaluation.baselines.ridge import Ridge
from bayeslat.features.gpu import Gpu


@dataclass(frozen=True)
class Wrapped:
    """An estimator whose estimates a twin changes."""

    twin: Twin
    inner: Any

    def predict(self, configs: pd.DataFrame) -> Estimate:
        return self.twin.change(self.inner.predict(self.twin.configs(configs)), configs)


@dataclass(frozen=True)
class TrainedTwin:
    twin: Twin
    inner: Any
    note: str = ""

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> Estimator:
        return Wrapped(self.twin, self.inner.calibrate(self.twin.rows(rows), gpu))


@dataclass(frozen=True)
class Twin:
    """A good method; the classes below break it."""

    name: str = "ridge"
    least_rows: int = 3

    def train(self, donors: Donors) -> TrainedBaseline:
        return TrainedTwin(self, Ridge("ridge").train(donors))

    def rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows

    def configs(self, configs: pd.DataFrame) -> pd.DataFrame:
        return configs

    def change(self, estimate: Estimate, configs: pd.DataFrame) -> Estimate:
        return estimate


class Optimist(Twin):
    """Its total is not the sum of its stages."""

    def change(self, estimate: Estimate, configs: pd.DataFrame) -> Estimate:
        return replace(estimate, total=0.98 * estimate.total)


class Random(Twin):
    """Differs from time to time."""

    def change(self, estimate: Estimate, configs: pd.DataFrame) -> Estimate:
        noise = np.exp(0.01 * np.random.default_rng().standard_normal(len(configs)))
        stages = {name: values * noise for name, values in estimate.stages.items()}
        return Estimate(stages, estimate.total * noise)


class Shifted(Twin):
    """Scales by the mean of the batch."""

    def change(self, estimate: Estimate, configs: pd.DataFrame) -> Estimate:
        factor = configs["context"].mean() / 1000
        stages = {name: factor * values for name, values in estimate.stages.items()}
        return Estimate(stages, factor * estimate.total)


class Vandal(Twin):
    """Writes into the caller's rows."""

    def rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        rows["t_decode_ms"] = rows["t_decode_ms"].round(3)
        return rows


class Filler(Twin):
    """Invents what was not measured."""

    def rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(t_decode_ms=rows["t_decode_ms"].fillna(1.0))


class Deaf(Twin):
    """Says it calibrates, and does not."""

    def rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(t_prefill_ms=1.0, t_decode_ms=1.0)


class Boaster(Twin):
    """Has an interval that is a point."""

    def change(self, estimate: Estimate, configs: pd.DataFrame) -> Estimate:
        points = {**estimate.stages, "total": estimate.total}
        return replace(estimate, draws={k: np.tile(v[:, None], 9) for k, v in points.items()})


class Guesser(Twin):
    """Puts 1 where a knob is missing."""

    def configs(self, configs: pd.DataFrame) -> pd.DataFrame:
        return configs if "context" in configs else configs.assign(context=1)


@dataclass(frozen=True)
class Shared(Twin):
    """Keeps the state of the last calibration in all estimators."""

    state: dict[str, float] = field(default_factory=dict, compare=False)

    def __hash__(self) -> int:
        return id(self)

    def rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        self.state["mean"] = float(rows["t_decode_ms"].mean())
        return rows

    def change(self, estimate: Estimate, configs: pd.DataFrame) -> Estimate:
        factor = self.state["mean"]
        stages = {name: factor * values for name, values in estimate.stages.items()}
        return Estimate(stages, factor * estimate.total)


@dataclass(frozen=True)
class Stuck(Twin):
    """Cannot be sent to another process."""

    stuck: Any = field(default_factory=lambda: lambda: None)


class Greedy(Twin):
    """Needs more rows than it says."""

    def __init__(self) -> None:
        super().__init__(least_rows=1)


TWINS: dict[str, tuple[Twin, str]] = {
    "optimist": (Optimist(), "stages_add_up"),
    "random": (Random(), "same_again"),
    "shifted": (Shifted(), "configs_are_apart"),
    "vandal": (Vandal(), "inputs_are_kept"),
    "filler": (Filler(), "missing_stages"),
    "deaf": (Deaf(), "learns"),
    "boaster": (Boaster(), "distribution"),
    "guesser": (Guesser(), "missing_knob"),
    "shared": (Shared(), "calibrations_are_apart"),
    "stuck": (Stuck(), "travels"),
    "greedy": (Greedy(), "least_rows"),
}
"""Each twin, and the check that must refuse it."""
