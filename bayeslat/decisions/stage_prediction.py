"""Draws of the latency of one stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.hurdle_prediction import HurdlePrediction

__all__ = ["StagePrediction"]


@dataclass(frozen=True, eq=False)
class StagePrediction:
    """Draws of one stage's latency.

    Attributes
    ----------
    typical_ms : ndarray, shape (config, draw)
        Run-to-run median of one run of the stage; of those that take time, if it has a hurdle.
    log_noise : ndarray, shape (config or 1, draw)
        Log of what is predicted over that: of one run, or of the configuration's median run.
    noise_sd : ndarray, shape (config or 1, draw)
        Scale of that noise, which all runs of a draw share.
    times : ndarray, shape (config,)
        How often the stage runs in one request.
    excess : ndarray, shape (config, coordinate)
        How far beyond the training range, as in `ResidualBasis.excess`; 1 for a task that was
        not fitted, and where the range of the hurdle, or of a knob that only says how often the
        stage runs, is left. Where a stage does not run, or hardly ever takes time, the range of the
        runs that do does not matter.
    coordinates : tuple of str
    noise_dof : float
        Degrees of freedom of the noise's Student-t; infinite for Gaussian noise.
    hurdle : HurdlePrediction or None
        Whether a run takes any time; None where it always does.
    """

    typical_ms: NDArray[np.float64]
    log_noise: NDArray[np.float64]
    noise_sd: NDArray[np.float64]
    times: NDArray[np.float64]
    excess: NDArray[np.float64]
    coordinates: tuple[str, ...]
    noise_dof: float = np.inf
    hurdle: HurdlePrediction | None = None

    @cached_property
    def noise(self) -> NDArray[np.float64]:
        """A run over the median. Shape (config or 1, draw)."""
        factor: NDArray[np.float64] = np.exp(self.log_noise)
        return factor

    @property
    def taking_ms(self) -> NDArray[np.float64]:
        """Draws of one run that takes time; of any run, without a hurdle. Shape (config, draw)."""
        return self.typical_ms * self.noise

    @cached_property
    def run_ms(self) -> NDArray[np.float64]:
        """Draws of one run. Shape (config, draw)."""
        if self.hurdle is None:
            return self.taking_ms
        return self.hurdle.runs(self.taking_ms)

    @cached_property
    def median_ms(self) -> NDArray[np.float64]:
        """Run-to-run median of each draw, hurdle included. Shape (config, draw)."""
        if self.hurdle is None:
            return self.typical_ms
        return self.hurdle.medians(self.typical_ms, self.noise_sd, self.noise_dof)

    def moments_ms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean in ms and variance in ms^2 of a run given each draw. Shapes (config, draw)."""
        first = self.typical_ms * self.noise.mean(axis=1, keepdims=True)
        second = self.typical_ms**2 * (self.noise**2).mean(axis=1, keepdims=True)
        if self.hurdle is not None:
            chance, (mean, square) = self.hurdle.chance, self.hurdle.below_moments
            first = chance * first + (1.0 - chance) * mean
            second = chance * second + (1.0 - chance) * square
        return first, np.maximum(second - first**2, 0.0)

    def rows(self, rows: slice) -> StagePrediction:
        """Return the prediction of some of the configs."""
        noise = slice(None) if len(self.log_noise) == 1 else rows
        return StagePrediction(
            typical_ms=self.typical_ms[rows],
            log_noise=self.log_noise[noise],
            noise_sd=self.noise_sd[noise],
            times=self.times[rows],
            excess=self.excess[rows],
            coordinates=self.coordinates,
            noise_dof=self.noise_dof,
            hurdle=None if self.hurdle is None else self.hurdle.rows(rows),
        )
