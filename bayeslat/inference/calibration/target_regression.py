"""A calibrated GPU's rows as a regression round one point: gross errors out, outliers calmed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.design import Linearisation
from bayeslat.inference.calibration.condition import mean_given
from bayeslat.inference.calibration.even_rows import even_rows
from bayeslat.inference.calibration.marginal import Marginal, Rows
from bayeslat.inference.calibration.population import Population
from bayeslat.inference.calibration.scale_draws import find_mode
from bayeslat.inference.calibration.sound_rows import sound_rows
from bayeslat.inference.posteriors.posterior import StagePosterior
from bayeslat.inference.posteriors.walk import Trail
from bayeslat.inference.rows.pilot import Pilot
from bayeslat.inference.rows.repeats import row_weights, shared_variance
from bayeslat.inference.rows.stage_rows import StageRows
from bayeslat.model.student_t import pseudo_variance

__all__ = ["Solved", "TargetRegression"]


@dataclass(frozen=True)
class Solved:
    """A regression at one point.

    Attributes
    ----------
    calmed : Marginal
        Of the sound rows, without the pull of outliers.
    effects : ndarray, shape (feature,)
        Their mean.
    scores : ndarray, shape (score,)
        Of the scales.
    sound : ndarray of bool, shape (row,)
    ratio : ndarray, shape (row,)
        Latency over what the sound rows say it is.
    """

    calmed: Marginal
    effects: NDArray[np.float64]
    scores: NDArray[np.float64]
    sound: NDArray[np.bool_]
    ratio: NDArray[np.float64]


@dataclass(frozen=True)
class TargetRegression:
    """A stage's rows, to be linearised at one point after the other.

    Attributes
    ----------
    part : StagePosterior
    population : Population
    rows : StageRows
    trail : Trail
        Of their departures beyond the training range; the population has its columns, too.
    """

    part: StagePosterior
    population: Population
    rows: StageRows
    trail: Trail

    @property
    def inflation(self) -> float:
        """Noise of pseudo-values over the scale of the Student-t noise."""
        return float(np.sqrt(pseudo_variance(self.part.noise_dof)))

    def solve(
        self,
        point: Linearisation,
        departure: NDArray[np.float64],
        scores: NDArray[np.float64] | None,
    ) -> Solved:
        """Linearise, set gross errors aside, calm outliers, and find the mean of the effects.

        Parameters
        ----------
        point : Linearisation
        departure : ndarray, shape (term,)
        scores : ndarray, shape (score,), or None
            Of the scales; found anew without them.

        Returns
        -------
        Solved
        """
        part = self.part
        design, response = even_rows(part, point, departure, self.rows, self.trail)
        sound = sound_rows(self.population, self.inflation, design, response, self.rows.config)
        labels = np.unique(self.rows.config[sound], return_inverse=True)[1]
        once = row_weights(labels, 1.0)
        rows = Rows(design[sound], response[sound], once)
        kept = Marginal(self.population, rows, self.inflation)
        if scores is None:
            scores = find_mode(kept)
        effects, covariance, sd = mean_given(kept, scores)
        fitted = design @ effects
        error = response - fitted
        spread = part.noise_shape.spread(part.basis, self.rows.inputs.raw)
        leverage = once * np.sum(rows.design @ covariance * rows.design, axis=1)
        leverage = leverage / (sd * self.inflation) ** 2
        pilot = Pilot(effects, fitted[sound], error[sound], leverage, sd, 0.0)
        weights = row_weights(labels, shared_variance(pilot, labels))
        rows = Rows(rows.design, pilot.pseudo_values(part.noise_dof), weights)
        calmed = Marginal(self.population, rows, self.inflation)
        effects = mean_given(calmed, scores)[0]
        return Solved(calmed, effects, scores, sound, np.exp(error * spread))
