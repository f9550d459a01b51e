"""A posterior's step time in the coefficients of the BLIS simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

from bayeslat.decisions.group_view import view_group
from bayeslat.decisions.predict_stage import predict_stage
from bayeslat.errors import InputError
from bayeslat.export.blis_basis import (
    BASES,
    BATCH,
    BlisModel,
    count_as_blis,
    step_bases_us,
)
from bayeslat.features.gpu import Gpu
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.thin_draws import DRAWS, thin_draws

__all__ = ["STAGE", "BlisCoefficients", "fit_coefficients"]

STAGE = "step"

# Which basis each physics term of the spec is, or is a part of.
_BASIS_OF: Mapping[str, str] = {
    **{name: name for name in BASES},
    "experts": "weights",
    "expert_layers": "per_layer",
    "prefix_caching": "per_step",
    "chunked_prefill": "per_step",
    "cpu_offload": "per_step",
}
_TIE = 1e-3  # weight of the posterior's own split, where batches cannot tell coefficients apart


@dataclass(frozen=True)
class BlisCoefficients:
    """Coefficients, and how well they stand for the posterior.

    Attributes
    ----------
    mean : ndarray, shape (basis,)
        Of the posterior-mean step time.
    draws : ndarray, shape (draw, basis)
        Of each draw's.
    batches : DataFrame, one row a batch
        Where they were fitted.
    predicted_us, dot_us, counted_us : ndarray, shape (batch,)
        Step time of the posterior mean with the time between steps, of the coefficients, and of
        the coefficients where prompts attend to what BLIS counts.
    """

    mean: NDArray[np.float64]
    draws: NDArray[np.float64]
    batches: pd.DataFrame
    predicted_us: NDArray[np.float64]
    dot_us: NDArray[np.float64]
    counted_us: NDArray[np.float64]

    @property
    def departure(self) -> NDArray[np.float64]:
        """Relative departure of the dot product from the posterior mean. Shape (batch,)."""
        departure: NDArray[np.float64] = self.dot_us / self.predicted_us - 1.0
        return departure


def fit_coefficients(
    data: PosteriorData,
    gpu: Gpu,
    stack: str | None,
    model: BlisModel,
    batches: pd.DataFrame,
    *,
    whole_prompts: bool = False,
    between_us: float = 0.0,
    seed: int = 0,
) -> BlisCoefficients:
    """Project the step time of the posterior onto BLIS's bases.

    Non-negative least squares of relative errors over batches. Where the spec's terms are the bases
    and no smooth correction is added, this is a change of units; a correction is taken up as far as
    coefficients can, and `departure` says what is left. Coefficients that no batch can tell apart
    (a time per layer and one per step, of a single model) are split as the posterior splits them.

    Parameters
    ----------
    data : PosteriorData
        With a stage `step`.
    gpu : Gpu
    stack : str or None
    model : BlisModel
    batches : DataFrame, one row a batch
        With all knobs of the spec.
    whole_prompts : bool
        Fit to the attention of prompts as BLIS counts it (`count_as_blis`), and not as it is.
    between_us : float
        Time between steps, which is added to each.
    seed : int

    Returns
    -------
    BlisCoefficients

    Raises
    ------
    InputError
        If the spec has no stage `step` with the columns of a batch among its knobs.
    """
    _check(data)
    thin = thin_draws(data, DRAWS)
    predicted = predict_stage(
        thin, STAGE, batches, gpu, stack=stack, of="typical", seed=seed
    ).typical_ms
    counted = count_as_blis(batches)
    bases = step_bases_us(model, counted if whole_prompts else batches)
    guesses = _guesses_us(thin, gpu, stack, model, seed)
    guesses[:, BASES.index("per_step")] += between_us
    step_us = 1000.0 * predicted + between_us
    mean_us = step_us.mean(axis=1)
    mean = _project(bases, mean_us, guesses.mean(axis=0))
    draws = np.stack(
        [_project(bases, each, guess) for each, guess in zip(step_us.T, guesses, strict=True)]
    )
    return BlisCoefficients(
        mean=mean,
        draws=draws,
        batches=counted if whole_prompts else batches,
        predicted_us=mean_us,
        dot_us=bases @ mean,
        counted_us=step_bases_us(model, counted) @ mean,
    )


def _check(data: PosteriorData) -> None:
    lacking = [name for name in BATCH if name not in data.spec.knobs]
    if STAGE not in data.stages or lacking:
        raise InputError(
            f"spec {data.spec.name!r} has no stage {STAGE!r} over the knobs {', '.join(BATCH)}; "
            "fit models/vllm.toml to traces of a server"
        )


def _guesses_us(
    data: PosteriorData, gpu: Gpu, stack: str | None, model: BlisModel, seed: int
) -> NDArray[np.float64]:
    """What the posterior's own coefficients come to in BLIS's units. Shape (draw, basis)."""
    part = data.stages[STAGE]
    stream = np.random.default_rng([seed, list(data.stages).index(STAGE)])
    view = view_group(data, STAGE, gpu, stack, stream)
    slowdown = np.exp(part.shared_efficiency + view.effects[:, : part.terms])
    names = list(data.spec.stages[STAGE].physics)
    guesses = np.zeros((len(slowdown), len(BASES)))
    per_unit = _units_us(model)
    for at, name in enumerate(names):
        basis = _BASIS_OF.get(name)
        if basis is None or name == "experts":
            continue  # the weights' own coefficient stands for both
        unit = per_unit.get(name, 1.0)
        guesses[:, BASES.index(basis)] += unit * slowdown[:, at]
    return guesses


def _units_us(model: BlisModel) -> dict[str, float]:
    """Microseconds of a coefficient of one, by the terms of models/vllm.toml."""
    return {
        "per_layer": 50.0,
        "per_request": 100.0,
        "per_step": 500.0,
        "expert_layers": 50.0 if model.has_experts else 0.0,
        "prefix_caching": 10.0,
        "chunked_prefill": 10.0,
        "cpu_offload": 0.0,
        # BLIS counts two bytes for a value of the cache; the spec, for one of a message.
        "prefill_kv": model.activation_bytes / 2.0,
        "decode_kv": model.activation_bytes / 2.0,
        "tensor_parallel": 2.0 / model.activation_bytes,
    }


def _project(
    bases: NDArray[np.float64], step_us: NDArray[np.float64], guess: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Least relative squares over the batches, with a pull to the guess. Shape (basis,)."""
    seen = bases.any(axis=0)
    size = np.where(guess > 0, guess, 1.0)
    relative = bases * size / step_us[:, None]
    pull = _TIE * np.sqrt(len(step_us)) * np.eye(len(size))
    aim = pull @ np.where(guess > 0, 1.0, 0.0)
    design = np.concatenate([relative[:, seen], pull[:, seen]])
    solved = nnls(design, np.concatenate([np.ones(len(step_us)), aim]))[0]
    found = np.where(seen, 0.0, guess)
    found[seen] = solved * size[seen]
    return found


def summarise(
    draws: NDArray[np.float64], names: Sequence[str] = BASES
) -> dict[str, dict[str, float]]:
    """Mean, sd and 5, 50 and 95 % quantiles of each coefficient."""
    low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
    return {
        name: {
            "mean": float(draws[:, at].mean()),
            "sd": float(draws[:, at].std(ddof=1)),
            "q05": float(low[at]),
            "q50": float(middle[at]),
            "q95": float(high[at]),
        }
        for at, name in enumerate(names)
    }
