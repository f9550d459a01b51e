"""Design matrices: what a stage's physics and residual features are at given configurations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.errors import SpecError
from bayeslat.features.coverage import covered_knobs
from bayeslat.features.hardware import Gpu
from bayeslat.features.residual import ResidualBasis
from bayeslat.features.spec import Spec
from bayeslat.features.spec_fields import reachable
from bayeslat.traces.names import TASK

__all__ = [
    "Linearisation",
    "StageInputs",
    "coordinates",
    "counting_knobs",
    "linearise",
    "physics_ms",
    "stage_inputs",
    "stage_times",
]


@dataclass(frozen=True)
class StageInputs:
    """A stage's physics terms and residual features for some configurations on one GPU.

    Attributes
    ----------
    terms_ms : ndarray, shape (config, term)
        Time of each physics term at the data-sheet peaks, in ms.
    raw : ndarray, shape (config, coordinate)
        Values of the residual features, then of the other coordinates whose range is watched.
    task : sequence of str, shape (config,), or None
    """

    terms_ms: NDArray[np.float64]
    raw: NDArray[np.float64]
    task: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.terms_ms)


def stage_inputs(spec: Spec, stage: str, configs: pd.DataFrame, gpu: Gpu) -> StageInputs:
    """Evaluate a stage's expressions.

    Parameters
    ----------
    spec : Spec
    stage : str
    configs : DataFrame, one row a config
        Holds the knobs that the stage's expressions name.
    gpu : Gpu
        Whose data sheet the physics is for.

    Returns
    -------
    StageInputs

    Raises
    ------
    SpecError
        If a term is negative or not finite, or all terms of a row are zero.
    """
    names, rows = spec.at(configs, gpu), len(configs)
    part = spec.stages[stage]
    terms = _table([names.evaluate(term.expression) for term in part.physics.values()], rows)
    raw = _table([names.evaluate(coordinate) for coordinate in coordinates(spec, stage)], rows)
    _check(stage, list(part.physics), terms, gpu, positive=True)
    _check(stage, coordinates(spec, stage), raw, gpu, positive=False)
    return StageInputs(terms, raw, configs[TASK].tolist() if TASK in configs else None)


def stage_times(spec: Spec, stage: str, configs: pd.DataFrame, gpu: Gpu) -> NDArray[np.float64]:
    """Evaluate how often a stage runs in one request. Shape (config,).

    Parameters
    ----------
    spec : Spec
    stage : str
    configs : DataFrame, one row a config
        Holds the knobs (and the task) that `times` names.
    gpu : Gpu
    """
    times = spec.at(configs, gpu).evaluate(spec.stages[stage].times)
    return np.broadcast_to(np.asarray(times, dtype=float), len(configs))


@lru_cache(maxsize=64)
def coordinates(spec: Spec, stage: str) -> tuple[str, ...]:
    """Name what a stage's training range is measured in.

    Parameters
    ----------
    spec : Spec
    stage : str

    Returns
    -------
    tuple of str
        The residual features, then each knob that the physics uses and whose range no residual
        feature tells.
    """
    part = spec.stages[stage]
    features = part.residual.features if part.residual else ()
    covered, used = covered_knobs(spec, stage), _used(spec, stage)
    watched = [knob for knob in spec.knobs if knob in used and knob not in covered]
    return tuple([feature.text for feature in features] + watched)


@lru_cache(maxsize=64)
def counting_knobs(spec: Spec, stage: str) -> tuple[str, ...]:
    """Name the knobs that say how often a stage runs, and of whose range nothing else tells.

    Parameters
    ----------
    spec : Spec
    stage : str

    Returns
    -------
    tuple of str
        Those of `times` that the physics does not use, and whose range no residual feature tells.
    """
    counting = reachable(spec.stages[stage].times.names, spec.quantity_names)
    others = covered_knobs(spec, stage) | _used(spec, stage)
    return tuple(knob for knob in spec.knobs if knob in counting and knob not in others)


def _used(spec: Spec, stage: str) -> set[str]:
    """Names that the physics uses."""
    terms = spec.stages[stage].physics.values()
    names = (name for term in terms for name in term.expression.names)
    return set(reachable(names, spec.quantity_names))


@dataclass(frozen=True)
class Linearisation:
    """The Gauss-Newton view of the additive physics at one GPU's efficiencies.

    Near `log_efficiency`, log latency is linear in the offsets u of the terms, with the terms'
    shares of the time as slopes; the residual columns are made orthogonal to the shares over the
    reference configurations, so that they cannot explain what physics does.

    Attributes
    ----------
    log_efficiency : ndarray, shape (term,)
        theta: log of how many times slower than the data sheet each term runs.
    projection : ndarray, shape (term, column)
        What to take off each residual column, per unit of share.
    """

    log_efficiency: NDArray[np.float64]
    projection: NDArray[np.float64]

    def design(
        self,
        inputs: StageInputs,
        basis: ResidualBasis,
        *,
        residual_at: StageInputs | None = None,
        columns: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Physics at the linearisation point, and the design matrix of the departures from it.

        Parameters
        ----------
        inputs : StageInputs
        basis : ResidualBasis
        residual_at : StageInputs, optional
            Where the residual columns are evaluated; at `inputs` by default. Beyond the training
            range, shares grow that the rows hardly saw, and what was taken off the columns with
            them would act as physics: there the columns stay as they are at the edge.
        columns : ndarray, shape (config, column), optional
            The basis at `residual_at`, which linearising at several points computes once.

        Returns
        -------
        log_ms : ndarray, shape (config,)
            Log of the additive physics.
        design : ndarray, shape (config, feature)
            Shares of the terms, then the orthogonal residual columns.
        """
        log_ms, shares = physics_ms(inputs.terms_ms, self.log_efficiency)
        edge = inputs if residual_at is None else residual_at
        edge_shares = (
            shares if edge is inputs else physics_ms(edge.terms_ms, self.log_efficiency)[1]
        )
        if columns is None:
            columns = basis.columns(edge.raw, edge.task)
        orthogonal = columns - edge_shares @ self.projection
        return log_ms, np.concatenate([shares, orthogonal], axis=1)


def physics_ms(
    terms_ms: NDArray[np.float64], log_efficiency: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Additive physics: mu = sum_k exp(theta_k) F_k, and each term's share of it.

    Parameters
    ----------
    terms_ms : ndarray, shape (config, term)
    log_efficiency : ndarray, shape (term,)

    Returns
    -------
    log_ms : ndarray, shape (config,)
    shares : ndarray, shape (config, term)
        Rows sum to 1.
    """
    parts = terms_ms * np.exp(log_efficiency)
    total = parts.sum(axis=1, keepdims=True)
    return np.log(total[:, 0]), parts / total


def linearise(
    log_efficiency: NDArray[np.float64],
    reference: StageInputs,
    basis: ResidualBasis,
    columns: NDArray[np.float64] | None = None,
    *,
    minor: Sequence[int] = (),
) -> Linearisation:
    """Linearise at given efficiencies, with residuals orthogonal to physics over the reference.

    Parameters
    ----------
    log_efficiency : ndarray, shape (term,)
    reference : StageInputs
        The knob grid, with the GPU's own data sheet.
    basis : ResidualBasis
    columns : ndarray, shape (config, column), optional
        The basis over the knob grid, for who linearises at several points.
    minor : sequence of int
        Positions of terms that residuals need not be orthogonal to: a share of a few percent would
        take a column away, and could not take its place without an efficiency that is absurd.

    Returns
    -------
    Linearisation
    """
    _, shares = physics_ms(reference.terms_ms, log_efficiency)
    if columns is None:
        columns = basis.columns(reference.raw, reference.task)
    shares[:, list(minor)] = 0.0
    projection = np.linalg.lstsq(shares, columns, rcond=1e-10)[0]
    return Linearisation(log_efficiency, projection)


def _table(columns: Sequence[NDArray[np.float64]], rows: int) -> NDArray[np.float64]:
    """Place values of expressions, constants among them, side by side. Shape (config, column)."""
    full = [np.broadcast_to(np.asarray(column, dtype=float), rows) for column in columns]
    return np.stack(full, axis=1) if full else np.empty((rows, 0))


def _check(
    stage: str, names: Sequence[str], table: NDArray[np.float64], gpu: Gpu, *, positive: bool
) -> None:
    """Refuse values that no latency can have, naming the expression and the first such row."""
    bad = ~np.isfinite(table) | (positive & (table < 0))
    rule = "finite and not negative" if positive else "finite"
    problems = [
        f"{stage}: {name!r} is {table[bad[:, j].argmax(), j]} at row {bad[:, j].argmax() + 1} "
        f"on {gpu.key}; it must be {rule}"
        for j, name in enumerate(names)
        if bad[:, j].any()
    ]
    if positive and not problems and (empty := table.sum(axis=1) <= 0).any():
        problems = [f"{stage}: every physics term is 0 at row {empty.argmax() + 1} on {gpu.key}"]
    if problems:
        cure = "Correct the knobs of that row or the spec's expression."
        raise SpecError("; ".join(problems) + f". {cure}")
