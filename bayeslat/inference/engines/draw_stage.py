"""Drawing one stage with either engine; what NUTS does not settle at once, it tries again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bayeslat.errors import ConvergenceError
from bayeslat.inference.engines.diagnose import diagnose
from bayeslat.inference.engines.diagnostics import StageDiagnostics
from bayeslat.inference.engines.draws import StageDraws
from bayeslat.inference.engines.laplace import sample_laplace
from bayeslat.inference.engines.mode import NoModeError
from bayeslat.inference.engines.nuts import sample_nuts
from bayeslat.inference.engines.runaway import explain_runaway
from bayeslat.model.problem import StageProblem

__all__ = ["NutsOptions", "draw_stage"]


@dataclass(frozen=True)
class NutsOptions:
    """How long NUTS samples.

    Attributes
    ----------
    chains, draws, tune : int
        Draws and tuning draws are of each chain.
    """

    chains: int
    draws: int
    tune: int


def draw_stage(
    stage: str,
    problem: StageProblem,
    seed: int,
    nuts: NutsOptions | None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[StageDraws, StageDiagnostics]:
    """Draw a stage and diagnose the draws.

    One divergence among thousands of draws, where nothing else is wrong, would refuse a good fit;
    smaller steps tell it from a posterior that NUTS cannot explore. So a stage that does not pass
    is sampled anew, once, and the second verdict stands.

    Parameters
    ----------
    stage : str
    problem : StageProblem
    seed : int
    nuts : NutsOptions or None
        None for the Laplace engine.
    on_progress : callable (done, total), optional

    Returns
    -------
    draws : StageDraws
    verdict : StageDiagnostics

    Raises
    ------
    ConvergenceError
        If the scales have no reachable mode; it names the stage and the scales that ran away.
    """
    try:
        return _draw(stage, problem, seed, nuts, on_progress)
    except NoModeError as error:
        raise ConvergenceError(
            f"Stage {stage}: {error}. {explain_runaway(problem, error.scores)}"
        ) from error


def _draw(
    stage: str,
    problem: StageProblem,
    seed: int,
    nuts: NutsOptions | None,
    on_progress: Callable[[int, int], None] | None,
) -> tuple[StageDraws, StageDiagnostics]:
    """Draw a stage that has a mode."""
    if nuts is None:
        draws = sample_laplace(problem, seed)
        if on_progress is not None:
            on_progress(1, 1)
        return draws, diagnose(stage, problem, draws)
    for careful in (False, True):
        draws = sample_nuts(
            problem,
            seed,
            chains=nuts.chains,
            draws=nuts.draws,
            tune=nuts.tune,
            careful=careful,
            on_progress=on_progress,
        )
        verdict = diagnose(stage, problem, draws)
        if not verdict.problems:
            break
    return draws, verdict
