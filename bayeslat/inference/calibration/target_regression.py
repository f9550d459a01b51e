"""A calibrated GPU's rows as a regression round one point: gross errors out, outliers calmed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.design import Linearisation
from bayeslat.inference.calibration.condition import mean_given
from bayeslat.inference.calibration.even_rows import even_rows
from bayeslat.inference.calibration.heavy_tails import MOST_ROWS, HeavyTails
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

_REWEIGHTINGS = 20  # at most
_SETTLED = 0.02  # by which no row's precision changes, which is 1 on average


@dataclass(frozen=True)
class Solved:
    """A regression at one point.

    Attributes
    ----------
    calmed : Marginal
        Of the sound rows, without the pull of outliers.
    heavy : HeavyTails or None
        The sound rows themselves; None if their noise is normal, or they are too many.
    effects : ndarray, shape (feature,)
        Their mean.
    scores : ndarray, shape (score,)
        Of the scales.
    sound : ndarray of bool, shape (row,)
    ratio : ndarray, shape (row,)
        Latency over what the sound rows say it is.
    """

    calmed: Marginal
    heavy: HeavyTails | None
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
        rows = Rows(design[sound], response[sound], row_weights(labels, 1.0))
        pilot, scores = self._pilot(rows, scores)
        weights = row_weights(labels, shared_variance(pilot, labels))
        calm = Rows(rows.design, pilot.pseudo_values(part.noise_dof), weights)
        calmed = Marginal(self.population, calm, self.inflation)
        effects = mean_given(calmed, scores)[0]
        heavy = None
        if np.isfinite(part.noise_dof) and len(labels) <= MOST_ROWS:
            heavy = HeavyTails(replace(rows, weights=weights), part.noise_dof)
        spread = part.noise_shape.spread(part.basis, self.rows.inputs.raw)
        ratio = np.exp((response - design @ pilot.effect) * spread)
        return Solved(calmed, heavy, effects, scores, sound, ratio)

    def _pilot(
        self, rows: Rows, scores: NDArray[np.float64] | None
    ) -> tuple[Pilot, NDArray[np.float64]]:
        """Fit rows whose noise is Student-t, each weighted by the precision that it seems to have.

        Expectation and maximisation over the precisions (Lange, Little and Taylor 1989, section 3;
        with uncertain effects: Tipping and Lawrence 2005, Neurocomputing 69), with rows that count
        for their precision, which is soon there (Liu, Rubin and Wu 1998, Biometrika 85).

        Returns
        -------
        pilot : Pilot
        scores : ndarray, shape (score,)
        """
        dof, precision = self.part.noise_dof, np.ones(len(rows.response))
        found = np.zeros(len(self.population.factors) + 1) if scores is None else scores
        for _ in range(_REWEIGHTINGS):
            weights = rows.weights * precision
            weighted = Marginal(self.population, replace(rows, weights=weights), 1.0)
            found = find_mode(weighted, found) if scores is None else found
            effects, covariance, sd = mean_given(weighted, found)
            fitted = rows.design @ effects
            unsure = np.sum(rows.design @ covariance * rows.design, axis=1)
            if np.isinf(dof):
                break
            square = (rows.response - fitted) ** 2 + unsure
            before, precision = precision, (dof + 1) / (dof + square / sd**2)
            if np.abs(precision - before).max() < _SETTLED:
                break
        leverage = weights * unsure / sd**2
        return Pilot(effects, fitted, rows.response - fitted, leverage, sd, 0.0), found
