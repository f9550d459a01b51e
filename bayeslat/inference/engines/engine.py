"""Which engine draws, and how long."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

from bayeslat.errors import InputError
from bayeslat.finite import is_count, tell_count, wrong_seed
from bayeslat.inference.engines.draw_stage import NutsOptions

__all__ = ["Engine", "EngineOptions", "library_versions"]

type Engine = Literal["nuts", "laplace"]

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
        With every value that is impossible; if Python has stripped docstrings.
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
            if not is_count(value, least):
                problems.append(
                    f"{name} is {tell_count(value)}; it must be a whole number of at least {least}"
                )
        if seed := wrong_seed(self.seed):
            problems.append(seed)
        if sys.flags.optimize > 1:
            problems.append(
                "Python runs without docstrings, which ArviZ needs; set PYTHONOPTIMIZE to 1 at "
                "most (-O in place of -OO)"
            )
        if problems:
            raise InputError("; ".join(problems))

    @property
    def nuts(self) -> NutsOptions | None:
        """What NUTS is told; None for the Laplace engine."""
        return NutsOptions(self.chains, self.draws, self.tune) if self.engine == "nuts" else None


def library_versions() -> dict[str, str]:
    """Return the versions of what a posterior depends on."""
    return {library: version(library) for library in _LIBRARIES}
