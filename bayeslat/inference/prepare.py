"""From a stage's rows to the problem that an engine solves: statistics, groups, scales."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayeslat.errors import ConvergenceError
from bayeslat.inference.anchor import Anchor
from bayeslat.inference.draws import mean_effects
from bayeslat.inference.mode import FEW_SCALES, find_mode, held_mode
from bayeslat.inference.plan import FitPlan
from bayeslat.inference.regression import StageRegression, first_anchor, regress
from bayeslat.inference.settled import SettledStage
from bayeslat.inference.sound_donor_rows import sound_stage
from bayeslat.inference.stage_rows import StageRows
from bayeslat.model.collapsed_data import CollapsedData, collapse
from bayeslat.model.priors import stage_scales
from bayeslat.model.problem import MOST_COUNTED, StageProblem
from bayeslat.model.scores import FARTHEST
from bayeslat.model.statistics import stack_statistics, summarise

__all__ = ["PreparedStage", "prepare_stage"]

_RELINEARISATIONS = 2  # a third moves nothing
_LEAP = 1.0  # log efficiency; a second step as large has not arrived
_DAMPED_STEPS = 20
_SETTLED = 0.05  # log efficiency
_LIKELY = 2.0  # prior sd
_TEMPERED_STEPS = 2
_FEW_ROWS = 300.0
_FEWEST_ROWS = 60.0


@dataclass(frozen=True)
class PreparedStage:
    """A stage's problem, and what decided how a row entered it.

    Attributes
    ----------
    settled : SettledStage
    problem : StageProblem
    rows : tuple over group of StageRows
        Those that count.
    regression : StageRegression
        The rows, which a posterior does not keep.
    set_aside : mapping of int to float
        Rows that are gross errors, by their position in the table: latency over what the others say
        it is. They are not among `rows`.
    """

    settled: SettledStage
    problem: StageProblem
    rows: tuple[StageRows, ...]
    regression: StageRegression
    set_aside: Mapping[int, float]

    @property
    def measured(self) -> tuple[int, ...]:
        """Rows of each group that count."""
        return tuple(map(len, self.rows))


def prepare_stage(
    plan: FitPlan, stage: str, *, set_aside: Mapping[int, float] | None = None
) -> PreparedStage:
    """Reduce a stage's rows to the problem that an engine solves.

    The physics alone gives the first point of linearisation; the mode of the hierarchy, which
    knows the smooth correction and the other GPUs, gives the next ones (Gauss and Newton's steps).
    Where these do not lead to a mode, the rows of a group count for fewer, which the problem's
    `most_counted` tells.

    Parameters
    ----------
    plan : FitPlan
    stage : str
    set_aside : mapping of int to float, optional
        Gross errors, where they are known, as `PreparedStage` has them; looked for by default.

    Returns
    -------
    PreparedStage

    Raises
    ------
    InputError
        If no row has a latency of this stage.
    ConvergenceError
        If the physics, or the hierarchy, has no reachable mode.
    """
    sound = sound_stage(plan, stage, set_aside)
    table = sound.table
    layout = stage_scales(plan.spec, stage, table.basis, plan.groups, plan.tree)
    first = regress(table, sound.anchor)

    def regress_at(anchor: Anchor) -> StageRegression:
        return regress(table, anchor, first.noise)

    def problem_of(regression: StageRegression) -> StageProblem:
        """Sum the rows up."""
        parts = zip(regression.designs, regression.responses, regression.noise.weights, strict=True)
        sums = stack_statistics([summarise(*part) for part in parts])
        return StageProblem(sums, plan.tree, table.features, layout)

    found = _relinearise(plan, first, regress_at, problem_of)
    if found is not None:
        regression, problem = found
    else:
        start = regress_at(first_anchor(table, smooth=True, most=_FEW_ROWS))
        for most in (MOST_COUNTED, _FEW_ROWS, _FEWEST_ROWS):
            regression = _relinearise_damped(plan, start, regress_at, problem_of, most)
            problem = replace(problem_of(regression), most_counted=most)
            if _has_mode(problem):
                break
    return PreparedStage(
        settled=SettledStage(
            basis=table.basis,
            shared_efficiency=regression.anchor.shared,
            departure=regression.anchor.departure,
            projection=regression.projection,
            noise_shape=regression.noise.shape,
            noise_dof=regression.noise.dof,
            pilots=regression.pilots,
            most_counted=problem.most_counted,
            noise_shared=regression.noise.shared,
        ),
        problem=problem,
        rows=table.rows,
        regression=regression,
        set_aside=sound.set_aside,
    )


def _relinearise(
    plan: FitPlan,
    regression: StageRegression,
    regress_at: Callable[[Anchor], StageRegression],
    problem_of: Callable[[StageRegression], StageProblem],
) -> tuple[StageRegression, StageProblem] | None:
    """Take Gauss and Newton's steps; None where they leap, or end without a mode."""
    step = np.inf
    for _ in range(_RELINEARISATIONS):
        problem = problem_of(regression)
        try:
            scores = _mode(collapse(problem))
        except ConvergenceError:
            return None
        move = _moves(plan, problem, scores) - regression.anchor.departure
        step = float(np.abs(move).max())
        regression = regress_at(_moved(regression.anchor, move))
    problem = problem_of(regression)
    return (regression, problem) if step <= _LEAP and _has_mode(problem) else None


def _mode(data: CollapsedData) -> NDArray[np.float64]:
    """Scores to linearise by; of many scales, without the last steps, which take the longest."""
    if data.half_normal.size > FEW_SCALES:
        return held_mode(data, FARTHEST)
    return find_mode(data).centre


def _has_mode(problem: StageProblem) -> bool:
    """Whether an engine can start; of many scales, the engine tells."""
    if problem.layout.size > FEW_SCALES:
        return True
    try:
        find_mode(collapse(problem))
    except ConvergenceError:
        return False
    return True


def _relinearise_damped(
    plan: FitPlan,
    regression: StageRegression,
    regress_at: Callable[[Anchor], StageRegression],
    problem_of: Callable[[StageRegression], StageProblem],
    most: float,
) -> StageRegression:
    """Take shorter steps, for terms that take little of the time and rows that tell much.

    The linear view of a term that takes a thousandth of the time has no bounds: what the others
    leave can ask it for fifty times its time, or for less than none, and the next view from there
    is worse. So groups differ by no more than the prior finds likely while the point is looked for,
    no efficiency moves by more than a factor of e at once, and one that turns back goes half as far
    (step-limited Gauss-Newton: Nocedal and Wright 2006, Numerical Optimization, section 10.3). The
    first steps are those of few rows, which lead to where the prior has a say. Where all steps are
    led astray even so, the rows of a group count for few.
    """
    reach = np.ones_like(regression.anchor.departure)
    last = np.zeros_like(reach)
    for number in range(_DAMPED_STEPS):
        counted = most if number >= _TEMPERED_STEPS else min(most, _FEW_ROWS)
        problem = replace(problem_of(regression), most_counted=counted)
        scores = held_mode(collapse(problem), _LIKELY)
        move = _moves(plan, problem, scores) - regression.anchor.departure
        reach = np.where(move * last < 0.0, 0.5 * reach, reach)
        last = move
        move = reach * np.clip(move, -_LEAP, _LEAP)
        regression = regress_at(_moved(regression.anchor, move))
        if number >= _TEMPERED_STEPS and np.abs(move).max() < _SETTLED:
            break
    return regression


def _moves(
    plan: FitPlan, problem: StageProblem, scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where the hierarchy has each GPU's efficiencies, given its scales. Shape (gpu, term)."""
    effects = mean_effects(problem, problem.layout.from_scores(scores))
    nodes = [problem.tree.index(gpu) for gpu in plan.gpus]
    terms = sum(not np.isnan(sd) for sd in problem.features.shared_sd)
    moved: NDArray[np.float64] = effects[nodes, :terms]
    return moved


def _moved(anchor: Anchor, move: NDArray[np.float64]) -> Anchor:
    return Anchor(anchor.shared, anchor.departure + move)
