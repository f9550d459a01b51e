"""Which rows of a target are no gross errors, and what makes a row one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayeslat.inference.calibration.condition import mean_given
from bayeslat.inference.calibration.marginal import Marginal, Rows
from bayeslat.inference.calibration.population import Population
from bayeslat.inference.rows.repeats import row_weights

__all__ = ["IMPOSSIBLE", "LEAST_LEFT", "MOST_IMPOSSIBLE", "sound_rows", "spare_usual"]

IMPOSSIBLE = 15.0  # noise sds (a target's: of the donors), from what the other rows say
MOST_IMPOSSIBLE = 0.25  # part of the rows
_GROSS = 8.0  # times as far off as the other rows
_LEAST_RATIO = 2.0  # from what the other rows say: less is a slow run, as others may be
_SHORT = 0.99  # of being impossible
LEAST_LEFT = 1e-9  # of a row's own error, where the fit follows it


def sound_rows(
    population: Population,
    inflation: float,
    design: NDArray[np.float64],
    response: NDArray[np.float64],
    labels: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Leave out the rows that the others make impossible, the worst first.

    Calming starts from a fit of the others: one gross error among few rows would widen the noise
    until it looks usual (deletion diagnostics: Cook and Weisberg 1982, section 2.2). Where all rows
    scatter more than the donors' do, it is the noise that is wide.

    Parameters
    ----------
    population : Population
    inflation : float
        Of the noise, for outliers that are calmed.
    design : ndarray, shape (row, feature)
    response : ndarray, shape (row,)
    labels : ndarray of int, shape (row,)
        Repeats of a configuration have the same number.

    Returns
    -------
    ndarray of bool, shape (row,)
    """

    def deletion_error(sound: NDArray[np.bool_]) -> NDArray[np.float64]:
        """How far each row is from what the other sound rows say, in the donors' noise sds."""
        rows = Rows(design[sound], response[sound], row_weights(labels[sound], 1.0))
        typical = np.zeros(len(population.factors) + 1)
        effects, covariance, sd = mean_given(Marginal(population, rows, inflation), typical)
        sd *= inflation
        unsure = np.sum(design @ covariance * design, axis=1) / sd**2
        unsure[sound] *= -rows.weights
        own = np.sqrt(np.maximum(1.0 + unsure, LEAST_LEFT))
        left = np.abs(response - design @ effects)
        usual = left / np.minimum(own**2, 1.0) < np.log(_LEAST_RATIO)  # from a fit without it
        error: NDArray[np.float64] = left / (sd * own)
        return np.where(usual, np.minimum(error, _SHORT * IMPOSSIBLE), error)

    sound = np.ones(len(response), dtype=bool)
    error = deletion_error(sound)
    for _ in range(int(MOST_IMPOSSIBLE * len(response))):
        if np.max(error, where=sound, initial=0.0) < IMPOSSIBLE:
            break
        sound[np.where(sound, error, 0.0).argmax()] = False
        error = deletion_error(sound)
    return spare_usual(sound, error)


def spare_usual(sound: NDArray[np.bool_], error: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Take back the rows that are not far off beside the others: where all scatter, none is gross.

    Parameters
    ----------
    sound : ndarray of bool, shape (row,)
    error : ndarray, shape (row,)
        How far off each is, in noise sds.

    Returns
    -------
    ndarray of bool, shape (row,)
        The sound rows, with those that were taken back.
    """
    usual = np.sqrt(np.mean(error[sound] ** 2)) if sound.any() else 0.0
    return sound | (error < _GROSS * max(usual, 1.0))
