"""What a baseline is: trained on donors once, calibrated to a target, asked for latencies."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import pandas as pd

from bayeslat.evaluation.baselines.donors import Donors
from bayeslat.evaluation.baselines.estimate import Estimate
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["Baseline", "Estimator", "Selective", "TrainedBaseline", "what_it_lacks"]


class Estimator(Protocol):
    """A method that knows its target. It can be sent to another process."""

    def predict(self, configs: pd.DataFrame) -> Estimate:
        """Estimate the latencies of configs, each whatever the others are.

        Raises
        ------
        InputError
            If a knob is missing, or has a value that the method cannot take.
        """
        ...


class TrainedBaseline(Protocol):
    """A method that has seen the donors. It can be sent to another process."""

    @property
    def note(self) -> str:
        """What training decided, for a table's footnote; may be empty."""
        ...

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> Estimator:
        """Take over measurements of the target.

        Parameters
        ----------
        rows : DataFrame, one row a measurement
            Of the target; a stage uses the rows that hold it. May be empty if `least_rows` is 0.
        gpu : Gpu
            The target.

        Raises
        ------
        InputError
            If a stage is held by fewer than `least_rows` rows.
        """
        ...


class Baseline(Protocol):
    """A method to compare with. The same donors and rows give the same estimates."""

    @property
    def name(self) -> str:
        """Name in the registry."""
        ...

    @property
    def least_rows(self) -> int:
        """Calibration rows that each stage needs; of a method for the total, rows with all."""
        ...

    def train(self, donors: Donors) -> TrainedBaseline:
        """Do what needs no target.

        Raises
        ------
        InputError
            If the donors lack rows, or a library of the extra `baselines` is not installed.
        """
        ...


@runtime_checkable
class Selective(Protocol):
    """A baseline that not every spec suits."""

    def lacks(self, spec: Spec) -> str:
        """What a spec has to have and does not, in words; empty if the method can predict it."""
        ...


def what_it_lacks(method: Baseline, spec: Spec) -> str:
    """Say why a method cannot predict what a spec describes; empty if it can."""
    return method.lacks(spec) if isinstance(method, Selective) else ""
