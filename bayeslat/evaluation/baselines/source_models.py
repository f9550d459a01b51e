"""The source GPU's model of each stage, by each way of regression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayeslat.evaluation.baselines.curves import CurveModel, Learner
from bayeslat.evaluation.baselines.knob_features import KnobFeatures
from bayeslat.evaluation.baselines.linear import Linear
from bayeslat.evaluation.baselines.neural import Neural
from bayeslat.evaluation.baselines.observations import Observations
from bayeslat.evaluation.baselines.polynomial import SOURCE_POLYNOMIAL
from bayeslat.evaluation.metrics import mape
from bayeslat.features.spec import Spec

__all__ = ["BY_STAGE", "LEARNERS", "TOTAL_ONLY", "SourceModel", "fit_source", "validation_error"]

TOTAL_ONLY = "total_only"
"""The source model without stages."""

LEARNERS: Mapping[str, Learner] = {
    "linear": Linear(),
    "polynomial": SOURCE_POLYNOMIAL,
    "neural": Neural(),
    TOTAL_ONLY: SOURCE_POLYNOMIAL,
}
"""Source models by name."""

BY_STAGE = tuple(name for name in LEARNERS if name != TOTAL_ONLY)
"""Those with a model for each stage."""

_VALIDATED = 0.25


@dataclass(frozen=True)
class SourceModel:
    """What predicts the source.

    Attributes
    ----------
    models : mapping of stage to CurveModel
        One for every stage, or one for `total` alone.
    note : str
        Which it is, and why.
    """

    models: Mapping[str, CurveModel]
    note: str


def fit_source(
    learner: Learner,
    observed: Mapping[str, Observations],
    features: Mapping[str, KnobFeatures],
    *,
    seed: int,
) -> Mapping[str, CurveModel]:
    """Fit each stage (or the total) of the source.

    Parameters
    ----------
    learner : Learner
    observed : mapping of stage to Observations
    features : mapping of stage to KnobFeatures
    seed : int
    """
    return {
        name: CurveModel(
            features[name],
            learner.fit(features[name].columns(each.configs), each.log_ms, seed=seed),
        )
        for name, each in observed.items()
    }


def validation_error(
    learner: Learner,
    observed: Mapping[str, Observations],
    features: Mapping[str, KnobFeatures],
    spec: Spec,
    *,
    seed: int,
) -> float:
    """Mean over stages of the MAPE on a quarter of the source's configs, fitted to the others.

    Repeats of a config stay together.

    Parameters
    ----------
    learner : Learner
    observed : mapping of stage to Observations
    features : mapping of stage to KnobFeatures
    spec : Spec
    seed : int
    """
    errors = []
    for name, each in observed.items():
        held = _held_out(each.configs, spec, seed)
        kept = Observations(each.configs[~held], each.ms[~held])
        model = fit_source(learner, {name: kept}, features, seed=seed)[name]
        errors.append(mape(model.ms(each.configs[held]), each.ms[held]))
    return float(np.mean(errors))


def _held_out(configs: pd.DataFrame, spec: Spec, seed: int) -> np.ndarray:
    """Choose the rows of a quarter of the configs. Shape (row,)."""
    number = configs.groupby(list(spec.knobs), sort=False).ngroup().to_numpy()
    order = np.random.default_rng(seed).permutation(number.max() + 1)
    return np.isin(number, order[: max(1, round(_VALIDATED * len(order)))])
