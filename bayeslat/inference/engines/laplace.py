"""The Laplace engine: importance draws round the mode of the scales, in seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bayeslat.inference.engines.cores import available_cores, on_all_cores
from bayeslat.inference.engines.diagnostics import MAX_PARETO_K
from bayeslat.inference.engines.draws import StageDraws, draw_all_effects
from bayeslat.inference.engines.mode import FEW_SCALES, Mode, find_mode
from bayeslat.model.collapsed import log_posterior
from bayeslat.model.collapsed_data import CollapsedData, collapse
from bayeslat.model.problem import StageProblem

__all__ = ["sample_laplace"]

_DOF = 6.0  # heavier tails than the target's, as importance sampling needs
_WIDER = 1.1
_LEAST_VARIANCE = 1e-8
_FEWEST_PROPOSALS = 800
_EACH_PAIR = 10  # of scales: as many are their variances and covariances
_MOST_PROPOSALS = 6400
_WIDER_EACH = 1.02  # of two hundred directions; more would cost more than the tails are worth
_SHARP = 4.0  # curvature, where that of the prior is 1


def sample_laplace(
    problem: StageProblem, seed: int, *, proposals: int | None = None, draws: int = 400
) -> StageDraws:
    """Approximate one stage: a multivariate Student-t, corrected by importance weights.

    A first round of proposals, round the mode, finds the mean and the covariance; the second is
    drawn round these (adaptive importance sampling: Oh and Berger 1992), and so is a third one, of
    twice as many points, where the second cannot be trusted. The weights are
    Pareto-smoothed (Vehtari, Simpson, Gelman, Yao and Gabry 2024), the draws resampled from
    them; the Pareto shape is returned as a statistic, since above 0.7 the approximation cannot be
    trusted.

    Parameters
    ----------
    problem : StageProblem
    seed : int
    proposals : int, optional
        Points weighted in each round; the more, the more scales there are, by default: a covariance
        is found from them.
    draws : int
        Points kept.

    Returns
    -------
    StageDraws
        A single chain, with `pareto_k` the same for every draw.
    """
    rng = np.random.default_rng([seed, 0])
    data = collapse(problem)
    if proposals is None:
        pairs = problem.layout.size * (problem.layout.size + 1) // 2
        proposals = min(max(_FEWEST_PROPOSALS, _EACH_PAIR * pairs), _MOST_PROPOSALS)
    proposed = _propose(find_mode(data), data, proposals, rng)
    for count in (proposals, 2 * proposals):
        proposed = _propose(proposed.fitted(), data, count, rng)
        if proposed.pareto_k <= MAX_PARETO_K:
            break
    kept = proposed.scores[_systematic(proposed.weights, draws, rng)]
    scales = problem.layout.from_scores(kept)[None]
    effects = draw_all_effects(problem, scales, seed)
    return StageDraws(scales, effects, {"pareto_k": np.full((1, draws), proposed.pareto_k)})


@dataclass(frozen=True)
class _Proposals:
    """Weighted points round a mode: standard ones, shape (proposal, scale); weights of sum 1."""

    around: Mode
    standard: NDArray[np.float64]
    weights: NDArray[np.float64]
    pareto_k: float

    @property
    def scores(self) -> NDArray[np.float64]:
        """The points. Shape (proposal, scale)."""
        return self.around.centre + self.standard @ self.around.root.T

    def fitted(self) -> Mode:
        """Mean and covariance of the points; the covariance a little widened, for the tails.

        Where there are too many scales for that, only in the directions that the prior has a say
        in; along the others the density is that of the Laplace approximation.
        """
        soft = _soft(self.around)
        if soft.all():
            middle, root = self._moments(self.scores)
            return Mode(middle, np.ascontiguousarray(root))
        along = self.around.root[:, soft]
        centre, turn = self._moments(self.standard[:, soft])
        root = self.around.root.copy()
        root[:, soft] = along @ turn
        return Mode(self.around.centre + along @ centre, root)

    def _moments(
        self, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the mean, and a root of the widened covariance."""
        centre = self.weights @ points
        away = points - centre
        covariance = (away.T * self.weights) @ away
        values, vectors = np.linalg.eigh(_WIDER * covariance)
        return centre, vectors * np.sqrt(np.maximum(values, _LEAST_VARIANCE))


def _soft(mode: Mode) -> NDArray[np.bool_]:
    """Where proposals have heavy tails: everywhere, but for sharp directions of many scales.

    A Student-t of a hundred dimensions and more is nowhere near the normal density that rows in
    plenty lead to (it is too wide or too narrow in all of them at once), and few hundred points
    tell nothing of so large a covariance. Shape (scale,).
    """
    if len(mode.centre) <= FEW_SCALES:
        return np.ones(len(mode.centre), dtype=bool)
    soft: NDArray[np.bool_] = np.sum(mode.root**2, axis=0) > 1.0 / _SHARP
    return soft


def _propose(
    around: Mode, data: CollapsedData, proposals: int, rng: np.random.Generator
) -> _Proposals:
    """Draw points from a Student-t and weight them by the posterior."""
    from arviz_stats.base import array_stats

    soft = _soft(around)
    standard = rng.standard_normal((proposals, len(around.centre)))
    standard[:, soft] /= np.sqrt(rng.chisquare(_DOF, (proposals, 1)) / _DOF)
    standard[:, ~soft] *= _WIDER_EACH
    target = _heights(standard, around, data)
    log_density = _student_t(standard[:, soft], _DOF)
    log_density -= 0.5 * np.sum((standard[:, ~soft] / _WIDER_EACH) ** 2, axis=1)
    log_weights = np.where(np.isfinite(target), target - log_density, -np.inf)
    smoothed, shape = array_stats.psislw(-log_weights)  # it takes log likelihoods, and negates
    weights = np.exp(smoothed - smoothed.max())
    return _Proposals(around, standard, weights / weights.sum(), float(shape))


def _heights(
    standard: NDArray[np.float64], around: Mode, data: CollapsedData
) -> NDArray[np.float64]:
    """Log posterior at each point, on all cores: the compiled function holds no lock."""

    def heights_of(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([log_posterior(z, around.centre, around.root, data)[0] for z in points])

    return np.concatenate(on_all_cores(heights_of, np.array_split(standard, available_cores())))


def _student_t(standard: NDArray[np.float64], dof: float) -> NDArray[np.float64]:
    """Log density of a standard multivariate Student-t, but for a constant. Shape (draw,)."""
    size = standard.shape[1]
    constant = float(gammaln((dof + size) / 2) - gammaln(dof / 2))
    kernel: NDArray[np.float64] = np.log1p(np.sum(standard**2, axis=1) / dof)
    density: NDArray[np.float64] = constant - 0.5 * (dof + size) * kernel
    return density


def _systematic(
    weights: NDArray[np.float64], draws: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Resample with the least added noise, in random order. Shape (draw,)."""
    places = (np.arange(draws) + rng.uniform()) / draws
    chosen = np.searchsorted(np.cumsum(weights), places).clip(max=len(weights) - 1)
    return rng.permutation(chosen)
