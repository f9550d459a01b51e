"""Where a stage is linearised: steps that follow the hierarchy, and what is done if they leap."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayeslat.inference.engines.draws import mean_effects
from bayeslat.inference.engines.mode import FEW_SCALES, NoModeError, find_mode, held_mode
from bayeslat.inference.fitting.sound_donor_rows import SoundStage
from bayeslat.inference.rows.anchor import Anchor
from bayeslat.inference.rows.astray import find_astray, minor_terms
from bayeslat.inference.rows.noise_choice import NoiseChoice
from bayeslat.inference.rows.plan import FitPlan
from bayeslat.inference.rows.regression import StageRegression, first_anchor, regress
from bayeslat.inference.rows.stage_table import StageTable
from bayeslat.model.collapsed_data import CollapsedData, collapse
from bayeslat.model.priors import stage_problem
from bayeslat.model.problem import MOST_COUNTED, StageProblem
from bayeslat.model.scores import FARTHEST
from bayeslat.model.statistics import stack_statistics, summarise

__all__ = ["settle"]

_RELINEARISATIONS = 2  # a third moves nothing
_LEAP = 1.0  # log efficiency; a second step as large has not arrived
_DAMPED_STEPS = 20
_SETTLED = 0.05  # log efficiency
_LIKELY = 2.0  # prior sd
_TEMPERED_STEPS = 2
_FEW_ROWS = 300.0
_FEWEST_ROWS = 60.0


def settle(
    plan: FitPlan, stage: str, sound: SoundStage
) -> tuple[StageTable, StageRegression, StageProblem]:
    """Find where a stage is linearised.

    The physics alone gives the first point; the mode of the hierarchy, which knows the smooth
    correction and the other GPUs, gives the next ones (Gauss and Newton's steps). Where these leap,
    shorter ones are taken; where these lead to no mode, the rows of a group count for fewer
    (`most_counted`). Where the rows would lead even so to where the physics cannot follow, terms
    that take little of the time stay as the prior has them, one after the other (`untold`), and
    residual columns are orthogonal to the others alone, to take up what was asked of them
    (`minor`).

    Parameters
    ----------
    plan : FitPlan
    stage : str
    sound : SoundStage
        The stage's rows, and the first point.

    Returns
    -------
    table : StageTable
        With the terms that rows cannot tell.
    regression : StageRegression
        There.
    problem : StageProblem

    Raises
    ------
    ConvergenceError
        If the physics has no reachable mode.
    """
    first = regress(sound.table, sound.anchor)
    steps = _Steps(plan, stage, sound.table, first.noise)
    found = _relinearise(steps, first)
    if found is not None:
        return sound.table, *found
    start = first_anchor(sound.table, smooth=True, most=_FEW_ROWS)
    while True:
        for most in (MOST_COUNTED, _FEW_ROWS, _FEWEST_ROWS):
            regression = _relinearise_damped(steps, steps.regress_at(start), most)
            problem = steps.problem_of(regression, most)
            scores, is_mode = _mode(collapse(problem))
            if is_mode:
                break
        astray = steps.find_astray(regression, problem, scores)
        if astray is None:
            break
        steps = steps.without(astray, regression)
    return steps.table, regression, problem


@dataclass(frozen=True)
class _Steps:
    """What a step from one point of linearisation to the next takes."""

    plan: FitPlan
    stage: str
    table: StageTable
    noise: NoiseChoice

    def without(self, term: int, regression: StageRegression) -> _Steps:
        """Leave a further term as the prior has it, and residuals free of those that are minor."""
        table = self.table
        minor = table.minor or minor_terms(self.plan, regression)
        return replace(self, table=replace(table, untold=(*table.untold, term), minor=minor))

    def regress_at(self, anchor: Anchor) -> StageRegression:
        """Linearise at a point."""
        return regress(self.table, anchor, self.noise)

    def problem_of(
        self, regression: StageRegression, most_counted: float = MOST_COUNTED
    ) -> StageProblem:
        """Sum the rows up."""
        plan, table = self.plan, self.table
        parts = zip(regression.designs, regression.responses, regression.noise.weights, strict=True)
        return stage_problem(
            plan.spec,
            self.stage,
            table.basis,
            plan.groups,
            plan.tree,
            stack_statistics([summarise(*part) for part in parts]),
            untold=table.untold,
            most_counted=most_counted,
        )

    def moves(
        self, regression: StageRegression, problem: StageProblem, scores: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """How far the hierarchy, given its scales, has each GPU's efficiencies from the point.

        Shape (gpu, term).
        """
        effects = mean_effects(problem, problem.layout.from_scores(scores))
        nodes = [problem.tree.index(gpu) for gpu in self.plan.gpus]
        moved: NDArray[np.float64] = effects[nodes, : len(self.table.priors)]
        return moved - regression.anchor.departure

    def find_astray(
        self, regression: StageRegression, problem: StageProblem, scores: NDArray[np.float64]
    ) -> int | None:
        """Find the term whose linear view is the farthest off, given the scales."""
        scales = problem.layout.from_scores(scores)
        noise_sd = float(np.exp(problem.layout.log_noise(scales)))
        moves = self.moves(regression, problem, scores)
        return find_astray(self.plan, regression, moves, noise_sd, self.table.untold)


def _relinearise(
    steps: _Steps, regression: StageRegression
) -> tuple[StageRegression, StageProblem] | None:
    """Take Gauss and Newton's steps; None where they leap, lead astray, or end without a mode."""
    step = np.inf
    for _ in range(_RELINEARISATIONS):
        problem = steps.problem_of(regression)
        scores, is_mode = _mode(collapse(problem))
        if not is_mode:
            return None
        move = steps.moves(regression, problem, scores)
        step = float(np.abs(move).max())
        regression = steps.regress_at(_moved(regression.anchor, move))
    problem = steps.problem_of(regression)
    if step > _LEAP:
        return None
    if problem.layout.size <= FEW_SCALES:  # of many scales, the engine tells
        scores, is_mode = _mode(collapse(problem))
        if not is_mode or steps.find_astray(regression, problem, scores) is not None:
            return None
    return regression, problem


def _mode(data: CollapsedData) -> tuple[NDArray[np.float64], bool]:
    """Scores to linearise by, and whether they are a mode that an engine can start from.

    Of many scales, without the last steps, which take the longest: there, the engine tells.
    """
    if data.half_normal.size > FEW_SCALES:
        return held_mode(data, FARTHEST), True
    try:
        return find_mode(data).centre, True
    except NoModeError as error:
        return error.scores, False


def _relinearise_damped(steps: _Steps, regression: StageRegression, most: float) -> StageRegression:
    """Take shorter steps, for terms that take little of the time and rows that tell much.

    The linear view of a term that takes a thousandth of the time has no bounds: what the others
    leave can ask it for fifty times its time, or for less than none, and the next view from there
    is worse. So groups differ by no more than the prior finds likely while the point is looked for,
    no efficiency moves by more than a factor of e at once, and one that turns back goes half as far
    (step-limited Gauss-Newton: Nocedal and Wright 2006, Numerical Optimization, section 10.3). The
    first steps are those of few rows, which lead to where the prior has a say.
    """
    reach = np.ones_like(regression.anchor.departure)
    last = np.zeros_like(reach)
    for number in range(_DAMPED_STEPS):
        counted = most if number >= _TEMPERED_STEPS else min(most, _FEW_ROWS)
        problem = steps.problem_of(regression, counted)
        scores = held_mode(collapse(problem), _LIKELY)
        move = steps.moves(regression, problem, scores)
        reach = np.where(move * last < 0.0, 0.5 * reach, reach)
        last = move
        move = reach * np.clip(move, -_LEAP, _LEAP)
        regression = steps.regress_at(_moved(regression.anchor, move))
        if number >= _TEMPERED_STEPS and np.abs(move).max() < _SETTLED:
            break
    return regression


def _moved(anchor: Anchor, move: NDArray[np.float64]) -> Anchor:
    return Anchor(anchor.shared, anchor.departure + move)
