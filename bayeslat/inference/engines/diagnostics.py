"""Whether the draws can be trusted: a verdict, and what to do when they cannot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bayeslat.counted import listed

__all__ = ["MAX_PARETO_K", "Diagnostics", "StageDiagnostics"]

MAX_RHAT = 1.01
MIN_ESS = 400.0
MIN_BFMI = 0.3
MAX_PARETO_K = 0.7


@dataclass(frozen=True)
class StageDiagnostics:
    """The worst of each diagnostic in one stage, and where.

    Attributes
    ----------
    stage : str
    rhat, ess_bulk, ess_tail : tuple of (float, str)
        Worst value and its parameter (Vehtari et al. 2021); NaN for a single chain's R-hat.
    divergences : int
    bfmi : float
        Lowest over chains (Betancourt 2016); NaN where the engine has no energy.
    pareto_k : float
        Of the importance weights (Vehtari et al. 2024); NaN for NUTS.
    """

    stage: str
    rhat: tuple[float, str]
    ess_bulk: tuple[float, str]
    ess_tail: tuple[float, str]
    divergences: int
    bfmi: float
    pareto_k: float

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, with the cure; empty when the stage converged."""
        return tuple(self._problems())

    def _problems(self) -> Iterator[str]:
        where = f"stage {self.stage}"
        if self.rhat[0] > MAX_RHAT:
            yield (
                f"{where}: R-hat of {self.rhat[1]} is {self.rhat[0]:.3f}, above {MAX_RHAT}; "
                "use more --draws and --tune"
            )
        for name, (ess, parameter) in (("bulk", self.ess_bulk), ("tail", self.ess_tail)):
            if ess < MIN_ESS and np.isnan(self.pareto_k):
                yield (
                    f"{where}: {name} ESS of {parameter} is {ess:.0f}, below {MIN_ESS:.0f}; "
                    "use more --draws"
                )
        if self.divergences:
            yield (
                f"{where}: {self.divergences} divergent transitions; use more --tune, and look "
                "for two physics terms that the rows cannot tell apart"
            )
        if self.bfmi < MIN_BFMI:
            yield f"{where}: BFMI is {self.bfmi:.2f}, below {MIN_BFMI}; use more --tune"
        if self.pareto_k > MAX_PARETO_K:
            yield (
                f"{where}: Pareto k of the Laplace weights is {self.pareto_k:.2f}, above "
                f"{MAX_PARETO_K}; use --engine nuts"
            )


@dataclass(frozen=True, repr=False)
class Diagnostics:
    """The verdict on a fit.

    Attributes
    ----------
    stages : tuple of StageDiagnostics
    """

    stages: tuple[StageDiagnostics, ...]

    def __repr__(self) -> str:
        problems = self.problems
        more = f": {listed(problems, most=1)}" if problems else ""
        verdict = "not converged" if problems else "converged"
        return f"<Diagnostics of {listed(each.stage for each in self.stages)}: {verdict}{more}>"

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong in any stage; empty when all converged."""
        return tuple(problem for stage in self.stages for problem in stage.problems)

    @property
    def converged(self) -> bool:
        """Whether every stage passes every diagnostic."""
        return not self.problems
