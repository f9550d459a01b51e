"""Drawing all stages: one after the other here, side by side on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from threadpoolctl import threadpool_limits

from bayeslat.inference.engines.diagnostics import Diagnostics, StageDiagnostics
from bayeslat.inference.engines.draw_stage import NutsOptions, draw_stage
from bayeslat.inference.engines.draws import StageDraws
from bayeslat.inference.engines.engine import EngineOptions
from bayeslat.model.problem import StageProblem
from bayeslat.parallel import run

__all__ = ["OnProgress", "draw_stages"]

type OnProgress = Callable[[str, int, int], None]

_SEED_STEP = 1000  # between stages, so that their chains share no stream


def draw_stages(
    problems: Mapping[str, StageProblem],
    options: EngineOptions,
    *,
    engine_address: str | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[dict[str, StageDraws], Diagnostics]:
    """Draw stages and diagnose the draws.

    On one machine the chains of a stage share the cores already, so stages wait for each other.

    Parameters
    ----------
    problems : mapping of stage to StageProblem
    options : EngineOptions
    engine_address : str, optional
        As for `bayeslat.parallel.run`. Draws do not depend on it.
    on_progress : callable (stage, done, total), optional
        Told how many draws of a stage are done; on a cluster, when all of them are.

    Returns
    -------
    drawn : dict of stage to StageDraws
    diagnostics : Diagnostics
    """
    tasks = [
        (stage, problem, options.seed + _SEED_STEP * number)
        for number, (stage, problem) in enumerate(problems.items())
    ]
    found: list[tuple[StageDraws, StageDiagnostics]] = []
    if engine_address is None:
        with threadpool_limits(1):  # the matrices are too small for threads inside a product
            for stage, problem, seed in tasks:
                tell = _of_stage(on_progress, stage)
                found.append(draw_stage(stage, problem, seed, options.nuts, tell))
    else:
        drawn = run(_draw, tasks, options.nuts, engine_address=engine_address)
        for stage, result in zip(problems, drawn, strict=True):
            found.append(result)
            if on_progress is not None:
                on_progress(stage, 1, 1)
    draws = {stage: each for stage, (each, _) in zip(problems, found, strict=True)}
    return draws, Diagnostics(tuple(verdict for _, verdict in found))


def _draw(
    nuts: NutsOptions | None, task: tuple[str, StageProblem, int]
) -> tuple[StageDraws, StageDiagnostics]:
    stage, problem, seed = task
    return draw_stage(stage, problem, seed, nuts)


def _of_stage(on_progress: OnProgress | None, stage: str) -> Callable[[int, int], None] | None:
    if on_progress is None:
        return None
    tell = on_progress
    return lambda done, total: tell(stage, done, total)
