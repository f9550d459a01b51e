"""What is known of one stage while a batch grows, if nothing is shared by measurements."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.problem import StageDesign

__all__ = ["StageBelief", "prior_belief"]


@dataclass(frozen=True)
class StageBelief:
    """What is known of a stage's effects, as measurements with independent blurs enter one by one.

    Attributes
    ----------
    stage : StageDesign
    variance : ndarray, shape (candidate,)
        Of `design @ effects`.
    pull : ndarray, shape (candidate, feature)
        Covariance of a measured log latency and the effects.
    """

    stage: StageDesign
    variance: NDArray[np.float64]
    pull: NDArray[np.float64]

    def after(self, candidate: int) -> StageBelief:
        """Return the belief after one measurement, whatever it finds.

        What is jointly normal keeps its covariance less the product of the covariances with what is
        told, per variance of it (Rasmussen and Williams 2006, appendix A.2).

        Parameters
        ----------
        candidate : int
        """
        scatter = self.variance[candidate] + self.stage.candidates.blur_sd[candidate] ** 2
        gain = self.pull[candidate] / np.sqrt(scatter)
        told = self.stage.design @ gain
        return replace(
            self,
            variance=np.maximum(self.variance - told**2, 0.0),
            pull=self.pull - np.outer(told, gain),
        )


def prior_belief(stage: StageDesign) -> StageBelief:
    """Return what is known before the first measurement.

    Parameters
    ----------
    stage : StageDesign
    """
    pull = stage.design @ stage.covariance
    return StageBelief(stage, np.maximum(np.sum(pull * stage.design, axis=1), 0.0), pull)
