"""The verdict on a calibrated GPU: trust its predictions, measure more, or fit it as a donor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import erf

from bayeslat.counted import counted
from bayeslat.decisions.predict import predict_group
from bayeslat.decisions.prediction import TOTAL, Prediction
from bayeslat.decisions.run_noise import normal_sd
from bayeslat.decisions.summary import summarise_draws
from bayeslat.errors import InputError
from bayeslat.evaluation.membership import Membership, check_membership
from bayeslat.features.design import stage_inputs
from bayeslat.features.gpu import Gpu
from bayeslat.features.thinning import evenly
from bayeslat.finite import is_between, tell
from bayeslat.inference.gross_errors import GrossError, find_gross_errors
from bayeslat.inference.posterior import PosteriorData
from bayeslat.inference.thin_draws import DRAWS, thin_draws

__all__ = [
    "FALSE_ALARMS",
    "ExpectedError",
    "Transfer",
    "Verdict",
    "choose_target",
    "judge_transfer",
]

type Verdict = Literal["trust", "more data", "refit as donor"]

FALSE_ALARMS = 0.01
"""Of GPUs of the donors' family, the part that is told apart from them."""
_CONFIGS = 128  # of the knob grid, for the expected error
_MORE_ROWS = (5, 10, 15, 20, 25, 35, 50, 75, 100, 150, 200)
_BOUND = 0.95  # chance with which the error has to be within the threshold


@dataclass(frozen=True)
class ExpectedError:
    """MAPE of the total of a typical run over the knob grid, as the posterior expects it.

    Attributes
    ----------
    mean, low, high : float
        Mean, and 5 % and 95 % quantile: 0.03 is 3 %.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Transfer:
    """Whether a calibrated GPU's predictions can be trusted, and why.

    Attributes
    ----------
    gpu, stack : str
    rows : mapping of stage to int
        Measurements.
    stages : mapping of stage to Membership
        Of the measured stages.
    alarms : tuple of str
        What is unlike the donors, a sentence each.
    error : ExpectedError
    threshold : float
        Of the MAPE.
    more_rows : int or None
        Further measurements that should bring the error within the threshold; 0 if it is, None if
        200 would not do. Those of `gross` are not counted.
    gross : tuple of GrossError
        Rows that were set aside, since the others make them impossible.
    verdict : {"trust", "more data", "refit as donor"}
    """

    gpu: str
    stack: str
    rows: Mapping[str, int]
    stages: Mapping[str, Membership]
    alarms: tuple[str, ...]
    error: ExpectedError
    threshold: float
    more_rows: int | None
    gross: tuple[GrossError, ...]
    verdict: Verdict

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """The stages without a row, of which the guardrail accepts nothing."""
        return tuple(stage for stage, rows in self.rows.items() if not rows)

    def __str__(self) -> str:
        """Say the verdict in a sentence."""
        error = (
            f"expected MAPE {self.error.mean:.1%} ({self.error.low:.1%} to {self.error.high:.1%})"
        )
        lacks = f"; nothing was measured of {', '.join(self.unmeasured)}" * bool(self.unmeasured)
        if again := sum(each.unsettled for each in self.gross):
            lacks += f"; {counted(again, 'gross error')} set aside, to be measured again"
        if self.verdict == "refit as donor":
            return (
                f"refit as donor: {self.gpu} is unlike the donors ({'; '.join(self.alarms)}). "
                "Measure it as thoroughly as a donor and fit it with them, or give the stage the "
                "physics term that it lacks"
            )
        limit = f"{100 * self.threshold:g}%"
        if self.verdict == "trust":
            return f"trust: {error}, within {limit}{lacks}"
        if self.more_rows == 0:
            return f"more data: {error}, within {limit}{lacks}"
        many = "more than 200" if self.more_rows is None else f"about {self.more_rows}"
        return f"more data: {error}, not surely within {limit}; {many} more rows{lacks}"


def choose_target(data: PosteriorData, gpu: str, stack: str | None) -> str:
    """Return the stack that a GPU was calibrated with.

    Parameters
    ----------
    data : PosteriorData
    gpu : str
        Key.
    stack : str or None
        None: the only one.

    Raises
    ------
    InputError
        If it was not calibrated, or with several and none is named.
    """
    stacks = [name for key, name in data.targets if key == gpu]
    if not stacks:
        raise InputError(f"{gpu} was not calibrated; calibrate it first")
    if stack is None and len(stacks) == 1:
        return stacks[0]
    if stack not in stacks:
        named = ", ".join(map(repr, stacks))
        raise InputError(f"{gpu} was calibrated with the stacks {named}; name one of them")
    return stack


def judge_transfer(
    data: PosteriorData, gpu: Gpu, stack: str, *, threshold: float = 0.10, seed: int = 0
) -> Transfer:
    """Judge whether a calibrated GPU's predictions can be trusted.

    `refit as donor` if rows like these are improbable in the donors' family: three tests a stage
    (`check_membership`), together with a false-alarm rate of 1 % (Bonferroni). Else `trust` if the
    MAPE of the total is within the threshold with 95 % probability, by the posterior, and no row
    was set aside as a gross error without another run to tell whether it is one; else `more data`.

    Parameters
    ----------
    data : PosteriorData
        With the GPU among its targets.
    gpu : Gpu
    stack : str
    threshold : float
        Of the MAPE: 0.10 is 10 %.
    seed : int

    Returns
    -------
    Transfer

    Raises
    ------
    InputError
        If the threshold is not a positive number.
    """
    if not is_between(threshold, 0):
        raise InputError(
            f"threshold is {tell(threshold)}; it must be a positive number, as 0.10 for 10 %"
        )
    target = data.targets[gpu.key, stack]
    stages = check_membership(data, gpu, stack, seed=seed)
    alarms = tuple(_alarms(stages))
    configs = data.reference.iloc[evenly(len(data.reference), _CONFIGS)]
    prediction = predict_group(thin_draws(data, DRAWS), configs, gpu, stack, "typical", seed)
    missed = _missed_sd(prediction)
    errors = _errors(prediction.typical(TOTAL), missed)
    error = ExpectedError(float(errors.mean()), *map(float, np.quantile(errors, [0.05, _BOUND])))
    more: int | None = 0
    if error.high > threshold:
        more = _more_rows(data, gpu, stack, configs, prediction, missed, threshold)
    gross = find_gross_errors(data, gpu.key, stack)
    settled = more == 0 and not any(each.unsettled for each in gross)
    verdict: Verdict = "trust" if settled else "more data"
    return Transfer(
        gpu=gpu.key,
        stack=stack,
        rows={stage: part.measured for stage, part in target.stages.items()},
        stages=stages,
        alarms=alarms,
        error=error,
        threshold=threshold,
        more_rows=more,
        gross=gross,
        verdict="refit as donor" if alarms else verdict,
    )


def _alarms(stages: Mapping[str, Membership]) -> list[str]:
    """Tell what is improbable in the donors' family."""
    tests = sum(len(seen.p_values) for seen in stages.values())
    limit = FALSE_ALARMS / max(tests, 1)
    told = []
    for stage, seen in stages.items():
        if seen.p_offset <= limit:
            told.append(f"{stage}: efficiencies too far from the donors', p = {seen.p_offset:.1g}")
        if seen.p_misfit <= limit:
            told.append(f"{stage}: errors larger than the donors', p = {seen.p_misfit:.1g}")
        if seen.p_structure <= limit:
            told.append(f"{stage}: scales unlike the donors, p = {seen.p_structure:.1g}")
    return told


def _missed_sd(prediction: Prediction) -> NDArray[np.float64]:
    """Sd of a typical run's log total by what the model misses of it. Shape (config,).

    The noise of a fit is what neither physics nor correction explain; a part of it is the
    configuration's own, and no error of a run. Each stage counts by its share in the total.
    """
    total = np.median(prediction.typical(TOTAL), axis=1)
    parts = [
        part.times
        * np.median(part.typical_ms, axis=1)
        * normal_sd(np.sqrt(np.mean(part.noise_sd**2, axis=1)), part.noise_dof)
        / total
        for part in prediction.stages.values()
    ]
    sds, correlation = np.stack(parts, axis=1), prediction.noise_correlation
    together = sds if correlation is None else sds @ correlation.to_numpy()
    missed: NDArray[np.float64] = np.sqrt(np.sum(together * sds, axis=1))
    return missed


def _errors(draws: NDArray[np.float64], missed: NDArray[np.float64]) -> NDArray[np.float64]:
    """MAPE of the total's point if a draw of it were the truth. Shape (draw,).

    The mean of a folded normal (Leone, Nelson and Nottingham 1961): round a draw, typical runs of
    configurations scatter by what the model misses of them.
    """
    point = summarise_draws(draws)["point"][:, None]
    away = (point - draws) / draws
    sd = np.maximum(missed, 1e-12)[:, None]
    scaled = away / sd
    folded = sd * np.sqrt(2 / np.pi) * np.exp(-0.5 * scaled**2) + away * erf(scaled / np.sqrt(2))
    errors: NDArray[np.float64] = folded.mean(axis=0)
    return errors


def _more_rows(
    data: PosteriorData,
    gpu: Gpu,
    stack: str,
    configs: pd.DataFrame,
    prediction: Prediction,
    missed: NDArray[np.float64],
    threshold: float,
) -> int | None:
    """Find how many further rows of the knob grid bring the error within the threshold, as now.

    The covariance of the effects after n rows with the noise of the stage is known in closed form,
    and with it the sd of the log total, to which each stage adds its share. The draws of the total
    close up as it does, round their median; what the model misses stays.
    """
    draws = prediction.typical(TOTAL)
    total = np.median(draws, axis=1)
    now = np.zeros(len(total))
    later = dict.fromkeys(_MORE_ROWS, now)
    for stage, target in data.targets[gpu.key, stack].stages.items():
        part, drawn = data.stages[stage], prediction.stages[stage]
        inputs = stage_inputs(data.spec, stage, configs, gpu)
        design = target.point(part.shared_efficiency).design(inputs, part.basis)[1]
        weight = (drawn.times * np.median(drawn.typical_ms, axis=1) / total) ** 2
        covariance = np.atleast_2d(np.cov(target.effects.T))
        noise = float(np.exp(np.log(target.noise_sd).mean()))
        now = now + weight * np.sum(design @ covariance * design, axis=1)
        for count, variance in later.items():
            rows = design[evenly(len(design), count) if count < len(design) else slice(None)]
            repeats = max(count / len(design), 1.0)
            gain = covariance @ rows.T
            scatter = rows @ gain + noise**2 / repeats * np.eye(len(rows))
            left = covariance - gain @ np.linalg.solve(scatter, gain.T)
            later[count] = variance + weight * np.sum(design @ left * design, axis=1)
    for count, variance in later.items():
        closer = np.sqrt(variance / now)[:, None]
        errors = _errors(total[:, None] * (draws / total[:, None]) ** closer, missed)
        if np.quantile(errors, _BOUND) <= threshold:
            return count
    return None
