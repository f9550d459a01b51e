"""A group that is fitted, and windows of new rows: as they were, or with a coefficient moved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.model.simulate import draw_parameters, simulate
from bayeslat.model.simulation_parameters import SimulationParameters
from tests.posteriors import GPUS, make_configs, small_spec

NOISE = 0.03
FITTED, WINDOW = 200, 200


@dataclass(frozen=True)
class Scene:
    """A posterior, and the truth behind it.

    Attributes
    ----------
    data : PosteriorData
        Of `FITTED` configurations a GPU.
    configs : DataFrame, one row a config
        Of the fit, then of the windows: a simulation spans its smooth correction over all.
    truth : SimulationParameters
    """

    data: PosteriorData
    configs: pd.DataFrame
    truth: SimulationParameters

    def window(
        self,
        number: int,
        *,
        gpu: str = GPUS[0],
        rows: int = WINDOW,
        shift: float = 0.0,
        stage: str = "decode",
        term: str = "memory",
        start: int = 0,
        noise: float = 1.0,
    ) -> pd.DataFrame:
        """Draw new rows of a GPU.

        Parameters
        ----------
        number : int
            Chooses configurations and noise.
        gpu : str
        rows : int
        shift : float
            Of a coefficient: 0.05 is 5 % slower.
        stage, term : str
        start : int
            First row that is shifted.
        noise : float
            Factor of the noise, in all stages and rows.
        """
        seed = [10_000, number]
        at = np.random.default_rng(seed).permutation(np.arange(FITTED, len(self.configs)))[:rows]
        before = self._draw(_with_noise(self.truth, noise), gpu, number).iloc[at]
        moved = _with_noise(_with_shift(self.truth, gpu, stage, term, shift), noise)
        after = self._draw(moved, gpu, number).iloc[at]
        drawn = pd.concat([before.iloc[:start], after.iloc[start:]], ignore_index=True)
        return drawn.drop(columns=["config_id", "repeat"], errors="ignore")

    def _draw(self, truth: SimulationParameters, gpu: str, number: int) -> pd.DataFrame:
        seed = 20_000 + number
        return simulate(small_spec(), self.configs, [gpu], parameters=truth, seed=seed)


@lru_cache(maxsize=4)
def make_scene(seed: int = 0, noise: float = NOISE) -> Scene:
    """Draw a truth and fit it."""
    spec, configs = small_spec(), make_configs(FITTED + 2 * WINDOW, seed)
    truth = draw_parameters(spec, GPUS, configs=configs, seed=seed)
    truth = _set_noise(truth, noise)
    frame = simulate(spec, configs, GPUS, parameters=truth, seed=seed)
    fitted = frame[frame.groupby("gpu").cumcount() < FITTED].reset_index(drop=True)
    return Scene(fit_posterior(spec, fitted, engine="laplace", seed=seed), configs, truth)


def _set_noise(truth: SimulationParameters, noise: float) -> SimulationParameters:
    stages = {
        name: stage.model_copy(update={"noise": dict.fromkeys(stage.noise, noise)})
        for name, stage in truth.stages.items()
    }
    return SimulationParameters(stages=stages)


def _with_noise(truth: SimulationParameters, factor: float) -> SimulationParameters:
    stages = {
        name: stage.model_copy(update={"noise": {g: factor * s for g, s in stage.noise.items()}})
        for name, stage in truth.stages.items()
    }
    return SimulationParameters(stages=stages)


def _with_shift(
    truth: SimulationParameters, gpu: str, stage: str, term: str, shift: float
) -> SimulationParameters:
    part = truth.stages[stage]
    own = {**part.offset[gpu], term: part.offset[gpu][term] + float(np.log1p(shift))}
    moved = part.model_copy(update={"offset": {**part.offset, gpu: own}})
    return SimulationParameters(stages={**truth.stages, stage: moved})
