"""Outliers in a pass: the far ones are calmed, the impossible ones are gross errors."""

from __future__ import annotations

from math import inf, isfinite

import numpy as np
from numpy.typing import NDArray

from bayeslat.inference.calibration.sound_rows import IMPOSSIBLE
from bayeslat.inference.fitting.sound_donor_rows import LEAST_RATIO
from bayeslat.inference.rows.settled import SettledStage

__all__ = ["Outliers"]

type Array = NDArray[np.float64]


class Outliers:
    """What becomes of rows that are far from the settled pilot of their group.

    Parameters
    ----------
    point : SettledStage
    hurdle : bool
        Whether the stage has one: where requests wait for others, one always waits longer, and no
        row is a gross error.
    """

    def __init__(self, point: SettledStage, *, hurdle: bool) -> None:
        self._heavy = isfinite(point.noise_dof)
        # In the unit of `noise_units`.
        impossible = IMPOSSIBLE / np.sqrt(point.noise_dof) if self._heavy else IMPOSSIBLE
        self._far = inf if hurdle else float(impossible)

    def gross(
        self, residual: Array, whiten: Array, beyond: NDArray[np.bool_] | None
    ) -> NDArray[np.bool_] | None:
        """Tell the rows that the pilot makes impossible, as `sound_stage` does; None for none.

        Parameters
        ----------
        residual : ndarray, shape (row,)
            In units of the noise.
        whiten : ndarray, shape (row,)
            One over that unit, in log latency.
        beyond : ndarray of bool, shape (row,), or None
            Rows beyond the training range, of which the pilot knows little: none of them is one.
        """
        if max(residual.max(), -residual.min()) < self._far:
            return None
        off = np.abs(residual)
        gross = (off >= self._far) & (off >= np.log(LEAST_RATIO) * whiten) & (off < inf)
        if beyond is not None:
            gross &= ~beyond
        return gross if gross.any() else None

    def calm(self, residual: Array) -> None:
        """Make of residuals what Huber's pseudo-values add to fitted values.

        That is psi(residual) / E[psi'], as `pseudo_values` has it, up to a factor.
        """
        if self._heavy:
            weight = np.square(residual)
            weight += 1.0
            residual /= weight
