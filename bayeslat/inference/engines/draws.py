"""What an engine returns for one stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.inference.engines.cores import on_all_cores
from bayeslat.model.collapsed import draw_effects
from bayeslat.model.collapsed_data import collapse
from bayeslat.model.problem import StageProblem

__all__ = ["StageDraws", "draw_all_effects", "mean_effects"]


@dataclass(frozen=True)
class StageDraws:
    """Draws of one stage's scales and effects.

    Attributes
    ----------
    scales : ndarray, shape (chain, draw, scale)
        Logs and logits, in the order of the stage's `ScaleLayout`.
    effects : ndarray, shape (chain, draw, node + 1, feature)
        Effect of each node of the group tree; the last node is the shared effect.
    statistics : mapping of str to ndarray, shape (chain, draw)
        What the engine says about each draw, by ArviZ's names.
    """

    scales: NDArray[np.float64]
    effects: NDArray[np.float64]
    statistics: Mapping[str, NDArray[np.float64]]

    @property
    def count(self) -> int:
        """Draws of all chains."""
        chains, draws = self.scales.shape[:2]
        return int(chains * draws)

    @property
    def flat_scales(self) -> NDArray[np.float64]:
        """The scales, one chain after the other. Shape (chain x draw, scale)."""
        return self.scales.reshape(-1, *self.scales.shape[2:])

    @property
    def flat_effects(self) -> NDArray[np.float64]:
        """The effects, one chain after the other. Shape (chain x draw, node + 1, feature)."""
        return self.effects.reshape(-1, *self.effects.shape[2:])


def draw_all_effects(
    problem: StageProblem, scales: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """Draw every effect given every draw of the scales. Shape (chain, draw, node + 1, feature)."""
    chains, draws, _ = scales.shape
    shape = (chains, draws, len(problem.tree.names) + 1, len(problem.features.names))
    standard = np.random.default_rng([seed, 1]).standard_normal(shape)
    data = collapse(problem)

    def drawn(chain: int) -> NDArray[np.float64]:
        effects: NDArray[np.float64] = draw_effects(scales[chain], standard[chain], data)
        return effects

    return np.array(on_all_cores(drawn, range(chains)))  # chains side by side


def mean_effects(problem: StageProblem, scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of every effect given the scales.

    Parameters
    ----------
    problem : StageProblem
    scales : ndarray, shape (scale,)

    Returns
    -------
    ndarray, shape (node + 1, feature)
    """
    shape = (1, len(problem.tree.names) + 1, len(problem.features.names))
    drawn = draw_effects(scales[None], np.zeros(shape), collapse(problem))
    mean: NDArray[np.float64] = drawn[0]
    return mean
