"""Methods `mole_rd` and `mole_rd_relative`: rules tell the regime, and each has its own ridge.

Idea 2 of the notes on serving (a mixture of linear experts with regime detection): the first rule
that holds tells whether a request meets an idle, a normal or a full server, and whether a step is
prefill or decode; each regime is linear in a few features of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.baselines.donors import LEAST_OWN_ROWS, Donors
from bayeslat.evaluation.baselines.observations import observe_target
from bayeslat.evaluation.baselines.point_estimator import PointEstimator
from bayeslat.evaluation.baselines.ridge_fit import RidgeFit, fit_ridge
from bayeslat.evaluation.baselines.serving_features import (
    QUEUEING,
    STEP,
    evaluate_features,
    missing_inputs,
    serving_symbols,
)
from bayeslat.features.expressions import Expression
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["LEAST_REGIME_ROWS", "REGIMES", "MoleRd", "Regime", "split_regimes"]

type Values = NDArray[np.float64]

LEAST_REGIME_ROWS = 30
"""A regime with fewer rows is predicted by the ridge on all rows and all regimes' features."""

_ALPHAS = (0.01, 0.1, 1.0, 10.0)


@dataclass(frozen=True)
class Regime:
    """A regime of a server, in the notes' symbols.

    Attributes
    ----------
    name : str
    rule : Expression
        Holds where it is not 0; an earlier regime comes first.
    features : tuple of Expression
    """

    name: str
    rule: Expression
    features: tuple[Expression, ...]


def _regime(name: str, rule: str, *features: str) -> Regime:
    return Regime(name, Expression(rule), tuple(map(Expression, features)))


REGIMES: Mapping[str, tuple[Regime, ...]] = MappingProxyType(
    {
        QUEUEING: (
            _regime("low", "q <= 2", "1", "prompt / 1000", "prefix_miss"),
            _regime("high", "kv > 0.85", "1 / (1 - kv + 0.01)", "q * kv", "prompt * kv"),
            _regime("preempt", "n_preempt > 0", "q", "n_preempt", "preempted_tokens / 1000", "kv"),
            _regime(
                "normal", "1",
                "q", "q * avg_service", "prompt / max_batch_tokens", "running / max_seqs",
            ),
        ),
        STEP: (
            _regime(
                "prefill", "r > 0.7",
                "pf * fpt / tflops", "pf ** 2 / (tp * tflops)", "n_prefill",
                "n_experts * pf / tflops",
            ),
            _regime(
                "decode", "r < 0.3",
                "dc * kv_per_token / bw", "dc * running", "dc * n_experts / bw",
                "offload * transfer_time",
            ),
            _regime(
                "saturation", "kv > 0.9",
                "batch_tokens / bw", "frag * batch_tokens", "evictions * block_transfer",
                "1 / (1 - kv + 0.01)",
            ),
            _regime(
                "mixed", "1",
                "pf / tflops", "dc / bw", "pf * dc / batch_tokens ** 2", "running * kv",
            ),
        ),
    }
)  # fmt: skip
"""Of each stage, in the order of the rules; the last holds everywhere."""


def split_regimes(regimes: Sequence[Regime], symbols: Mapping[str, Values]) -> NDArray[np.int64]:
    """Tell which regime each row is in: the position of the first whose rule holds.

    Parameters
    ----------
    regimes : sequence of Regime
    symbols : mapping of symbol to ndarray, shape (row,)

    Returns
    -------
    ndarray of int, shape (row,)
    """
    rules = evaluate_features([regime.rule for regime in regimes], symbols)
    return np.argmax(rules != 0.0, axis=1)


@dataclass(frozen=True)
class Experts:
    """The fitted regimes of a stage.

    Attributes
    ----------
    stage : str
    ridges : mapping of regime to RidgeFit
        Of those with enough rows.
    pooled : RidgeFit
        Of all rows, on the features of all regimes.
    floor_ms : float
        Predictions below it are raised to it.
    """

    stage: str
    ridges: Mapping[str, RidgeFit]
    pooled: RidgeFit
    floor_ms: float


@dataclass(frozen=True)
class MoleModel:
    """A stage on a GPU.

    Attributes
    ----------
    spec : Spec
    gpu : Gpu
    experts : Experts
    """

    spec: Spec
    gpu: Gpu
    experts: Experts

    def ms(self, configs: pd.DataFrame) -> Values:
        """Latency in ms. Shape (config,)."""
        experts = self.experts
        symbols = serving_symbols(self.spec, configs, self.gpu)
        latency = experts.pooled(evaluate_features(_all_features(experts.stage), symbols))
        for regime, rows in _rows_of_regimes(experts.stage, symbols):
            if regime.name in experts.ridges:
                columns = evaluate_features(regime.features, symbols)
                latency[rows] = experts.ridges[regime.name](columns[rows])
        return np.maximum(latency, experts.floor_ms)


@dataclass(frozen=True)
class TrainedMoleRd:
    """See `MoleRd`."""

    method: MoleRd
    spec: Spec
    donors: Mapping[str, Experts]
    note: str

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> PointEstimator:
        """Fit the target's own rows where there are enough; else take the donors' experts."""
        method = self.method
        observed = observe_target(method, self.spec, rows, gpu, self.donors)
        models = {}
        for name, each in observed.items():
            experts = self.donors[name]
            if len(each.ms) >= LEAST_OWN_ROWS:
                symbols = serving_symbols(self.spec, each.configs, gpu)
                experts = method.fit(name, symbols, each.ms)
            models[name] = MoleModel(self.spec, gpu, experts)
        return PointEstimator(self.spec, gpu, models)


@dataclass(frozen=True)
class MoleRd:
    """Ridge in ms on features as they are, regime by regime; of all donors' rows.

    Nothing is carried over but the data sheet in the features: with fewer than `LEAST_OWN_ROWS`
    rows of a stage, the donors' experts predict the target. The notes' gate of boosted trees in
    place of the rules is not here.

    Attributes
    ----------
    name : str
    relative : bool
        Whether squares of relative errors are added up, and not of ms, as published.
    least_rows : int
    """

    name: str
    relative: bool = False
    least_rows: int = 0

    def lacks(self, spec: Spec) -> str:
        """What a spec has to have and does not."""
        return missing_inputs(spec)

    def train(self, donors: Donors) -> TrainedMoleRd:
        """Fit the experts to all donors."""
        experts = {name: self._fit_donors(name, donors) for name in donors.spec.stages}
        return TrainedMoleRd(
            self, donors.spec, experts, f"donors' experts below {LEAST_OWN_ROWS} rows of a stage"
        )

    def fit(self, stage: str, symbols: Mapping[str, Values], ms: Values) -> Experts:
        """Fit the rows of one stage.

        Parameters
        ----------
        stage : str
        symbols : mapping of symbol to ndarray, shape (row,)
        ms : ndarray, shape (row,)
        """
        weights = ms**-2.0 if self.relative else np.ones(len(ms))
        pooled = evaluate_features(_all_features(stage), symbols)
        ridges = {}
        for regime, rows in _rows_of_regimes(stage, symbols):
            if np.count_nonzero(rows) >= LEAST_REGIME_ROWS:
                columns = evaluate_features(regime.features, symbols)[rows]
                ridges[regime.name] = fit_ridge(columns, ms[rows], _ALPHAS, weights[rows])
        return Experts(
            stage, ridges, fit_ridge(pooled, ms, _ALPHAS, weights), 0.5 * float(ms.min())
        )

    def _fit_donors(self, stage: str, donors: Donors) -> Experts:
        observed = donors.of_stage(stage, self.name)
        tables = [serving_symbols(donors.spec, each.configs, gpu) for gpu, each in observed]
        symbols = {name: np.concatenate([each[name] for each in tables]) for name in tables[0]}
        return self.fit(stage, symbols, np.concatenate([each.ms for _, each in observed]))


def _all_features(stage: str) -> tuple[Expression, ...]:
    """Return the features of all regimes, each once."""
    return tuple(dict.fromkeys(each for regime in REGIMES[stage] for each in regime.features))


def _rows_of_regimes(
    stage: str, symbols: Mapping[str, Values]
) -> Iterator[tuple[Regime, NDArray[np.bool_]]]:
    """Yield each regime and which rows are in it. Shape (row,)."""
    places = split_regimes(REGIMES[stage], symbols)
    for place, regime in enumerate(REGIMES[stage]):
        yield regime, places == place
