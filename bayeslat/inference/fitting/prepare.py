"""From a stage's rows to the problem that an engine solves: statistics, groups, scales."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from bayeslat.errors import ConvergenceError
from bayeslat.inference.fitting.relinearise import settle
from bayeslat.inference.fitting.sound_donor_rows import sound_stage
from bayeslat.inference.rows.plan import FitPlan
from bayeslat.inference.rows.regression import StageRegression
from bayeslat.inference.rows.settled import SettledStage
from bayeslat.inference.rows.stage_rows import StageRows
from bayeslat.model.problem import StageProblem

__all__ = ["PreparedStage", "prepare_stage"]


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

    Where it is linearised, `settle` finds.

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
    with _naming(stage):
        sound = sound_stage(plan, stage, set_aside)
        table, regression, problem = settle(plan, stage, sound)
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
            noise_shared_configs=regression.noise.shared_configs,
            untold=table.untold,
            minor=table.minor,
        ),
        problem=problem,
        rows=table.rows,
        regression=regression,
        set_aside=sound.set_aside,
    )


@contextmanager
def _naming(stage: str) -> Iterator[None]:
    """Say which stage has no mode."""
    try:
        yield
    except ConvergenceError as error:
        raise ConvergenceError(f"Stage {stage}: {error}") from error
