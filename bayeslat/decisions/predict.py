"""Predicting the latency of configurations on a GPU, from a posterior."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from bayeslat.decisions.evidence import find_evidence
from bayeslat.decisions.group_view import GroupView, view_group
from bayeslat.decisions.prediction import Prediction, StagePrediction
from bayeslat.errors import InputError
from bayeslat.features.admit import admit_configs
from bayeslat.features.design import stage_inputs
from bayeslat.features.hardware import Gpu
from bayeslat.inference.posterior import PosteriorData, StagePosterior

__all__ = ["Of", "predict"]

type Of = Literal["run", "typical"]

_DRAWS = 512
_UNKNOWN_SLOPE_SD = 0.2  # beyond the range, per half range of it, where no residual was fitted
_MOST_LOG_MS = 50.0  # far beyond the range: as good as any latency, and its square still a number


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

    Log latencies are linear in the effects round the GPU's linearisation point. The total is the
    sum over stages of `times` x latency, draw by draw; stages are independent given the GPU.

    Parameters
    ----------
    data : PosteriorData
    configs : DataFrame, one row a config
        With the spec's knobs. A column `stack` takes precedence over the argument.
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
    TraceError
        With every config that the spec cannot take, by file and row.
    InputError
        If `of` is neither value, or the name of the stack is empty.
    HardwareError
        If the GPU has no value of a hardware field that the spec needs.
    """
    if of not in ("run", "typical"):
        raise InputError(f"of is {of!r}; it must be run or typical")
    if stack is not None and not stack.strip():
        raise InputError(f"stack is {stack!r}; name one of the traces, or leave it out")
    admit_configs(configs, data.spec, [gpu])
    blocks = _by_stack(configs, stack)
    parts = [_predict_block(data, configs.iloc[rows], gpu, name, of, seed) for rows, name in blocks]
    if len(parts) == 1:
        return parts[0]
    return Prediction.interleave(configs, [rows for rows, _ in blocks], parts)


def _predict_block(
    data: PosteriorData, configs: pd.DataFrame, gpu: Gpu, stack: str | None, of: Of, seed: int
) -> Prediction:
    """Predict configs of a single stack."""
    stages = {}
    for number, (stage, part) in enumerate(data.stages.items()):
        rng = np.random.default_rng([seed, number])
        view = view_group(data, stage, gpu, stack, rng)
        stages[stage] = _predict_stage(data, stage, part, configs, gpu, view, of, rng)
    evidence = find_evidence(data, gpu.key, stack)
    return Prediction(configs, stages, np.full(len(configs), evidence.zero_shot), (evidence,))


def _predict_stage(
    data: PosteriorData,
    stage: str,
    part: StagePosterior,
    configs: pd.DataFrame,
    gpu: Gpu,
    view: GroupView,
    of: Of,
    rng: np.random.Generator,
) -> StagePrediction:
    """Draw one stage's latency at every config."""
    draws = len(view.effects)
    kept = np.linspace(0, draws - 1, min(draws, _DRAWS)).round().astype(int)
    inputs = stage_inputs(data.spec, stage, configs, gpu)
    log_ms, design = view.point.design(inputs, part.basis)
    centre = log_ms - design[:, : part.terms] @ view.departure
    drawn = centre[:, None] + design @ view.effects[kept].T
    excess = part.basis.excess(inputs.raw)
    # The slopes come last, and the noise is drawn whether or not it is used: a config's draws do
    # not depend on the other configs, nor on what is asked of it.
    noise_sd = view.noise_sd[kept]
    noise = noise_sd * _stratified_noise(len(kept), part.noise_dof, rng)
    out = np.flatnonzero(excess.any(axis=1))
    if len(out):
        slopes = _slope_sd(part)[kept] * rng.standard_normal((excess.shape[1], len(kept)))
        drawn[out] = np.clip(drawn[out] + excess[out] @ slopes, -_MOST_LOG_MS, _MOST_LOG_MS)
    columns = {name: configs[name].to_numpy() for name in data.spec.knobs}
    times = data.spec.evaluate(data.spec.stages[stage].times, columns, gpu.fields())
    return StagePrediction(
        typical_ms=np.exp(drawn),
        log_noise=noise[None, :] * (of == "run"),
        noise_sd=noise_sd[None, :],
        times=np.broadcast_to(times, len(configs)),
        excess=excess,
        coordinates=part.basis.features + part.basis.watched,
    )


def _slope_sd(part: StagePosterior) -> NDArray[np.float64]:
    """How steeply a smooth correction may go on beyond the training range. Shape (draw,)."""
    layout = part.problem.layout
    if "residual" not in layout.shared_names:
        return np.full(len(part.scales), _UNKNOWN_SLOPE_SD)
    own = part.scales[:, layout.offset_names.index("residual")]
    shared = part.scales[:, len(layout.offset_names) + layout.shared_names.index("residual")]
    sd: NDArray[np.float64] = np.sqrt(np.exp(2 * own) + np.exp(2 * shared))
    return sd


def _stratified_noise(draws: int, dof: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Student-t noise, one value from each of as many equally likely strata, shuffled.

    The same values serve every config: each config's distribution is what it would be with
    independent ones, with less Monte Carlo error, and configs compare smoothly.
    """
    places = (rng.permutation(draws) + 0.5) / draws
    # A t with a million degrees of freedom is normal to six digits.
    noise: NDArray[np.float64] = stdtrit(min(dof, 1e6), places)
    return noise


def _by_stack(
    configs: pd.DataFrame, stack: str | None
) -> list[tuple[NDArray[np.int64], str | None]]:
    """Positions of the rows of each stack; the argument serves rows without one."""
    if "stack" not in configs:
        return [(np.arange(len(configs)), stack)]
    names = configs["stack"].astype(object).where(configs["stack"].notna(), stack)
    found = list(dict.fromkeys(names))
    return [(np.flatnonzero([name == each for name in names]), each) for each in found]
