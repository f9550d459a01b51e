"""How far calibration will be off at a stage while a batch grows: measurements enter one by one.

Calibration takes measurements as independent, which those close by are not. To noise that is
independent, the best designs sit at the ends of the range, and what departs from smooth physics
there misleads the estimate everywhere else: designs for estimates that are off spread like what is
to be predicted (Box and Draper 1959, JASA 54; with a departure that is a random process: Sacks and
Ylvisaker 1984, in the Berkeley conference in honor of Neyman and Kiefer).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.neighbours import shared_covariance
from bayeslat.decisions.suggest.problem import StageDesign

__all__ = ["StageEstimate", "first_estimate"]


@dataclass(frozen=True)
class StageEstimate:
    """Calibration's estimate of a stage's effects, with what it believes of it and what is so.

    A measurement z' effects + m + noise, of which m is what neighbours share, moves the estimate by
    g times what it departs from it: g = P z / (z' P z + s^2), with P the covariance that
    calibration believes in, and s the sd of the blur. So the error e of the estimate becomes
    e - g (z' e + m + noise), in all of which m goes on to be what it was.

    Attributes
    ----------
    stage : StageDesign
    believed : ndarray, shape (feature, feature)
        P.
    error : ndarray, shape (feature, feature)
        Covariance of e.
    misled : ndarray, shape (candidate, feature)
        Covariance of m at each candidate with e.
    """

    stage: StageDesign
    believed: NDArray[np.float64]
    error: NDArray[np.float64]
    misled: NDArray[np.float64]

    @cached_property
    def steps(self) -> NDArray[np.float64]:
        """The step g at each candidate. Shape (candidate, feature)."""
        design = self.stage.design
        pull = design @ self.believed
        scatter = np.sum(pull * design, axis=1) + self.stage.candidates.blur_sd**2
        return pull / scatter[:, None]

    def believed_variance(self, points: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of `design @ effects` at some candidates, as calibration has it. Shape (point,)."""
        design = self.stage.design[points]
        variance: NDArray[np.float64] = np.sum(design @ self.believed * design, axis=1)
        return np.maximum(variance, 0.0)

    def excess(self, points: NDArray[np.int64]) -> NDArray[np.float64]:
        """Variance of z' e + m over that of m, at some candidates. Shape (point,)."""
        design = self.stage.design[points]
        excess: NDArray[np.float64] = np.sum(
            (design @ self.error + 2.0 * self.misled[points]) * design, axis=1
        )
        return excess

    def after(self, candidate: int) -> StageEstimate:
        """Return the estimate after one measurement, whatever it finds.

        Parameters
        ----------
        candidate : int
        """
        rows, row = self.stage.candidates, np.array([candidate])
        z, step = rows.design[candidate], self.steps[candidate]
        kept = np.eye(len(z)) - np.outer(step, z)
        shared = shared_covariance(rows, rows.take(row), self.stage.noise_shared)
        mixed = np.outer(kept @ self.misled[candidate], step)
        noise = np.outer(step, step) * rows.blur_sd[candidate] ** 2
        return replace(
            self,
            believed=kept @ self.believed,
            error=kept @ self.error @ kept.T - mixed - mixed.T + noise,
            misled=self.misled @ kept.T - shared * step,
        )


def first_estimate(stage: StageDesign) -> StageEstimate:
    """Return the estimate before the first measurement of the batch.

    Of the measurements that the GPU was calibrated with, the estimate took up what they share: with
    W their weights and S the variances of their blurs, A (m + noise) of it, where A = P Z' W / S.

    Parameters
    ----------
    stage : StageDesign
    """
    made, believed = stage.made, stage.covariance
    told = believed @ (made.design * (made.weights / made.blur_sd**2)[:, None]).T
    among = shared_covariance(made, made, stage.noise_shared)
    # What they have over independent ones of these weights, whose error P would be.
    np.fill_diagonal(among, made.blur_sd**2 * (1.0 - 1.0 / made.weights))
    misled = -shared_covariance(stage.candidates, made, stage.noise_shared) @ told.T
    return StageEstimate(stage, believed, believed + told @ among @ told.T, misled)
