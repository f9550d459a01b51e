"""Predicting the latency of configurations on a GPU, from a posterior."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.predict_stage import Of, predict_stage
from bayeslat.decisions.prediction import Prediction
from bayeslat.decisions.thin_draws import thin_draws
from bayeslat.errors import InputError
from bayeslat.features.hardware import Gpu
from bayeslat.inference.posterior import PosteriorData

__all__ = ["Of", "predict"]

_DRAWS = 512


def predict(
    data: PosteriorData,
    configs: pd.DataFrame,
    gpu: Gpu,
    *,
    stack: str | None = None,
    of: Of = "run",
    seed: int = 0,
) -> Prediction:
    """Predict every stage and the total.

    The total is the sum over stages of `times` x latency, draw by draw; stages are independent
    given the GPU.

    Parameters
    ----------
    data : PosteriorData
    configs : DataFrame, one row a config
        With the spec's knobs. A column `stack` takes precedence over the argument. Where the fit
        knew tasks, a row of another task, or of none, is as wide as tasks differ.
    gpu : Gpu
        Fitted, or known by its data sheet alone.
    stack : str, optional
        The GPU's only one by default.
    of : {"run", "typical"}
        One further measured run, with its noise, or the run-to-run median.
    seed : int

    Returns
    -------
    Prediction

    Raises
    ------
    InputError
        If a knob is missing or not a finite number, or `of` is neither value.
    SpecError
        If a physics term has no value at some row.
    """
    if of not in ("run", "typical"):
        raise InputError(f"of is {of!r}; it must be run or typical")
    _check_knobs(data, configs)
    data = thin_draws(data, _DRAWS)
    blocks = _by_stack(configs, stack)
    parts = [_predict_block(data, configs.iloc[rows], gpu, name, of, seed) for rows, name in blocks]
    if len(parts) == 1:
        return parts[0]
    return Prediction.interleave(configs, [rows for rows, _ in blocks], parts)


def _predict_block(
    data: PosteriorData, configs: pd.DataFrame, gpu: Gpu, stack: str | None, of: Of, seed: int
) -> Prediction:
    """Predict configs of a single stack."""
    parts = {
        stage: predict_stage(data, stage, configs, gpu, stack=stack, of=of, seed=seed)
        for stage in data.stages
    }
    zero_shot = any(new for _, new in parts.values())
    stages = {stage: part for stage, (part, _) in parts.items()}
    return Prediction(configs, stages, np.full(len(configs), zero_shot))


def _by_stack(
    configs: pd.DataFrame, stack: str | None
) -> list[tuple[NDArray[np.int64], str | None]]:
    """Positions of the rows of each stack; the argument serves rows without one."""
    if "stack" not in configs:
        return [(np.arange(len(configs)), stack)]
    names = configs["stack"].astype(object).where(configs["stack"].notna(), stack)
    found = list(dict.fromkeys(names))
    return [(np.flatnonzero([name == each for name in names]), each) for each in found]


def _check_knobs(data: PosteriorData, configs: pd.DataFrame) -> None:
    """Refuse configurations without rows, or without a finite number in each knob."""
    problems = []
    if not len(configs):
        problems.append("there is no row; give at least one configuration")
    for knob in data.spec.knobs:
        if knob not in configs:
            problems.append(f"knob {knob!r} is missing; add the column")
            continue
        numbers = pd.to_numeric(configs[knob], errors="coerce").to_numpy(float, na_value=np.nan)
        if (bad := ~np.isfinite(numbers)).any():
            problems.append(
                f"knob {knob!r} is not a finite number at row {bad.argmax() + 1}"
                + (f" and {bad.sum() - 1} more" if bad.sum() > 1 else "")
            )
    if problems:
        raise InputError("configurations: " + "; ".join(problems))
