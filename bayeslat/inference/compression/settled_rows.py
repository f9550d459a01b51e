"""Rows at a settled point: linearised there, outliers calmed, gross errors told."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.design import Linearisation
from bayeslat.inference.compression.stream.outliers import Outliers
from bayeslat.inference.compression.stream.to_sums import noise_units
from bayeslat.inference.rows.pilot import pseudo_values
from bayeslat.inference.rows.plan import FitPlan
from bayeslat.inference.rows.regression import log_linear
from bayeslat.inference.rows.repeats import number_configs
from bayeslat.inference.rows.settled import SettledPoint, SettledStage
from bayeslat.inference.rows.stage_rows import StageRows, held_rows

__all__ = ["SettledRows", "settled_rows"]


@dataclass(frozen=True)
class SettledRows:
    """Rows of a group in one stage, linearised at a settled point.

    Attributes
    ----------
    part : SettledStage
    group : int
        Position of the group at the point.
    has_hurdle : bool
        Whether the stage has one.
    held : StageRows
    position : ndarray of int, shape (row,)
        In the table that they were taken from.
    design : ndarray, shape (row, feature)
        Over the noise shape, as the response.
    response : ndarray, shape (row,)
    spread : ndarray, shape (row,)
        The noise shape.
    """

    part: SettledStage
    group: int
    has_hurdle: bool
    held: StageRows
    position: NDArray[np.int64]
    design: NDArray[np.float64]
    response: NDArray[np.float64]
    spread: NDArray[np.float64]

    @cached_property
    def fitted(self) -> NDArray[np.float64]:
        """What the group's pilot says of them. Shape (row,)."""
        fitted: NDArray[np.float64] = self.design @ self.part.pilots.effect[self.group]
        return fitted

    @cached_property
    def residual(self) -> NDArray[np.float64]:
        """How far they are off the pilot. Shape (row,)."""
        return self.response - self.fitted

    @property
    def noise(self) -> float:
        """Scale of the noise of the group, in log latency."""
        return float(self.part.pilots.sd[self.group])

    @property
    def calmed(self) -> NDArray[np.float64]:
        """The response, without the pull of outliers. Shape (row,)."""
        return pseudo_values(self.fitted, self.residual, self.noise, self.part.noise_dof)

    @property
    def config_offsets(self) -> NDArray[np.float64]:
        """How far the configurations are off the pilot, in scales of the noise. Shape (config,).

        Means of their repeats. Of those beyond the training range, the pilot knows little: they are
        left out.
        """
        within = ~self._beyond
        labels = np.unique(self.held.config[within], return_inverse=True)[1]
        offsets = (self.residual / self.noise)[within]
        means: NDArray[np.float64] = np.bincount(labels, offsets) / np.bincount(labels)
        return means

    @property
    def gross(self) -> NDArray[np.int64]:
        """Position of those that a pass sets aside. Shape (gross,)."""
        if not len(self.held):
            return self.position
        unit = noise_units(self.part, self.part.pilots.sd)[self.group]
        outliers = Outliers(self.part, hurdle=self.has_hurdle)
        gross = outliers.gross(self.residual / unit, 1.0 / (unit * self.spread), self._beyond)
        return self.position[:0] if gross is None else self.position[gross]

    @property
    def _beyond(self) -> NDArray[np.bool_]:
        """Whether a row lies beyond the training range in a residual feature. Shape (row,)."""
        basis = self.part.basis
        features = np.flatnonzero(basis.moved[: len(basis.features)])
        places = np.abs(basis.places(self.held.inputs.raw)[:, features])
        beyond: NDArray[np.bool_] = np.any(places > 1 + 1e-9, axis=1)
        return beyond


def settled_rows(
    plan: FitPlan, point: SettledPoint, stage: str, group: tuple[str, str]
) -> SettledRows:
    """Linearise the rows of a group at a settled point.

    Parameters
    ----------
    plan : FitPlan
        Of the rows.
    point : SettledPoint
    stage : str
    group : tuple of (gpu, stack)
        One of both.

    Returns
    -------
    SettledRows
    """
    part, members = point.stages[stage], plan.members[plan.groups.index(group)]
    gpu = point.gpus.index(group[0])
    rows = plan.frame.iloc[members]
    labels = number_configs(rows[list(plan.reference)])
    held = held_rows(point.spec, stage, rows, point.hardware[group[0]], labels)
    departure = part.departure[gpu]
    view = Linearisation(part.shared_efficiency + departure, part.projection[gpu])
    design, response = log_linear(view, departure, held, part.basis)
    spread = part.noise_shape.spread(part.basis, held.inputs.raw)
    return SettledRows(
        part=part,
        group=point.groups.index(group),
        has_hurdle=point.spec.stages[stage].hurdle is not None,
        held=held,
        position=members[held.position],
        design=design / spread[:, None],
        response=response / spread,
        spread=spread,
    )
