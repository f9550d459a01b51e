"""Drawing every stage with one of the engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

from threadpoolctl import threadpool_limits

from bayeslat.errors import InputError
from bayeslat.inference.diagnostics import Diagnostics
from bayeslat.inference.draw_stage import NutsOptions, draw_stage
from bayeslat.inference.draws import StageDraws
from bayeslat.model.problem import StageProblem

__all__ = ["Engine", "EngineOptions", "OnProgress", "draw_stages", "library_versions"]

type Engine = Literal["nuts", "laplace"]
type OnProgress = Callable[[str, int, int], None]

_LIBRARIES = ("bayeslat", "numpy", "scipy", "numba", "nutpie", "arviz-stats", "xarray")


@dataclass(frozen=True)
class EngineOptions:
    """Which engine draws, and how long.

    Attributes
    ----------
    engine : {"nuts", "laplace"}
    seed : int
    chains, draws, tune : int
        Of NUTS.

    Raises
    ------
    InputError
        With every value that is impossible.
    """

    engine: Engine = "nuts"
    seed: int = 0
    chains: int = 4
    draws: int = 800
    tune: int = 200

    def __post_init__(self) -> None:
        problems = []
        if self.engine not in ("nuts", "laplace"):
            problems.append(f"engine is {self.engine!r}; it must be nuts or laplace")
        counts = (("chains", self.chains, 1), ("draws", self.draws, 10), ("tune", self.tune, 50))
        for name, value, least in counts:
            if value < least:
                problems.append(f"{name} is {value}; it must be at least {least}")
        if problems:
            raise InputError("; ".join(problems))


def draw_stages(
    problems: Mapping[str, StageProblem],
    options: EngineOptions,
    on_progress: OnProgress | None = None,
) -> tuple[dict[str, StageDraws], Diagnostics]:
    """Draw every stage, one after the other.

    Parameters
    ----------
    problems : mapping of stage to StageProblem
    options : EngineOptions
    on_progress : callable (stage, done, total), optional
        Told how many draws of a stage are done.

    Returns
    -------
    drawn : dict of stage to StageDraws
    diagnostics : Diagnostics
    """
    nuts = NutsOptions(options.chains, options.draws, options.tune)
    drawn, verdicts = {}, []
    with threadpool_limits(1):  # the matrices are too small for threads inside a product
        for number, (stage, problem) in enumerate(problems.items()):
            drawn[stage], verdict = draw_stage(
                stage,
                problem,
                options.seed + 1000 * number,
                nuts if options.engine == "nuts" else None,
                _stage_progress(on_progress, stage),
            )
            verdicts.append(verdict)
    return drawn, Diagnostics(tuple(verdicts))


def library_versions() -> dict[str, str]:
    """Return the versions of what a posterior depends on."""
    return {library: version(library) for library in _LIBRARIES}


def _stage_progress(
    on_progress: OnProgress | None, stage: str
) -> Callable[[int, int], None] | None:
    if on_progress is None:
        return None
    tell = on_progress
    return lambda done, total: tell(stage, done, total)
