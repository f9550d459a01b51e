"""All that there is to say of a GPU: is it to be trusted, what is refused, what to measure next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.counted import counted
from bayeslat.decisions.guard import Budget, Guard, stage_problems
from bayeslat.decisions.suggest.choose import suggest
from bayeslat.decisions.suggest.options import SuggestOptions
from bayeslat.decisions.suggest.suggestion import Suggestion
from bayeslat.errors import InputError, TraceError
from bayeslat.evaluation.assessment_options import AssessmentOptions
from bayeslat.evaluation.candidates import candidate_configs
from bayeslat.evaluation.coefficients import coefficient_table, compare_with_donors
from bayeslat.evaluation.comparison.hierarchical import as_estimate
from bayeslat.evaluation.comparison.scoring import scatter_estimate
from bayeslat.evaluation.gross_rows import GrossRow, find_gross_rows
from bayeslat.evaluation.guardrail.analysis import GuardrailAnalysis, analyse_decisions
from bayeslat.evaluation.guardrail.fractions import decide_fractions
from bayeslat.evaluation.guardrail.held_out import HeldOut, bound_false_accepts, predict_held_out
from bayeslat.evaluation.guardrail.risk_control import RiskControl
from bayeslat.evaluation.guardrail.trial import Trials, run_trials
from bayeslat.evaluation.passes import compare_passes
from bayeslat.evaluation.stacks import choose_stack, rows_of_stack
from bayeslat.evaluation.transfer import Transfer, judge_transfer
from bayeslat.features.admit import admit
from bayeslat.features.gpu import Gpu
from bayeslat.features.hardware import HardwareTable
from bayeslat.inference.posteriors.gross_errors import (
    GrossError,
    find_gross_errors,
    without_gross_errors,
)
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.rows.repeats import are_among
from bayeslat.inference.rows.stage_rows import with_latency
from bayeslat.model.groups import name_group
from bayeslat.parallel import check_workers

__all__ = ["Assessment", "assess"]


@dataclass(frozen=True, eq=False, repr=False)
class Assessment:
    """What was found of a GPU.

    Attributes
    ----------
    data : PosteriorData
    gpu : Gpu
    stack : str
        Empty where traces name none.
    options : AssessmentOptions
    calibrated, calibrated_configs : int
        Rows that the GPU was calibrated with, and their configurations.
    transfer : Transfer or None
        None for a donor, and for a GPU that was not calibrated.
    coefficients : DataFrame
        Of `coefficient_table`.
    held : HeldOut or None
        Measured configurations that calibrated nothing; None without any.
    decided : DataFrame or None, one row a held-out config and budget fraction
        Of `decide_fractions`: what this posterior decides.
    control : RiskControl or None
    gross : tuple of GrossRow
        Rows of the GPU that judge it, and that its other rows make impossible.
    trials : Trials or None
    sound_trials : Trials or None
        Without rows that are gross errors, here or for the posterior; None where none is.
    suggestion : Suggestion or None
    at_hand : ndarray of bool, shape (rank,)
        Which of the suggested configurations the traces hold for this GPU already.
    missing : mapping of part to str
        Why `held`, `trials` or `suggestion` is None.
    """

    data: PosteriorData
    gpu: Gpu
    stack: str
    options: AssessmentOptions
    calibrated: int
    calibrated_configs: int
    transfer: Transfer | None
    coefficients: pd.DataFrame
    held: HeldOut | None
    decided: pd.DataFrame | None
    control: RiskControl | None
    gross: tuple[GrossRow, ...]
    trials: Trials | None
    sound_trials: Trials | None
    suggestion: Suggestion | None
    at_hand: NDArray[np.bool_]
    missing: dict[str, str]

    def __repr__(self) -> str:
        known = "fitted" if self.fitted else f"calibrated with {counted(self.calibrated, 'row')}"
        verdict = "" if self.transfer is None else f", {self.transfer.verdict}"
        held = 0 if self.held is None else len(self.held.prediction.configs)
        return (
            f"<Assessment of {name_group(self.gpu.key, self.stack)}: {known}{verdict}; "
            f"{counted(held, 'config')} held out, {len(self.at_hand):,} suggested>"
        )

    @property
    def fitted(self) -> bool:
        """Whether the GPU is a donor."""
        return self.gpu.key in self.data.fitted_gpus

    @property
    def shown_rows(self) -> int | None:
        """The trials' number of rows that is nearest to the GPU's configs; 10 before any."""
        if self.trials is None:
            return None
        counts = [int(count) for count in self.trials.decisions["rows"].unique()]
        return min(counts, key=lambda count: abs(count - (self.calibrated_configs or 10)))

    @property
    def decisions(self) -> pd.DataFrame | None:
        """Decisions about test configurations: of the trials, or else of this posterior."""
        if self.trials is None:
            return self.decided
        return self.trials.decisions[self.trials.decisions["rows"] == self.shown_rows]

    @property
    def scatter(self) -> pd.DataFrame | None:
        """Predictions beside measurements, of the same configurations as `decisions`."""
        if self.trials is not None:
            return self.trials.scatter[self.trials.scatter["rows"] == self.shown_rows]
        if self.held is None or self.options.of != "run":
            return None
        estimate = as_estimate(self.held.prediction, [self.options.budget])
        scatter = scatter_estimate(estimate, self.held.measured_ms)
        return scatter.assign(config=scatter.groupby("stage").cumcount())

    @cached_property
    def guardrail(self) -> GuardrailAnalysis | None:
        """What `decisions` say of the guardrail; None without any."""
        if self.decisions is None:
            return None
        return analyse_decisions(
            self.decisions,
            self.scatter,
            self.options.budget,
            self.options.max_risk,
            self.options.seed,
        )

    @cached_property
    def strengths(self) -> pd.DataFrame:
        """The terms in which the GPU surely differs from the donors, the greatest first.

        Of `compare_with_donors`, without `differs`.
        """
        table = compare_with_donors(self.coefficients, self.gpu.key, self.stack)
        if table.empty:
            return table
        surely = table[table["differs"]].drop(columns="differs")
        order = np.abs(np.log(surely["ratio"].to_numpy(dtype=float))).argsort()[::-1]
        return surely.iloc[order]


def assess(
    data: PosteriorData,
    traces: pd.DataFrame,
    gpu: Gpu,
    options: AssessmentOptions,
    *,
    stack: str | None = None,
    hardware: HardwareTable,
    jobs: int = 1,
    engine_address: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Assessment:
    """Judge a GPU's predictions, decide about its held-out configurations, and look ahead.

    Parameters
    ----------
    data : PosteriorData
    traces : DataFrame, one row a measurement
        Rows of the GPU judge it; rows of donors serve the affine estimator. The configurations of
        all, with the settings that the GPU keeps, are the candidates for measurement.
    gpu : Gpu
    options : AssessmentOptions
    stack : str, optional
        The GPU's only one by default.
    hardware : HardwareTable
    jobs, engine_address
        Where trials run, as for `bayeslat.parallel.run`; nothing found depends on it.
    on_progress : callable (done, total), optional
        Told of the trials.

    Returns
    -------
    Assessment

    Raises
    ------
    TraceError
        With every row that breaks a rule.
    InputError
        With every option that has an impossible value; if the GPU has several stacks and none is
        named; or if it was neither measured nor calibrated, and nothing can be suggested.
    WorkerError
        As for `bayeslat.parallel.run`.
    """
    options.check()
    if problems := list(stage_problems(options.budget, data.stages)):
        raise InputError("; ".join(problems))
    check_workers(jobs, engine_address)
    frame = admit(traces, data.spec, hardware)
    own = frame[frame["gpu"] == gpu.key]
    chosen = choose_stack(data, gpu.key, stack, own)
    own = rows_of_stack(own, chosen)
    budgets = (options.budget,)
    guard = Guard(data, gpu, budgets, options.max_risk, chosen or None, options.of, options.seed)
    missing: dict[str, str] = {}
    held = _try(missing, "held", lambda: predict_held_out(guard, frame, hardware))
    repeat_trials = partial(
        run_trials,
        data,
        gpu=gpu,
        options=options,
        stack=chosen,
        hardware=hardware,
        jobs=jobs,
        engine_address=engine_address,
    )
    trials = _try(missing, "trials", lambda: repeat_trials(frame, on_progress=on_progress))
    gross = find_gross_rows(data, own, gpu, chosen, seed=options.seed)
    errors = [*find_gross_errors(data, gpu.key, chosen), *(each.error for each in gross)]
    sound = _sound_rows(data, own, errors, options.budget)
    sound_trials = None
    if trials is not None and sound is not own:
        others = frame[frame["gpu"] != gpu.key]
        every = pd.concat([with_latency(data.spec, sound), others])
        sound_trials = _try({}, "trials", lambda: repeat_trials(every))
    target = data.targets.get((gpu.key, chosen))
    rows = data.reference.head(0) if target is None else target.rows
    columns = [str(name) for name in data.reference if name in frame]
    measured = pd.concat([rows.reindex(columns=columns), own[columns]], ignore_index=True)
    suggestion = _try(
        missing,
        "suggestion",
        lambda: suggest(
            data,
            candidate_configs(frame, measured, columns),
            gpu,
            options.suggested,
            stack=chosen or None,
            # A posterior does not hold the configurations of its donors.
            exclude=own[columns] if gpu.key in data.fitted_gpus and len(own) else None,
            options=SuggestOptions(seed=options.seed),
        ),
    )
    nothing = {"held", "trials", "suggestion"} == missing.keys()
    if nothing and not len(rows) and gpu.key not in data.fitted_gpus:
        raise InputError(f"nothing to say of {gpu.key}: {missing['held']}")
    return Assessment(
        data=data,
        gpu=gpu,
        stack=chosen,
        options=options,
        calibrated=len(rows),
        calibrated_configs=len(rows[data.reference.columns].drop_duplicates()),
        transfer=_judge(data, own, gpu, chosen, options) if len(rows) else None,
        coefficients=coefficient_table(data),
        held=held,
        decided=None if held is None else _decide(guard, held),
        control=None if held is None else _control(guard, held, options),
        gross=gross,
        trials=trials,
        sound_trials=sound_trials,
        suggestion=suggestion,
        at_hand=_at_hand(suggestion, own),
        missing=missing,
    )


def _sound_rows(
    data: PosteriorData, own: pd.DataFrame, errors: Sequence[GrossError], budget: Budget
) -> pd.DataFrame:
    """Leave out what is a gross error in a stage of the budget; the same rows where nothing is."""
    bounded = set(budget.stages or data.stages)
    wrong = [each for each in errors if bounded & each.ratio.keys()]
    return without_gross_errors(data.spec, own, wrong) if wrong else own


def _judge(
    data: PosteriorData, own: pd.DataFrame, gpu: Gpu, stack: str, options: AssessmentOptions
) -> Transfer:
    """Judge the calibrated GPU, with what the rows at hand say of passes."""
    calibrated = data.targets[gpu.key, stack].rows
    passes = compare_passes(data.spec, own, gpu, stack, calibrated=calibrated, seed=options.seed)
    return judge_transfer(data, gpu, stack, passes=passes, seed=options.seed)


def _decide(guard: Guard, held: HeldOut) -> pd.DataFrame:
    """Decide about the held-out configurations, for the budget and for tighter ones."""
    name = str(guard.budgets[0])
    points = {"point_ms": as_estimate(held.prediction, guard.budgets).points[name]}
    return decide_fractions(guard, held.prediction, held.measured_ms[name], points)


def _control(guard: Guard, held: HeldOut, options: AssessmentOptions) -> RiskControl:
    """Bound the false accepts as the options ask."""
    return bound_false_accepts(
        guard, held, false_accepts=options.false_accepts, confidence=options.confidence
    )


def _try[T](missing: dict[str, str], part: str, make: Callable[[], T]) -> T | None:
    """Make a part of the assessment; without what it needs, note why it is missing."""
    try:
        return make()
    except TraceError:
        raise  # a broken row is no missing one
    except InputError as error:
        missing[part] = str(error)
        return None


def _at_hand(suggestion: Suggestion | None, own: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which suggested configurations are among a GPU's rows. Shape (rank,)."""
    if suggestion is None:
        return np.zeros(0, dtype=bool)
    chosen = suggestion.candidates.iloc[suggestion.chosen]
    return are_among(chosen, own[list(chosen)])
