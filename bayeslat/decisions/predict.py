"""Predicting the latency of configurations on a GPU, from a posterior."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayeslat.decisions.evidence import find_evidence
from bayeslat.decisions.noise_order import noise_orders
from bayeslat.decisions.predict_stage import Of, predict_stage
from bayeslat.decisions.prediction import Prediction
from bayeslat.errors import InputError
from bayeslat.features.admit import admit_configs
from bayeslat.features.hardware import Gpu
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.thin_draws import DRAWS, thin_draws
from bayeslat.traces.names import wrong_stack
from bayeslat.traces.row_stacks import split_by_stack

__all__ = ["Of", "predict", "predict_group", "wrong_of"]


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

    The total is the sum over stages of `times` x latency, draw by draw. What is unsure of a GPU's
    stages is independent; the noise of a run strikes them together as far as the fit saw it do so.

    Parameters
    ----------
    data : PosteriorData
    configs : DataFrame, one row a config
        With the spec's knobs. A column `stack` takes precedence over the argument. Where the fit
        knew tasks, a row of another task, or of none, is as wide as tasks differ.
    gpu : Gpu
        Fitted, or known by its data sheet alone.
    stack : str, optional
        That of the GPU's rows that name none, or its only one, by default.
    of : {"run", "typical"}
        One further measured run, with its noise, or the run-to-run median.
    seed : int

    Returns
    -------
    Prediction

    Raises
    ------
    TraceError
        With every config that the spec cannot take, by file and row.
    InputError
        If `of` is neither value, or the stack is no name.
    HardwareError
        If the GPU has no value of a hardware field that the spec needs.
    """
    if problems := [problem for problem in (wrong_of(of), wrong_stack(stack)) if problem]:
        raise InputError("; ".join(problems))
    configs = admit_configs(configs, data.spec, [gpu], stack)
    data = thin_draws(data, DRAWS)
    blocks = split_by_stack(configs, stack)
    parts = [
        predict_group(data, configs.iloc[rows], gpu, name, of, seed)
        for name, rows in blocks.items()
    ]
    if len(parts) == 1:
        return parts[0]
    return Prediction.interleave(configs, list(blocks.values()), parts)


def wrong_of(of: object) -> str:
    """Say that `of` is neither value; nothing if it is one."""
    return "" if of in ("run", "typical") else f"of is {of!r}; it must be run or typical"


def predict_group(
    data: PosteriorData, configs: pd.DataFrame, gpu: Gpu, stack: str | None, of: Of, seed: int
) -> Prediction:
    """Predict configs of a single stack.

    Parameters
    ----------
    data : PosteriorData
        With as many draws as the prediction shall have.
    configs : DataFrame, one row a config
        Checked.
    gpu : Gpu
    stack : str or None
        Empty for the rows of a GPU that name none.
    of : {"run", "typical"}
    seed : int

    Returns
    -------
    Prediction
    """
    draws = len(next(iter(data.stages.values())).scales)
    orders = noise_orders(data, draws, seed)
    stages = {
        stage: predict_stage(
            data, stage, configs, gpu, stack=stack, of=of, seed=seed, order=orders.get(stage)
        )
        for stage in data.stages
    }
    absent = [name for name in data.spec.stack_columns if name not in configs]
    evidence = find_evidence(data, gpu.key, stack, absent)
    correlation = None
    if data.noise_correlation is not None:
        names = list(data.stages)
        correlation = pd.DataFrame(data.noise_correlation, index=names, columns=names)
    rests_on = np.zeros(len(configs), dtype=np.int64)
    return Prediction(configs, stages, (evidence,), rests_on, correlation, of)
