"""Where runs scatter more: how the noise of a stage depends on the configuration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.residual import ResidualBasis

__all__ = ["NoiseShape", "noise_columns"]


@dataclass(frozen=True, eq=False)
class NoiseShape:
    """The noise of a run over that of a typical one: log s(x) = slopes' (psi(x) - centre).

    It holds what repeats scatter by and what the physics and the smooth correction miss, which is
    more where kernels switch or many sequences share a step.

    Attributes
    ----------
    slopes : ndarray, shape (noise_column,)
        In log noise per unit of `noise_columns`.
    centre : ndarray, shape (noise_column,)
        Mean of the columns over the training rows.
    """

    slopes: NDArray[np.float64]
    centre: NDArray[np.float64]

    def spread(self, basis: ResidualBasis, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return s at some configurations.

        Parameters
        ----------
        basis : ResidualBasis
        raw : ndarray, shape (config, coordinate)

        Returns
        -------
        ndarray, shape (config,)
            Ones where the noise has no shape.
        """
        factor: NDArray[np.float64] = np.exp(
            (noise_columns(basis, raw) - self.centre) @ self.slopes
        )
        return factor


def noise_columns(basis: ResidualBasis, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the residual features on [-1, 1], and their squares.

    Parameters
    ----------
    basis : ResidualBasis
    raw : ndarray, shape (config, coordinate)

    Returns
    -------
    ndarray, shape (config, noise_column)
        Beyond the training range, the values at its edge.
    """
    scaled = basis.scaled(raw)
    return np.concatenate([scaled, scaled**2], axis=1)
