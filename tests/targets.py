"""GPUs of the donors' family and others, simulated from a posterior: targets with known truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.design import StageInputs, linearise, stage_inputs
from bayeslat.features.gpu import Gpu
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.posteriors.posterior import PosteriorData, StagePosterior
from bayeslat.inference.posteriors.thin_draws import thin_draws

type Array = NDArray[np.float64]
type Bend = Callable[[pd.DataFrame, StageInputs], StageInputs]

DRAWS = 512


@dataclass(frozen=True)
class Truth:
    """A target's parameters and latencies.

    Attributes
    ----------
    effects : mapping of stage to ndarray, shape (feature,)
    typical_ms : mapping of stage to ndarray, shape (config,)
        Run-to-run medians.
    frame : DataFrame, one row a config
        One run each, as a trace.
    """

    effects: Mapping[str, Array]
    typical_ms: Mapping[str, Array]
    frame: pd.DataFrame

    def total_ms(self, data: PosteriorData) -> Array:
        """Sum over stages of times x median. Shape (config,)."""
        columns = {name: self.frame[name].to_numpy() for name in data.spec.knobs}
        total = np.zeros(len(self.frame))
        for stage, part in data.spec.stages.items():
            total += (
                np.asarray(data.spec.evaluate(part.times, columns, {})) * self.typical_ms[stage]
            )
        return total


def stranger() -> Gpu:
    """Return a GPU without relatives among the donors."""
    return load_hardware().resolve("l40s")


def draw_targets(
    data: PosteriorData,
    configs: pd.DataFrame,
    count: int,
    seed: int,
    *,
    stretch: float = 1.0,
    bends: Mapping[str, Bend] | None = None,
) -> Iterator[Truth]:
    """Draw GPUs without relatives from the donors' posterior, and a run of each config on them.

    Efficiencies, correction and noise are Normal round a draw of what GPUs share, with that draw's
    scales: written out from the model's definition. The physics is not linearised.

    Parameters
    ----------
    data : PosteriorData
    configs : DataFrame, one row a config
    count, seed : int
    stretch : float
        By which the efficiencies depart farther than the donors'.
    bends : mapping of stage to callable (configs, inputs), optional
        Another scaling law, in stages of that name.
    """
    gpu, data = stranger(), thin_draws(data, DRAWS)
    rng = np.random.default_rng(seed)
    inputs = {stage: stage_inputs(data.spec, stage, configs, gpu) for stage in data.stages}
    reference = {
        stage: stage_inputs(data.spec, stage, data.reference, gpu) for stage in data.stages
    }
    bent = dict(inputs)
    for stage, bend in (bends or {}).items():
        bent[stage] = bend(configs, inputs[stage])
    for _ in range(count):
        effects, typical = {}, {}
        frame = configs.assign(gpu=gpu.key)
        for stage, part in data.stages.items():
            at = int(rng.integers(len(part.scales)))
            effects[stage] = _draw_effects(part, at, stretch, rng)
            theta = part.shared_efficiency + effects[stage][: part.terms]
            point = linearise(theta, reference[stage], part.basis)
            log_ms, design = point.design(inputs[stage], part.basis)
            if bent[stage] is not inputs[stage]:
                log_ms = point.design(bent[stage], part.basis)[0]
            typical_log = log_ms + design[:, part.terms :] @ effects[stage][part.terms :]
            typical[stage] = np.exp(typical_log)
            sd = part.noise_sd()[at] * np.exp(0.35 * rng.standard_normal())
            noise = sd * part.noise_shape.spread(part.basis, inputs[stage].raw)
            dof = part.noise_dof
            shape = len(configs)
            error = rng.standard_normal(shape) if np.isinf(dof) else rng.standard_t(dof, shape)
            frame[data.spec.stages[stage].column] = np.exp(typical_log + noise * error)
        yield Truth(effects, typical, frame)


def _draw_effects(part: StagePosterior, at: int, stretch: float, rng: np.random.Generator) -> Array:
    """Draw a GPU's effects, given one draw of the scales. Shape (feature,)."""
    sd = part.problem.offset_sd(part.scales)[at]
    departure = sd * rng.standard_normal(len(sd))
    departure[: part.terms] *= stretch
    effects: Array = part.effects[at, -1] + departure
    return effects
