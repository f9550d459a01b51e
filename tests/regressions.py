"""Rows of a linear regression with known slopes, noise and repeats, for tests of the pilot fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.design import StageInputs
from bayeslat.features.residual import ResidualBasis, span_basis
from bayeslat.inference.rows.stage_rows import StageRows

type Array = NDArray[np.float64]

FLAT = 1e6
"""A prior sd so wide that the prior says nothing."""


@dataclass(frozen=True)
class Rows:
    """Rows of one group, and what they were drawn from."""

    design: Array  # shape: (row, feature)
    response: Array  # shape: (row,)
    effect: Array  # shape: (feature,)
    sd: float

    @property
    def even(self) -> Array:
        """A weight of 1 for every row."""
        return np.ones(len(self.response))

    @property
    def flat(self) -> Array:
        """A prior that says nothing."""
        return np.full(len(self.effect), FLAT)


def draw_errors(rng: np.random.Generator, rows: int, dof: float = np.inf) -> Array:
    """Draw standard normal or Student-t errors."""
    return rng.standard_normal(rows) if np.isinf(dof) else rng.standard_t(dof, rows)


def make_rows(
    seed: int, rows: int = 300, features: int = 3, sd: float = 0.05, dof: float = np.inf
) -> Rows:
    """Draw a constant and normal columns, effects of some size, and errors of a scale."""
    rng = np.random.default_rng(seed)
    design = np.concatenate([np.ones((rows, 1)), rng.standard_normal((rows, features - 1))], axis=1)
    effect = rng.uniform(0.1, 0.4, features) * rng.choice([-1, 1], features)
    return Rows(design, design @ effect + sd * draw_errors(rng, rows, dof), effect, sd)


def least_squares(design: Array, response: Array, weights: Array | None = None) -> Array:
    """Solve weighted least squares by QR. Shape (feature,)."""
    root = np.sqrt(np.ones(len(response)) if weights is None else weights)
    solved: Array = np.linalg.lstsq(design * root[:, None], response * root)[0]
    return solved


def slope_errors(rows: Rows, dof: float = np.inf) -> Array:
    """Standard errors of the maximum likelihood estimates. Shape (feature,)."""
    inflation = 1.0 if np.isinf(dof) else (dof + 3) / (dof + 1)
    information = rows.design.T @ rows.design / (inflation * rows.sd**2)
    errors: Array = np.sqrt(np.diag(np.linalg.inv(information)))
    return errors


def unit_basis(features: int = 1, degree: int = 1) -> ResidualBasis:
    """Return a basis whose training range is [-1, 1] in each feature."""
    names = [f"x{i}" for i in range(features)]
    return span_basis(names, degree, np.array([[-1.0], [1.0]]) * np.ones(features))


def as_stage_rows(
    raw: Array, labels: NDArray[np.int64], task: Sequence[str] | None = None
) -> StageRows:
    """Dress coordinates (row, coordinate), configuration numbers and tasks as a group's rows."""
    blank = np.ones(len(raw))
    inputs = StageInputs(blank[:, None], raw, task)
    return StageRows("a", inputs, blank, labels, np.arange(len(raw)))
