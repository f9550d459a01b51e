"""What is known of one stage while a batch grows: measurements enter one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.neighbours import Neighbours
from bayeslat.decisions.suggest.problem import StageDesign

__all__ = ["StageBelief", "prior_belief"]


@dataclass(frozen=True)
class StageBelief:
    """What is known of a stage's effects, and what a measurement of each candidate would add.

    Attributes
    ----------
    stage : StageDesign
    measuring : Neighbours
    variance : ndarray, shape (candidate,)
        Of `design @ effects`.
    scatter : ndarray, shape (candidate,)
        Of a measured log latency.
    pull : ndarray, shape (candidate, feature)
        Covariance of a measured log latency and the effects.
    told : ndarray, shape (candidate, rank)
        Covariance of a measured log latency and of what each measurement so far told, per sd of it.
    """

    stage: StageDesign
    measuring: Neighbours
    variance: NDArray[np.float64]
    scatter: NDArray[np.float64]
    pull: NDArray[np.float64]
    told: NDArray[np.float64]

    def after(self, candidate: int) -> StageBelief:
        """Return the belief after one measurement, whatever it finds.

        Parameters
        ----------
        candidate : int
        """
        return self.given(*self.step(candidate))

    def given(self, gain: NDArray[np.float64], told: NDArray[np.float64]) -> StageBelief:
        """Return the belief after what a `step` told.

        Parameters
        ----------
        gain : ndarray, shape (feature,)
        told : ndarray, shape (candidate,)
        """
        return replace(
            self,
            variance=np.maximum(self.variance - (self.stage.design @ gain) ** 2, 0.0),
            scatter=self.scatter - told**2,
            pull=self.pull - np.outer(told, gain),
            told=np.column_stack([self.told, told]),
        )

    def step(self, candidate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return covariances with what one measurement tells, per sd of it.

        What is jointly normal keeps its covariance less the product of these, whatever was found
        (Rasmussen and Williams 2006, appendix A.2).

        Parameters
        ----------
        candidate : int

        Returns
        -------
        gain : ndarray, shape (feature,)
            Of the effects.
        told : ndarray, shape (candidate,)
            Of a further measured log latency.
        """
        rows, sd = self.measuring, np.sqrt(self.scatter[candidate])
        before = rows.design @ (self.stage.covariance @ rows.design[candidate])
        before += rows.blur(np.arange(len(before)), np.array([candidate]))[:, 0]
        return self.pull[candidate] / sd, (before - self.told @ self.told[candidate]) / sd


def prior_belief(stage: StageDesign, *, shared: float | None = None) -> StageBelief:
    """Return what is known before the first measurement.

    Parameters
    ----------
    stage : StageDesign
    shared : float, optional
        As the stage has it by default; 0 for independent noise.
    """
    rows = stage.measuring if shared is None else replace(stage.measuring, shared=shared)
    pull = rows.design @ stage.covariance
    variance = np.maximum(np.sum(stage.design @ stage.covariance * stage.design, axis=1), 0.0)
    scatter = np.sum(pull * rows.design, axis=1) + rows.blur_sd**2
    return StageBelief(stage, rows, variance, scatter, pull, np.empty((len(pull), 0)))
