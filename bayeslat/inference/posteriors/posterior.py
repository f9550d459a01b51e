"""What a fit knows: draws, linearisation points, statistics and where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.counted import listed
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec
from bayeslat.inference.engines.diagnostics import Diagnostics
from bayeslat.inference.hurdles.hurdle import HurdlePosterior
from bayeslat.inference.posteriors.gross_error import GrossError
from bayeslat.inference.posteriors.target import Target
from bayeslat.inference.rows.settled import SettledStage
from bayeslat.inference.rows.windows import Window
from bayeslat.model.problem import StageProblem
from bayeslat.model.student_t import information

__all__ = ["PosteriorData", "StagePosterior"]


@dataclass(frozen=True, eq=False, kw_only=True)
class StagePosterior(SettledStage):
    """One stage's posterior, and what decided how a row entered it.

    Attributes
    ----------
    problem : StageProblem
        Statistics, groups, features and priors of the regression.
    measured : tuple over group of int
        Rows that hold the stage.
    scales : ndarray, shape (draw, scale)
    effects : ndarray, shape (draw, node + 1, feature)
        Of each node of the group tree; the last is the shared effect.
    hurdle : HurdlePosterior or None
        What decides whether the stage takes any time; None where it always does.
    """

    problem: StageProblem
    measured: tuple[int, ...]
    scales: NDArray[np.float64]
    effects: NDArray[np.float64]
    hurdle: HurdlePosterior | None = None

    @classmethod
    def of(
        cls,
        settled: SettledStage,
        problem: StageProblem,
        measured: tuple[int, ...],
        scales: NDArray[np.float64],
        effects: NDArray[np.float64],
        hurdle: HurdlePosterior | None,
    ) -> StagePosterior:
        """Put what was drawn beside what decided how a row entered; see `StagePosterior`."""
        return cls(
            **vars(settled),
            problem=problem,
            measured=measured,
            scales=scales,
            effects=effects,
            hurdle=hurdle,
        )

    @property
    def settled(self) -> SettledStage:
        """What decided how a row entered, alone."""
        return SettledStage(
            **{each.name: getattr(self, each.name) for each in fields(SettledStage)}
        )

    @property
    def terms(self) -> int:
        """Number of physics terms; the first features."""
        return len(self.shared_efficiency)

    def noise_sd(self, group: int | None = None) -> NDArray[np.float64]:
        """Scale of the Student-t noise of a typical config's run, in log latency. Shape (draw,).

        Parameters
        ----------
        group : int, optional
            A group of rows; the stage's own noise without one.
        """
        log_sd = self.problem.layout.log_noise(self.scales, group)
        # The scales describe pseudo-values, which scatter more than the noise itself.
        sd: NDArray[np.float64] = np.sqrt(information(self.noise_dof)) * np.exp(log_sd)
        return sd


@dataclass(frozen=True, eq=False, repr=False)
class PosteriorData:
    """A fit of every stage, with all that prediction and updating need.

    Attributes
    ----------
    spec : Spec
    hardware : mapping of GPU key to Gpu
        Data sheets of the GPUs that were fitted.
    groups : tuple of (gpu, stack)
        The groups of rows; stack is empty where traces name none.
    families : mapping of GPU key to architecture generation
    reference : DataFrame, one row a config
        The knob grid over which residuals are orthogonal to physics.
    stages : mapping of stage to StagePosterior
    chains : int
        Draws are of this many chains, one after the other.
    statistics : mapping of stage to mapping of str to ndarray, shape (chain, draw)
        What the engine said about each draw.
    diagnostics : Diagnostics
    attrs : mapping
        Engine, seed, versions, fingerprint of the data.
    targets : mapping of (gpu, stack) to Target
        Groups that were calibrated after the fit; `hardware` has their data sheets too.
    noise_correlation : ndarray, shape (stage, stage), or None
        Of the stages' noise in one run, as a Gaussian copula; None where they are independent.
    windows : mapping of str to Window
        The rows that were fitted, apart, if they were fitted from statistics or updated.
    set_aside : tuple of GrossError
        Rows of donors whose latency the others make impossible: the draws do not stand on them.
    fitted_latencies : mapping of stage to ndarray of uint64, shape (row,)
        What tells the fitted rows from others (`hash_latencies`); empty for a fit of statistics,
        and without those that an update added.
    """

    spec: Spec
    hardware: Mapping[str, Gpu]
    groups: tuple[tuple[str, str], ...]
    families: Mapping[str, str]
    reference: pd.DataFrame
    stages: Mapping[str, StagePosterior]
    chains: int
    statistics: Mapping[str, Mapping[str, NDArray[np.float64]]]
    diagnostics: Diagnostics
    attrs: Mapping[str, Any]
    targets: Mapping[tuple[str, str], Target] = field(default_factory=dict)
    noise_correlation: NDArray[np.float64] | None = None
    windows: Mapping[str, Window] = field(default_factory=dict)
    set_aside: tuple[GrossError, ...] = ()
    fitted_latencies: Mapping[str, NDArray[np.uint64]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<PosteriorData of {self}>"

    def __str__(self) -> str:
        """Say what was fitted, and what was calibrated."""
        calibrated = listed(dict.fromkeys(gpu for gpu, _ in self.targets))
        more = f"; calibrated {calibrated}" if calibrated else ""
        return f"{self.spec.name}: {listed(self.stages)}; fitted {listed(self.fitted_gpus)}{more}"

    @property
    def gpus(self) -> tuple[str, ...]:
        """The GPUs of the groups, in order."""
        return tuple(dict.fromkeys(gpu for gpu, _ in self.groups))

    @property
    def fitted_gpus(self) -> tuple[str, ...]:
        """Those that have rows: the windows of a GPU may all have been retired."""
        held = (gpu for gpu, stack in self.groups if any(self.fitted_rows(gpu, stack).values()))
        return tuple(dict.fromkeys(held))

    def fitted_rows(self, gpu: str, stack: str) -> dict[str, int]:
        """Rows of a group that were fitted, by stage."""
        if (gpu, stack) not in self.groups:
            return dict.fromkeys(self.stages, 0)
        place = self.groups.index((gpu, stack))
        return {stage: part.measured[place] for stage, part in self.stages.items()}

    def measured_rows(self, gpu: str, stack: str) -> dict[str, int]:
        """Rows of a group that were fitted, or calibrated with, by stage."""
        fitted, target = self.fitted_rows(gpu, stack), self.targets.get((gpu, stack))
        if target is None:
            return fitted
        return {stage: rows + target.stages[stage].measured for stage, rows in fitted.items()}

    def known_stacks(self, gpu: str) -> tuple[str, ...]:
        """Stacks that a GPU was measured with, fitted or calibrated; an empty name for none."""
        calibrated = [group for group, target in self.targets.items() if len(target.rows)]
        return tuple(
            dict.fromkeys(stack for name, stack in (*self.groups, *calibrated) if name == gpu)
        )

    def unnamed_stack(self, gpu: str) -> str | None:
        """Stack of a GPU's rows that name none: one without a name, or else its only one.

        None where it was not measured, or only with several that have names.
        """
        known = self.known_stacks(gpu)
        if "" in known:
            return ""
        return known[0] if len(known) == 1 else None

    def is_measured(self, gpu: str, stack: str) -> bool:
        """Tell whether a group has a row of any stage, fitted or calibrated with."""
        return any(self.measured_rows(gpu, stack).values())

    def calibration_rows(self, gpu: str) -> int:
        """Rows that a GPU was calibrated with, over its stacks."""
        return sum(len(target.rows) for (name, _), target in self.targets.items() if name == gpu)

    @property
    def sources(self) -> tuple[str, ...]:
        """What kinds of traces were fitted: measured, composed, simulated, unknown."""
        return tuple(self.attrs.get("sources", ()))
