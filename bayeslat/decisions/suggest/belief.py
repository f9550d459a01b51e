"""What is known of one stage while a batch grows: measurements enter one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.problem import StageDesign

__all__ = ["StageBelief", "prior_belief"]


@dataclass(frozen=True)
class StageBelief:
    """Covariance of a stage's effects, and what follows for the candidates.

    Attributes
    ----------
    stage : StageDesign
    covariance : ndarray, shape (feature, feature)
    variance : ndarray, shape (candidate,)
        Of `design @ effects`.
    """

    stage: StageDesign
    covariance: NDArray[np.float64]
    variance: NDArray[np.float64]

    @property
    def scatter(self) -> NDArray[np.float64]:
        """Variance of a measured log latency. Shape (candidate,)."""
        return self.variance + self.stage.blur_sd**2

    def after(self, candidate: int) -> StageBelief:
        """Return the belief after one measurement, whatever it finds.

        The covariance of a Gaussian linear model does not depend on the response: with
        g = C z, C' = C - g g' / (z' g + s^2) (the Kalman filter's update).

        Parameters
        ----------
        candidate : int
        """
        pull = self.covariance @ self.stage.design[candidate]
        scatter = self.scatter[candidate]
        moved = self.stage.design @ pull
        return StageBelief(
            self.stage,
            self.covariance - np.outer(pull, pull) / scatter,
            np.maximum(self.variance - moved**2 / scatter, 0.0),
        )


def prior_belief(stage: StageDesign) -> StageBelief:
    """Return what is known before the first measurement."""
    design = stage.design
    variance = np.sum(design @ stage.covariance * design, axis=1)
    return StageBelief(stage, stage.covariance, np.maximum(variance, 0.0))
