"""The settled point: all that decides how a row enters the statistics.

Sufficient statistics add only if every row was linearised at the same efficiencies, over the same
noise shape, with its outliers calmed round the same centre. A fit settles these from its rows,
compression from a sample of them; new rows of the same groups then join at the same point.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.gpu import Gpu
from bayeslat.features.noise_shape import NoiseShape
from bayeslat.features.residual import ResidualBasis
from bayeslat.features.spec import Spec
from bayeslat.inference.rows.pilot import Pilots
from bayeslat.inference.rows.repeats import UNTOLD_CONFIGS, UNTOLD_SHARED
from bayeslat.model.groups import GroupTree, grow_tree
from bayeslat.model.problem import MOST_COUNTED

__all__ = ["SettledPoint", "SettledStage"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SettledStage:
    """One stage's settled point.

    Attributes
    ----------
    basis : ResidualBasis
    shared_efficiency : ndarray, shape (term,)
        theta0: shared log slowdown of each physics term against the data sheet.
    departure : ndarray, shape (gpu, term)
        U: each GPU's own log slowdown less the shared one, where its physics is linearised.
    projection : ndarray, shape (gpu, term, column)
        What makes each GPU's residual columns orthogonal to its shares.
    noise_shape : NoiseShape
        How the noise depends on the configuration.
    noise_dof : float
        Degrees of freedom of the Student-t noise; infinite for Gaussian noise.
    noise_shared : float
        What part of the noise's variance is a configuration's own, which all of its runs share.
    noise_shared_configs : float
        Repeated configurations that tell that part, with those that a guess counts for.
    pilots : Pilots
        Round which centre outliers are calmed.
    most_counted : float
        Rows that those of a group count for together at most.
    untold : tuple of int
        Positions of physics terms that take little of the time, and that rows would have run far
        from where they were linearised (`astray`): how GPUs differ in them is as the prior has it.
    minor : tuple of int
        Where there are such, positions of all terms that take little of the time: residual columns
        are not orthogonal to them, so that they can take up what these would have stood for.
    """

    basis: ResidualBasis
    shared_efficiency: NDArray[np.float64]
    departure: NDArray[np.float64]
    projection: NDArray[np.float64]
    noise_shape: NoiseShape
    noise_dof: float
    pilots: Pilots
    most_counted: float = MOST_COUNTED
    noise_shared: float = UNTOLD_SHARED
    noise_shared_configs: float = UNTOLD_CONFIGS
    untold: tuple[int, ...] = ()
    minor: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class SettledPoint:
    """The settled point of every stage, and the groups that it is for.

    Attributes
    ----------
    spec : Spec
    hardware : mapping of GPU key to Gpu
    groups : tuple of (gpu, stack)
    reference : DataFrame, one row a config
        The knob grid over which residuals are orthogonal to physics.
    stages : mapping of stage to SettledStage
    """

    spec: Spec
    hardware: Mapping[str, Gpu]
    groups: tuple[tuple[str, str], ...]
    reference: pd.DataFrame
    stages: Mapping[str, SettledStage]

    @property
    def gpus(self) -> tuple[str, ...]:
        """The GPUs, in order."""
        return tuple(dict.fromkeys(gpu for gpu, _ in self.groups))

    @property
    def families(self) -> dict[str, str]:
        """Architecture generation of each GPU."""
        return {gpu: self.hardware[gpu].family for gpu in self.gpus}

    @property
    def tree(self) -> GroupTree:
        """Stacks, GPUs and families."""
        return grow_tree(self.groups, self.families)

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of all that decides how a row enters: statistics of equal ones add."""
        found = hashlib.sha256(self.spec.hash.encode())
        found.update(json.dumps(self.groups).encode())
        for gpu in self.gpus:
            found.update(self.hardware[gpu].model_dump_json().encode())
        for stage in sorted(self.stages):
            part = self.stages[stage]
            found.update(json.dumps([stage, part.basis.features, part.basis.tasks]).encode())
            arrays = [part.basis.low, part.basis.high, part.shared_efficiency, part.departure]
            arrays += [part.projection, part.noise_shape.slopes, part.noise_shape.centre]
            arrays.append(np.array([part.noise_dof, part.basis.degree]))
            arrays += [part.pilots.effect, part.pilots.sd, part.pilots.weight]
            for array in arrays:
                found.update(np.ascontiguousarray(array, dtype=float).tobytes())
        return found.hexdigest()
