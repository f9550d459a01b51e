"""The noise of a run of several stages, as one distribution of its log."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from bayeslat.model.student_t import MOST_DOF, student_t_quantile

__all__ = [
    "RunNoise",
    "ScoreTable",
    "combine_noise",
    "noise_size",
    "normal_sd",
    "score_cubic",
    "score_table",
    "student_above",
]

_LEAST_DOF = 2.1
_BODY = 2.6  # the cubic is fitted to normal scores up to here, with weights that fall slowly
_FALL = 0.3
_BODY_SLOPE = 1.5  # of the cubic within the body: a + 1.5 b
_MOST_BEND = 0.1  # per scale: the distribution function stays increasing
_BEND_REACH = 4.0  # in scales: beyond, the bend stays as it is
_TINY = 1e-150
_LEVEL = 0.95


@dataclass(frozen=True)
class RunNoise:
    """Log of a run over its median, one distribution a config.

    It is x for which (x - shift - bend x^2) / scale is Student-t.

    Attributes
    ----------
    shift : ndarray, shape (config,)
    scale : ndarray, shape (config,)
    dof : ndarray, shape (config,)
    bend : ndarray, shape (config,)
    """

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    dof: NDArray[np.float64]
    bend: NDArray[np.float64]

    def p_above(self, log_ratio: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(log of a run over its median > log_ratio). Shapes (config, draw)."""
        shift, scale, dof, bend = (
            each[:, None] for each in (self.shift, self.scale, self.dof, self.bend)
        )
        reach = np.minimum(np.abs(log_ratio), _BEND_REACH * scale)
        return student_above((log_ratio - shift - bend * reach**2) / scale, dof)


@dataclass(frozen=True)
class ScoreTable:
    """Student-t values as cubics a z + b z^3 of normal scores z, in the body of the distribution.

    Attributes
    ----------
    inverse_dof : ndarray, shape (dof,)
        Increasing, evenly spaced.
    linear : ndarray, shape (dof,)
        a.
    cubic : ndarray, shape (dof,)
        b.
    """

    inverse_dof: NDArray[np.float64]
    linear: NDArray[np.float64]
    cubic: NDArray[np.float64]

    @property
    def slope(self) -> NDArray[np.float64]:
        """Coefficient of z where z^3 - 3 z is orthogonal to z: a + 3 b. Shape (dof,)."""
        return self.linear + 3.0 * self.cubic

    @property
    def tails(self) -> NDArray[np.float64]:
        """Weight of the cubic beside the slope, which rises with 1 / dof. Shape (dof,)."""
        return self.cubic / self.slope


@lru_cache(maxsize=1)
def score_table() -> ScoreTable:
    """Return the cubics over the degrees of freedom that noise may have."""
    inverse = np.linspace(1.0 / MOST_DOF, 1.0 / _LEAST_DOF, 96)
    score = np.linspace(0.0, _BODY, 101)[1:]
    weight = np.exp(-0.5 * _FALL * score**2)
    powers = np.stack([score, score**3], axis=1) * weight[:, None]
    values = stdtrit(1.0 / inverse[:, None], ndtr(score)) * weight
    linear, cubic = np.linalg.lstsq(powers, values.T)[0]
    return ScoreTable(inverse, linear, cubic)


def combine_noise(
    shares: NDArray[np.float64],
    noise_sd: NDArray[np.float64],
    dof: NDArray[np.float64],
    correlation: NDArray[np.float64] | None = None,
) -> RunNoise:
    """Combine the noise of stages into that of their sum.

    The log of the sum over its median is L = log sum_s w_s exp(sigma_s t_s). In normal scores each
    noise is nearly a z + b z^3, so the sum's slope and cubic along its main direction follow from
    the Hermite expansion; the Student-t with the same tails stands for it. To second order in the
    noise, L exceeds X = sum_s w_s sigma_s t_s by half the variance over the shares of sigma_s t_s:
    its mean given X is a shift and a bend. Over random sums, the distribution function is
    within 0.005 of L's in nine of ten for stages with noise of 5 %, and within 0.01 for 20 %; what
    is unsure of the stages smooths that further.

    Parameters
    ----------
    shares : ndarray, shape (stage, config)
        w: parts of the sum, which is 1 for each config.
    noise_sd : ndarray, shape (stage, config)
        sigma: scales of the stages' Student-t noise, in log latency.
    dof : ndarray, shape (stage,)
    correlation : ndarray, shape (stage, stage), optional
        Of the stages' normal scores, as a Gaussian copula; independent without one.

    Returns
    -------
    RunNoise
    """
    table = score_table()
    linear, cubic = (each[:, None] for each in score_cubic(dof))
    loading = shares * noise_sd
    slopes = loading * (linear + 3.0 * cubic)
    reach = slopes if correlation is None else np.tensordot(correlation, slopes, axes=1)
    size = np.sqrt(np.maximum(np.sum(slopes * reach, axis=0), _TINY))
    along = reach / size  # correlation of each stage's score with the main direction
    tails = np.sum(loading * cubic * along**3, axis=0) / size
    found = np.interp(tails, table.tails, table.inverse_dof)
    scale = size / np.interp(found, table.inverse_dof, table.slope)
    body = linear + _BODY_SLOPE * cubic
    spread = shares * (noise_sd * body) ** 2
    inside = np.sum(spread * along**2, axis=0)
    direction = np.maximum(np.sum(loading * body * along, axis=0) ** 2, _TINY)
    most = _MOST_BEND / scale
    return RunNoise(
        shift=0.5 * (np.sum(spread, axis=0) - inside),
        scale=scale,
        dof=1.0 / found,
        bend=np.clip(0.5 * (inside / direction - 1.0), -most, most),
    )


def noise_size(
    loading: NDArray[np.float64],
    dof: NDArray[np.float64],
    correlation: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Size of the noise of a sum, for comparing sums of the same stages.

    Parameters
    ----------
    loading : ndarray, shape (stage, ...)
        Share of each stage times the scale of its noise.
    dof : ndarray, shape (stage,)
    correlation : ndarray, shape (stage, stage), optional

    Returns
    -------
    ndarray, shape (...)
    """
    linear, cubic = score_cubic(dof)
    slopes = np.moveaxis(np.moveaxis(loading, 0, -1) * (linear + 3.0 * cubic), -1, 0)
    reach = slopes if correlation is None else np.tensordot(correlation, slopes, axes=1)
    size: NDArray[np.float64] = np.sqrt(np.maximum(np.sum(slopes * reach, axis=0), _TINY))
    return size


def normal_sd(noise_sd: NDArray[np.float64], dof: float) -> NDArray[np.float64]:
    """Return the sd of normal noise with the same 90 % interval.

    Parameters
    ----------
    noise_sd : ndarray, shape (...)
        Scale of Student-t noise.
    dof : float

    Returns
    -------
    ndarray, shape (...)
    """
    sd: NDArray[np.float64] = noise_sd * student_t_quantile(_LEVEL, dof) / ndtri(_LEVEL)
    return sd


def score_cubic(
    dof: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the coefficients a and b of Student-t noise, as in `ScoreTable`. Shapes (stage,).

    Parameters
    ----------
    dof : ndarray, shape (stage,)
    """
    table, inverse = score_table(), 1.0 / np.minimum(dof, MOST_DOF)
    linear = np.interp(inverse, table.inverse_dof, table.linear)
    return linear, np.interp(inverse, table.inverse_dof, table.cubic)


def student_above(
    value: NDArray[np.float64], dof: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return P(Student-t > value), within 2e-4; 1e-5 from 3 degrees of freedom.

    Parameters
    ----------
    value : ndarray
    dof : float or ndarray
        From 2.1 on.

    Returns
    -------
    ndarray, shape as `value`
    """
    above: NDArray[np.float64] = ndtr(-_normal_score(value, np.minimum(dof, MOST_DOF)))
    return above


def _normal_score(value: NDArray[np.float64], dof: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the normal score of Student-t values.

    Hill's expansion (1970, Algorithm 395), within 2e-4 of the probability from 2.1 degrees of
    freedom, 1e-5 from 3; many times faster than the incomplete beta function.
    """
    size = dof - 0.5
    terms = 48.0 * size**2
    square = size * np.log1p(value**2 / dof)
    correction = ((0.4 * square + 3.3) * square + 24.0) * square + 85.5
    correction = (square + 3.0 - correction / (0.8 * square**2 + 100.0 + terms)) / terms
    score: NDArray[np.float64] = np.copysign(np.sqrt(square) * (1.0 + correction), value)
    return score
