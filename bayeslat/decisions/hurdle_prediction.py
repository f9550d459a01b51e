"""Whether a stage takes any time at some configurations, and how long where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayeslat.model.student_t import student_t_quantile

__all__ = ["HurdlePrediction"]


@dataclass(frozen=True, eq=False)
class HurdlePrediction:
    """The hurdle of one stage, draw by draw.

    Attributes
    ----------
    chance : ndarray, shape (config, draw)
        P(latency above the hurdle).
    rank : ndarray, shape (draw,) or (config, draw)
        Where each draw's run stands among runs like it, 0 to 1: below `chance`, it takes time.
    quantiles_ms : ndarray, shape (group, quantile)
        Of the latency of a run that takes none, at the middles of equally likely parts.
    group : ndarray of int, shape (config,)
        Whose quantiles are each config's.
    below_rows : ndarray, shape (group,)
        How many rows the quantiles stand on.
    """

    chance: NDArray[np.float64]
    rank: NDArray[np.float64]
    quantiles_ms: NDArray[np.float64]
    group: NDArray[np.int64]
    below_rows: NDArray[np.float64]

    @property
    def below_ms(self) -> NDArray[np.float64]:
        """Median latency of a run that takes no time. Shape (config, 1)."""
        medians = np.asarray(np.median(self.quantiles_ms, axis=1), dtype=float)
        return medians[self.group, None]

    @property
    def below_moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean in ms and mean square in ms^2 of a run that takes no time. Shapes (config, 1)."""
        means = self.quantiles_ms.mean(axis=1, keepdims=True)
        squares = np.mean(self.quantiles_ms**2, axis=1, keepdims=True)
        return means[self.group], squares[self.group]

    @property
    def _levels(self) -> NDArray[np.float64]:
        count = self.quantiles_ms.shape[1]
        levels: NDArray[np.float64] = (np.arange(count) + 0.5) / count
        return levels

    def p_below_exceeds(self, budget_ms: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(a run that takes no time is over the budget). Shape as the budget's.

        Parameters
        ----------
        budget_ms : ndarray, shape (config, 1) or (config, draw)
            Of any sign.
        """
        exceeds = np.empty(np.shape(budget_ms))
        for number, quantiles_ms in enumerate(self.quantiles_ms):
            own = self.group == number
            within = np.interp(budget_ms[own], quantiles_ms, self._levels, left=0.0, right=1.0)
            exceeds[own] = 1.0 - within
        return exceeds

    def runs(self, above_ms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draw runs.

        Parameters
        ----------
        above_ms : ndarray, shape (config, draw)
            Draws of runs that take time.

        Returns
        -------
        ndarray, shape (config, draw)
        """
        rank = np.broadcast_to(self.rank, self.chance.shape)
        left = (rank - self.chance) / np.maximum(1.0 - self.chance, 1e-300)
        below = np.empty(left.shape)
        for number, quantiles_ms in enumerate(self.quantiles_ms):
            own = self.group == number
            below[own] = np.interp(left[own], self._levels, quantiles_ms)
        return np.where(rank < self.chance, above_ms, below)

    def redrawn(self, rng: np.random.Generator) -> HurdlePrediction:
        """Let each draw have its own distribution of the runs that take no time.

        What a group's rows leave open of it, the quantiles, which are its mean, do not show: over
        the parts between them, a Dirichlet process of the concentration `below_rows` has Dirichlet
        weights (Ferguson 1973, section 1). Whether a run takes time stays as it is.

        Parameters
        ----------
        rng : Generator

        Returns
        -------
        HurdlePrediction
        """
        parts = self.quantiles_ms.shape[1]
        even = np.linspace(0.0, 1.0, parts + 1)
        rank = np.array(np.broadcast_to(self.rank, self.chance.shape))
        for number, rows in enumerate(self.below_rows):
            own = np.flatnonzero(self.group == number)
            weights = rng.dirichlet(np.full(parts, rows / parts), rank.shape[1])
            ends = np.pad(np.cumsum(weights, axis=1), ((0, 0), (1, 0)))
            for draw, end in enumerate(ends):
                chance, at = self.chance[own, draw], rank[own, draw]
                left = np.maximum(1.0 - chance, 1e-300)
                moved = chance + left * np.interp((at - chance) / left, end, even)
                rank[own, draw] = np.where(at < chance, at, moved)
        return replace(self, rank=rank)

    def medians(
        self, above_ms: NDArray[np.float64], noise_sd: NDArray[np.float64], dof: float
    ) -> NDArray[np.float64]:
        """Return the run-to-run median of each draw.

        Where more than half of the runs take time, a low quantile of those.

        Parameters
        ----------
        above_ms : ndarray, shape (config, draw)
            Median of the runs that take time.
        noise_sd : ndarray, shape (config or 1, draw)
            Scale of their Student-t noise, in log latency.
        dof : float

        Returns
        -------
        ndarray, shape (config, draw)
        """
        level = np.clip(1.0 - 0.5 / np.maximum(self.chance, 1e-9), 1e-9, 0.5)
        above = above_ms * np.exp(noise_sd * student_t_quantile(level, dof))
        return np.where(self.chance > 0.5, above, self.below_ms)

    def rows(self, rows: slice | NDArray[np.int64]) -> HurdlePrediction:
        """Return the hurdle at some of the configs."""
        rank = self.rank if self.rank.ndim == 1 else self.rank[rows]
        return replace(self, chance=self.chance[rows], rank=rank, group=self.group[rows])

    @classmethod
    def interleave(
        cls, parts: Sequence[HurdlePrediction | None], order: NDArray[np.int64]
    ) -> HurdlePrediction | None:
        """Put the hurdles of some of the configs each into the order of all.

        Parameters
        ----------
        parts : sequence of HurdlePrediction, or of None
        order : ndarray of int, shape (config,)

        Returns
        -------
        HurdlePrediction or None
            None where the stage has none.
        """
        held = [part for part in parts if part is not None]
        if not held:
            return None
        chance = np.concatenate([part.chance for part in held])[order]
        ranks = [np.broadcast_to(part.rank, part.chance.shape) for part in held]
        rank = np.concatenate(ranks)[order]
        quantiles_ms = np.concatenate([part.quantiles_ms for part in held])
        first = np.cumsum([0, *(len(part.quantiles_ms) for part in held)])
        groups = [part.group + start for part, start in zip(held, first, strict=False)]
        rows = np.concatenate([part.below_rows for part in held])
        return cls(chance, rank, quantiles_ms, np.concatenate(groups)[order], rows)
