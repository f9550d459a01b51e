"""Whether a stage takes any time: what is known of it, and the rows that tell."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from bayeslat.features.hardware import Gpu
from bayeslat.features.hurdle_inputs import hurdle_inputs
from bayeslat.features.spec import Spec
from bayeslat.inference.rows.stage_rows import latency_of, least_ms
from bayeslat.inference.rows.strata import stratified_normal

__all__ = ["GroupHurdle", "HurdlePosterior", "HurdleRows", "hurdle_rows"]


@dataclass(frozen=True, eq=False)
class GroupHurdle:
    """A hurdle as one group has it.

    Attributes
    ----------
    effects : ndarray, shape (draw, hurdle_feature + 1)
        On the logit of P(above), features on [-1, 1] after a constant.
    below_ms : ndarray, shape (quantile,)
        Latency where nothing happened: quantiles at the middles of equally likely parts.
    below_rows : float
        How many rows that stands on, others' as far as they count: what happens there is a
        Dirichlet process of this concentration round it.
    """

    effects: NDArray[np.float64]
    below_ms: NDArray[np.float64]
    below_rows: float


@dataclass(frozen=True, eq=False)
class HurdlePosterior:
    """What decides whether a stage's latency is above its hurdle.

    logit P(above) = effects' (1, features on [-1, 1]).

    Attributes
    ----------
    low, high : ndarray, shape (hurdle_feature,)
        Range of the features over the rows that were fitted; beyond it they count as at its edge.
    spread : ndarray, shape (draw,)
        Sd between groups of each effect.
    effects : ndarray, shape (draw, group + 1, hurdle_feature + 1)
        Of each group; the last is what they share.
    below_ms : ndarray, shape (group + 1, quantile)
        Latency where nothing happened, as in `GroupHurdle`; the last is a new group's.
    below_rows : ndarray, shape (group + 1,)
        How many rows each stands on.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    spread: NDArray[np.float64]
    effects: NDArray[np.float64]
    below_ms: NDArray[np.float64]
    below_rows: NDArray[np.float64]

    def columns(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale features and put a constant before them. Shape (config, hurdle_feature + 1).

        Parameters
        ----------
        table : ndarray, shape (config, hurdle_feature)
        """
        half = np.where(self.high > self.low, 0.5 * (self.high - self.low), 1.0)
        scaled = (np.clip(table, self.low, self.high) - 0.5 * (self.low + self.high)) / half
        return np.column_stack([np.ones(len(table)), scaled])

    def chance(
        self, table: NDArray[np.float64], effects: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """P(above the hurdle). Shape (config, draw).

        Parameters
        ----------
        table : ndarray, shape (config, hurdle_feature)
        effects : ndarray, shape (draw, hurdle_feature + 1)
            Of the group.
        """
        chance: NDArray[np.float64] = expit(self.columns(table) @ effects.T)
        return chance

    def leaves(self, table: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which configs leave the range of the features. Shape (config,).

        Parameters
        ----------
        table : ndarray, shape (config, hurdle_feature)
        """
        margin = 1e-9 * (np.abs(self.low) + np.abs(self.high))
        inside = (table >= self.low - margin) & (table <= self.high + margin)
        return ~inside.all(axis=1)

    def of_group(self, group: int) -> GroupHurdle:
        """Return the hurdle of a fitted group."""
        return self._of(group, self.effects[:, group])

    def take(self, kept: NDArray[np.int64]) -> HurdlePosterior:
        """Return some of its draws, by their positions."""
        return replace(self, spread=self.spread[kept], effects=self.effects[kept])

    def draw_group(self, rng: np.random.Generator) -> GroupHurdle:
        """Draw the hurdle of a group without rows."""
        shared = self.effects[:, -1]
        effects = shared + self.spread[:, None] * stratified_normal(shared.shape, rng)
        return self._of(-1, effects)

    def _of(self, group: int, effects: NDArray[np.float64]) -> GroupHurdle:
        return GroupHurdle(effects, self.below_ms[group], float(self.below_rows[group]))


@dataclass(frozen=True)
class HurdleRows:
    """A group's rows, as far as they tell whether anything happened.

    Attributes
    ----------
    table : ndarray, shape (row, hurdle_feature)
    above : ndarray of bool, shape (row,)
    latency_ms : ndarray, shape (row,)
    """

    table: NDArray[np.float64]
    above: NDArray[np.bool_]
    latency_ms: NDArray[np.float64]


def hurdle_rows(spec: Spec, stage: str, frame: pd.DataFrame, gpu: Gpu) -> HurdleRows:
    """Take the rows of a GPU that hold a latency of a stage with a hurdle.

    Parameters
    ----------
    spec : Spec
    stage : str
    frame : DataFrame, one row a measurement
    gpu : Gpu

    Returns
    -------
    HurdleRows
    """
    latency = latency_of(spec, stage, frame)
    held = ~np.isnan(latency)
    above = latency[held] > least_ms(spec, stage)
    return HurdleRows(hurdle_inputs(spec, stage, frame[held], gpu), above, latency[held])
