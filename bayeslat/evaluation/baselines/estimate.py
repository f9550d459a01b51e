"""What a baseline says of configurations: latencies, and a distribution where it has one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.prediction import TOTAL
from bayeslat.errors import InputError

__all__ = ["LEVELS", "Estimate"]

type Values = NDArray[np.float64]

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Quantiles that a method predicts which has no draws."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Estimated latencies of configurations, in ms, positive and finite.

    Attributes
    ----------
    stages : mapping of stage to ndarray, shape (config,)
        Point of each stage, and of stages that a budget joins; empty where the method predicts the
        total alone.
    total : ndarray, shape (config,)
        Point of the total.
    draws : mapping of stage to ndarray, shape (config, draw), or None
        Of one further measured run; with `total`. None where the method has no draws.
    quantiles : mapping of stage to mapping of level to ndarray, shape (config,), or None
        At `LEVELS`, of one further measured run; with `total`. None where the method has draws,
        or no distribution at all.

    Raises
    ------
    ValueError
        If a latency is not positive and finite, or a shape is wrong: a fault of the method.
    """

    stages: Mapping[str, Values]
    total: Values
    draws: Mapping[str, Values] | None = None
    quantiles: Mapping[str, Mapping[float, Values]] | None = None

    def __post_init__(self) -> None:
        """Refuse what no latency can be."""
        count = len(self.total)
        for name, values in self.points.items():
            _check(name, values, (count,))
        for name, values in (self.draws or {}).items():
            _check(f"draws of {name}", values, (count, *values.shape[1:2]))
        for name, levels in (self.quantiles or {}).items():
            for level, values in levels.items():
                _check(f"{level} quantile of {name}", values, (count,))

    @property
    def points(self) -> Mapping[str, Values]:
        """Points of the stages, and of the `total`."""
        return {**self.stages, TOTAL: self.total}

    @property
    def has_distribution(self) -> bool:
        """Whether there are draws or quantiles."""
        return self.draws is not None or self.quantiles is not None

    def quantile(self, name: str, level: float) -> Values:
        """Quantile of a run of a stage, or of `total`, in ms. Shape (config,).

        Raises
        ------
        InputError
            If the method has no distribution, does not predict the stage, or has other levels.
        """
        if not self.has_distribution:
            raise InputError("this method has no distribution; ask one that has for a quantile")
        held = self.draws if self.draws is not None else self.quantiles or {}
        if name not in held:
            known = ", ".join(held)
            raise InputError(f"no distribution of {name!r}; this method has those of {known}")
        if self.draws is not None:
            found: Values = np.quantile(self.draws[name], level, axis=1)
            return found
        levels = (self.quantiles or {})[name]
        if level not in levels:
            listed = ", ".join(map(str, levels))
            raise InputError(f"no quantile at {level}; this method predicts those at {listed}")
        return levels[level]


def _check(name: str, values: Values, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise ValueError(f"{name} has shape {values.shape}; the configs need {shape}")
    if not (np.isfinite(values) & (values > 0.0)).all():
        raise ValueError(f"{name} holds values that are not positive and finite")
