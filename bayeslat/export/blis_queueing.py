"""The queueing delay of a request at one point: the posterior mean of what a server has.

What the simulator computes from exported numbers, computed here by the code that predicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.group_view import GroupView, view_group
from bayeslat.decisions.hurdle_prediction import HurdlePrediction
from bayeslat.decisions.predict_stage import held_design
from bayeslat.errors import InputError
from bayeslat.export.blis_queueing_stage import QUEUEING, STATE
from bayeslat.features.design import StageInputs, physics_ms, stage_inputs
from bayeslat.features.gpu import Gpu
from bayeslat.features.hold_knobs import hold_knobs
from bayeslat.features.hurdle_inputs import hurdle_inputs
from bayeslat.inference.hurdles.hurdle import GroupHurdle, HurdlePosterior
from bayeslat.inference.posteriors.posterior import PosteriorData, StagePosterior
from bayeslat.inference.posteriors.thin_draws import DRAWS, thin_draws

__all__ = ["QueueingDelay", "QueueingPoint", "point_queueing"]

# Where each physics term is a server's own factor.
_UNIT_STATE = {**dict.fromkeys(STATE, 0.0), "prefill_tokens": 1.0, "kv_usage": 1.0}


@dataclass(frozen=True)
class QueueingDelay:
    """What is computed of requests, with its features; times in ms.

    Attributes
    ----------
    hurdle : ndarray, shape (config, hurdle_feature + 1)
    terms_ms : ndarray, shape (config, term)
    residual : ndarray, shape (config, residual_feature)
        Shares of the terms, those at the edge of the training range, and the polynomial.
    chance : ndarray, shape (config,)
        P(the request waits at all).
    typical_ms : ndarray, shape (config,)
        Median of the requests that wait.
    delay_ms : ndarray, shape (config,)
        Median of all.
    """

    hurdle: NDArray[np.float64]
    terms_ms: NDArray[np.float64]
    residual: NDArray[np.float64]
    chance: NDArray[np.float64]
    typical_ms: NDArray[np.float64]
    delay_ms: NDArray[np.float64]


@dataclass(frozen=True)
class QueueingPoint:
    """The queueing delay of a server of a model on a GPU.

    Attributes
    ----------
    data : PosteriorData
    gpu : Gpu
    knobs : mapping of str to float
        Of the model and the server.
    view : GroupView
        With a single draw: the mean of the effects, on log latency, and of the log of the noise.
    hurdle : GroupHurdle
        With the mean of its effects, on the logit.
    stage_hurdle : HurdlePosterior
    """

    data: PosteriorData
    gpu: Gpu
    knobs: Mapping[str, float]
    view: GroupView
    hurdle: GroupHurdle
    stage_hurdle: HurdlePosterior

    @property
    def part(self) -> StagePosterior:
        """The stage's posterior."""
        return self.data.stages[QUEUEING]

    def units_ms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What the server makes of each physics term: of it, and at the edge of the training range.

        Returns
        -------
        unit_ms, held_unit_ms : ndarray, shape (term,)
            Of a prompt token, a place, a full cache and a step.
        """
        one = self._configs(pd.DataFrame([_UNIT_STATE]))
        server = [knob for knob in self.data.spec.knobs if knob not in STATE]
        held = hold_knobs(one, self.data.reference, server)
        terms_ms = [self._inputs(configs).terms_ms[0] for configs in (one, held)]
        return terms_ms[0], terms_ms[1]

    def states(self, count: int, seed: int) -> pd.DataFrame:
        """Draw states that requests may meet, some a little beyond the training range.

        Parameters
        ----------
        count : int
        seed : int

        Returns
        -------
        DataFrame, one row a config
            With the columns `STATE`. In every other one nobody waits.
        """
        rng = np.random.default_rng([seed, 17])
        most = self.data.reference[list(STATE)].max()
        drawn = 1.2 * most.to_numpy() * rng.random((count, len(STATE))) ** 3
        states = pd.DataFrame(drawn, columns=list(STATE))
        tokens = ["running", "waiting", "waiting_prompt_tokens", "prompt_tokens", "prefill_tokens"]
        states[tokens] = states[tokens].round()
        states["kv_usage"] = rng.random(count)
        states.loc[::2, ["waiting", "waiting_prompt_tokens"]] = 0.0
        return states.assign(prompt_tokens=states["prompt_tokens"].clip(lower=1.0))

    def delay(self, states: pd.DataFrame) -> QueueingDelay:
        """Compute the delay of requests.

        Parameters
        ----------
        states : DataFrame, one row a config
            With the columns `STATE`.

        Returns
        -------
        QueueingDelay
        """
        configs, part, view = self._configs(states), self.part, self.view
        inputs = self._inputs(configs)
        centre, design, held = held_design(self.data, QUEUEING, configs, self.gpu, view, inputs)
        typical_ms = np.exp(centre[:, None] + design @ view.effects.T)
        table = hurdle_inputs(self.data.spec, QUEUEING, configs, self.gpu)
        chance = self.stage_hurdle.chance(table, self.hurdle.effects)
        hurdle = HurdlePrediction(
            chance=chance,
            rank=np.zeros(1),
            quantiles_ms=self.hurdle.below_ms[None],
            group=np.zeros(len(configs), dtype=int),
            below_rows=np.array([self.hurdle.below_rows]),
        )
        noise_sd = part.noise_shape.spread(part.basis, held.raw)[:, None] * view.noise_sd
        delay_ms = hurdle.medians(typical_ms, noise_sd, part.noise_dof)
        shares = [
            physics_ms(each.terms_ms, view.point.log_efficiency)[1] for each in (inputs, held)
        ]
        return QueueingDelay(
            hurdle=self.stage_hurdle.columns(table),
            terms_ms=inputs.terms_ms,
            residual=np.column_stack([*shares, part.basis.columns(held.raw)]),
            chance=chance[:, 0],
            typical_ms=typical_ms[:, 0],
            delay_ms=delay_ms[:, 0],
        )

    def _configs(self, states: pd.DataFrame) -> pd.DataFrame:
        """Return the states with all other knobs of the spec."""
        row = self.data.reference.iloc[[0] * len(states)].reset_index(drop=True)
        return row.assign(**self.knobs).assign(**{name: states[name].to_numpy() for name in STATE})

    def _inputs(self, configs: pd.DataFrame) -> StageInputs:
        return stage_inputs(self.data.spec, QUEUEING, configs, self.gpu)


def point_queueing(
    data: PosteriorData, gpu: Gpu, stack: str, knobs: Mapping[str, float], seed: int
) -> QueueingPoint:
    """Take the posterior mean of what a server has in the stage `queueing`.

    Parameters
    ----------
    data : PosteriorData
        For which `why_left_out` has no reason.
    gpu : Gpu
    stack : str
    knobs : mapping of str to float
        Of the model and the server.
    seed : int
        For GPUs and stacks without rows, whose effects are drawn.

    Returns
    -------
    QueueingPoint

    Raises
    ------
    InputError
        If the stage has no hurdle.
    """
    thin = thin_draws(data, DRAWS)
    stream = np.random.default_rng([seed, list(data.stages).index(QUEUEING)])
    view = view_group(thin, QUEUEING, gpu, stack, stream)
    stage_hurdle, hurdle = thin.stages[QUEUEING].hurdle, view.hurdle
    if stage_hurdle is None or hurdle is None:
        raise InputError(f"stage {QUEUEING!r} has no hurdle; fit models/vllm.toml")
    point = replace(
        view,
        effects=view.effects.mean(axis=0, keepdims=True),
        noise_sd=np.exp(np.log(view.noise_sd).mean(keepdims=True)),
    )
    own = replace(hurdle, effects=hurdle.effects.mean(axis=0, keepdims=True))
    return QueueingPoint(thin, gpu, knobs, point, own, stage_hurdle)
