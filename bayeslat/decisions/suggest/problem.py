"""The choice of measurements as a linear Gaussian problem: what every method is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.neighbours import Measurements
from bayeslat.decisions.suggest.strata import Strata

__all__ = ["DesignProblem", "StageDesign"]


@dataclass(frozen=True)
class StageDesign:
    """One stage: its log latency is `design @ effects`, plus what no effect explains.

    Attributes
    ----------
    candidates : Measurements
        Of each candidate, as if it was measured. The physics terms come first in the design.
    made : Measurements
        Of the GPU: what the effects were told from.
    mean : ndarray, shape (feature,)
        Of the effects.
    covariance : ndarray, shape (feature, feature)
        Of the effects.
    share : ndarray, shape (candidate,)
        Of the stage in the expected total.
    run_sd : ndarray, shape (candidate,)
        Of a run's noise in log latency: normal noise of this sd has the same 90 % interval.
    beyond_sd : ndarray, shape (candidate,)
        What the effects leave open of the typical log latency: beyond the training range, and for
        tasks that were not fitted.
    terms : int
        Physics terms.
    noise_shared : float
        What part of the noise's variance is a configuration's own, which all of its runs share.
    """

    candidates: Measurements
    made: Measurements
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    share: NDArray[np.float64]
    run_sd: NDArray[np.float64]
    beyond_sd: NDArray[np.float64]
    terms: int
    noise_shared: float

    @property
    def design(self) -> NDArray[np.float64]:
        """Of the candidates. Shape (candidate, feature)."""
        return self.candidates.design

    @cached_property
    def correction(self) -> NDArray[np.float64]:
        """Expected smooth correction of log latency. Shape (candidate,)."""
        columns = self.design[:, self.terms :]
        correction: NDArray[np.float64] = columns @ self.mean[self.terms :]
        return correction


@dataclass(frozen=True)
class DesignProblem:
    """Candidates for measurement, and what is known before.

    One measurement gives every stage. Effects of different stages are independent, as they are in a
    prediction.

    Attributes
    ----------
    stages : tuple of StageDesign
    noise_correlation : ndarray, shape (stage, stage)
        Of the stages' noise in one run.
    log_total : ndarray, shape (candidate,)
        Log of the expected total in ms.
    knobs : ndarray, shape (candidate, knob)
    eligible : ndarray of bool, shape (candidate,)
        Which candidates may be chosen.
    points : ndarray of int, shape (point,)
        The candidates over which uncertainty is averaged.
    weights : ndarray, shape (point,)
        Of these; they sum to 1.
    cost_ms : ndarray, shape (candidate,), or None
        What a measurement costs; None if all cost the same.
    strata : Strata or None
        To be covered evenly; None if a choice may come from anywhere.
    """

    stages: tuple[StageDesign, ...]
    noise_correlation: NDArray[np.float64]
    log_total: NDArray[np.float64]
    knobs: NDArray[np.float64]
    eligible: NDArray[np.bool_]
    points: NDArray[np.int64]
    weights: NDArray[np.float64]
    cost_ms: NDArray[np.float64] | None = None
    strata: Strata | None = None

    @property
    def size(self) -> int:
        """Number of candidates."""
        return len(self.log_total)

    @cached_property
    def pool(self) -> NDArray[np.int64]:
        """Positions of the candidates that may be chosen. Shape (eligible,)."""
        return np.flatnonzero(self.eligible)

    @cached_property
    def run_variance(self) -> NDArray[np.float64]:
        """Of one run's log total, by its noise. Shape (candidate,)."""
        return self._noise_variance([1.0] * len(self.stages))

    @cached_property
    def own_variance(self) -> NDArray[np.float64]:
        """Of a typical run's log total, by what is the configuration's own. Shape (candidate,)."""
        return self._noise_variance([stage.noise_shared for stage in self.stages])

    def _noise_variance(self, parts: Sequence[float]) -> NDArray[np.float64]:
        """Of the log total, by a part of each stage's noise. Shape (candidate,)."""
        sds = np.stack(
            [
                stage.share * stage.run_sd * np.sqrt(part)
                for stage, part in zip(self.stages, parts, strict=True)
            ],
            axis=1,
        )
        variance: NDArray[np.float64] = np.sum(sds @ self.noise_correlation * sds, axis=1)
        return variance

    def per_cost(self, worth: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what a unit of cost brings. Shapes (candidate,)."""
        return worth if self.cost_ms is None else worth / self.cost_ms
