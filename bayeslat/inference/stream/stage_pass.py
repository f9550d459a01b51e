"""One stage's part of the pass: rows of one GPU, in batches that stay in the cache, to sums.

The arithmetic is that of `regress` and `summarise`, row by row, with arrays of shape (feature, row)
that are written in place, over the noise shape from the start: one symmetric product of the design,
with the response as a last row, holds Z'Z, Z'y and y'y at once. The residual columns are made
orthogonal to the shares last, in the sums: that is linear, and the same for all rows of a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.expressions import Expression
from bayeslat.features.program import Value
from bayeslat.features.residual import ResidualBasis
from bayeslat.features.stage import Stage
from bayeslat.features.tasks import NO_TASK
from bayeslat.inference.settled import SettledStage
from bayeslat.inference.windows import StageSums
from bayeslat.model.statistics import Statistics

__all__ = ["BrokenBatchError", "Mark", "StagePass"]

type Array = NDArray[np.float64]
type Mark = tuple[Array, NDArray[np.int64], int]


class BrokenBatchError(Exception):
    """A batch holds a row that breaks a rule: where, the slower checks tell."""


class StagePass:
    """Sums of one stage, which grow batch by batch.

    Parameters
    ----------
    stage : Stage
    point : SettledStage
        With its pilots.
    groups : sequence of int, shape (group,)
        Position of each group's GPU.
    most_rows : int
        Of a batch.
    """

    def __init__(
        self, stage: Stage, point: SettledStage, groups: Sequence[int], most_rows: int
    ) -> None:
        if point.pilots is None:
            raise ValueError("a settled point without pilots takes no rows")
        self._stage, self._point, self._pilots = stage, point, point.pilots
        self._least_ms = stage.hurdle.above_ms if stage.hurdle else 0.0
        self._gpu_of = tuple(groups)
        self._terms = [term.expression for term in stage.physics.values()]
        self._features = [Expression(text) for text in point.basis.features]
        self._plan = _monomials(point.basis)
        self._efficiency = np.exp(point.shared_efficiency + point.departure)
        size = len(self._terms) + len(point.basis.names)
        self._table = np.empty((size + 1, most_rows))
        self._scaled = np.empty((len(self._features), most_rows))
        self._orthogonal = [_orthogonal(part, len(self._terms)) for part in point.projection]
        # Effects of the columns as they are, not yet orthogonal.
        self._effect = [
            effect @ self._orthogonal[gpu][:-1, :-1]
            for effect, gpu in zip(self._pilots.effect, self._gpu_of, strict=True)
        ]
        self._products = np.zeros((len(self._gpu_of), size + 1, size + 1))
        self._measured = np.zeros(len(self._gpu_of), dtype=np.int64)
        self._beyond = 0

    @property
    def expressions(self) -> list[Expression]:
        """Whose values `add` takes: physics terms, features, how often the stage runs."""
        return [*self._terms, *self._features, self._stage.times]

    def add(self, group: int, values: Sequence[Value], latency_ms: Array, task: str | None) -> None:
        """Take a batch of rows of one group, all of one task.

        Parameters
        ----------
        group : int
        values : sequence of Value
            Of `expressions`.
        latency_ms : ndarray, shape (row,)
            NaN where it was not measured; written over.
        task : str or None

        Raises
        ------
        BrokenBatchError
            If a row breaks a rule of its physics, its features or its latency.
        """
        count, terms, point = len(latency_ms), len(self._terms), self._point
        table, scaled = self._table[:, :count], self._scaled[:, :count]
        gpu = self._gpu_of[group]
        held = self._held(latency_ms)
        total = self._times(table[:terms], values[:terms], self._efficiency[gpu])
        self._scale(scaled, values[terms:-1], held)
        _check_times(values[-1])
        whiten = self._whiten(scaled, count)
        if held is not None:
            whiten *= held
        self._columns(table[terms:-1], scaled, whiten, task)
        response = table[-1]
        np.divide(latency_ms, total, out=response)
        np.log(response, out=response)
        response *= whiten
        whiten /= total
        table[:terms] *= whiten
        response += point.departure[gpu] @ table[:terms]
        self._calm(table, group)
        self._products[group] += table @ table.T
        self._measured[group] += count if held is None else int(held.sum())

    def mark(self) -> Mark:
        """Return where the sums are, for `go_back`."""
        return self._products.copy(), self._measured.copy(), self._beyond

    def go_back(self, mark: Mark) -> None:
        """Forget the rows since a mark."""
        self._products[:], self._measured[:], self._beyond = mark

    def take_sums(self) -> StageSums:
        """Return the sums so far, and start again from zero."""
        weight = self._pilots.weight
        product = np.array(
            [
                self._orthogonal[gpu] @ each @ self._orthogonal[gpu].T
                for each, gpu in zip(self._products, self._gpu_of, strict=True)
            ]
        )
        statistics = Statistics(
            gram=product[:, :-1, :-1] * weight[:, None, None],
            moment=product[:, :-1, -1] * weight[:, None],
            square=product[:, -1, -1] * weight,
            rows=self._measured * weight,
        )
        sums = StageSums(statistics, self._measured.copy(), self._beyond)
        self._products[:], self._measured[:], self._beyond = 0.0, 0, 0
        return sums

    def _held(self, latency_ms: Array) -> Array | None:
        """Where the stage took time, 1 or 0; None if everywhere. Gaps become 1 ms."""
        if latency_ms.min() > self._least_ms and latency_ms.max() < np.inf:
            return None
        gaps = np.isnan(latency_ms)
        latency_ms[gaps] = 1.0
        if not (latency_ms.min() > 0.0 and latency_ms.max() < np.inf):
            raise BrokenBatchError
        gaps |= latency_ms <= self._least_ms
        return 1.0 - gaps

    def _times(self, times: Array, values: Sequence[Value], efficiency: Array) -> Array:
        """Write the time of each term; return that of all. Shape (row,)."""
        for time, value, factor in zip(times, values, efficiency, strict=True):
            _write(time, value, factor)
            if not time.min() >= 0.0:
                raise BrokenBatchError
        total: Array = times.sum(axis=0)
        if not (total.min() > 0.0 and total.max() < np.inf):
            raise BrokenBatchError
        return total

    def _scale(self, scaled: Array, values: Sequence[Value], held: Array | None) -> None:
        """Write the features on [-1, 1] over the training range, and at its edge beyond it."""
        basis, most = self._point.basis, 0.0
        for j, (row, value) in enumerate(zip(scaled, values, strict=True)):
            half = 0.5 * (basis.high[j] - basis.low[j]) if basis.moved[j] else 1.0
            _write(row, value, 1.0 / half)
            if basis.moved[j]:
                row -= 0.5 * (basis.high[j] + basis.low[j]) / half
            low, high = row.min(), row.max()
            if not (low > -np.inf and high < np.inf):
                raise BrokenBatchError
            most = max(most, high, -low) if basis.moved[j] else most
        if not basis.moved[: len(scaled)].all():
            raw = np.zeros((scaled.shape[1], len(basis.low)))
            raw[:, : len(scaled)] = scaled.T
            still = ~basis.moved[: len(scaled)]
            scaled[still] = basis.scaled(raw).T[still]
            most = max(most, float(np.abs(scaled[still]).max()))
        if most > 1.0:
            beyond = np.any(np.abs(scaled) > 1.0 + 1e-9, axis=0)
            self._beyond += int(np.sum(beyond if held is None else beyond & (held > 0.0)))
            np.clip(scaled, -1.0, 1.0, out=scaled)

    def _columns(self, columns: Array, scaled: Array, whiten: Array, task: str | None) -> None:
        """Write the residual basis: monomials as products of earlier ones, then the tasks."""
        for row, (earlier, feature) in zip(columns, self._plan, strict=False):
            np.multiply(whiten if earlier < 0 else columns[earlier], scaled[feature], out=row)
        for row, known in zip(columns[len(self._plan) :], self._point.basis.tasks, strict=True):
            row[:] = whiten if (NO_TASK if task is None else task) == known else 0.0

    def _whiten(self, scaled: Array, count: int) -> Array:
        """Return one over the noise shape. Shape (row,)."""
        slopes, centre = self._point.noise_shape.slopes, self._point.noise_shape.centre
        if not len(slopes):
            return np.ones(count)
        half = len(scaled)
        log_spread = slopes[:half] @ scaled
        log_spread += slopes[half:] @ np.square(scaled)
        log_spread -= centre @ slopes
        np.negative(log_spread, out=log_spread)
        whiten: Array = np.exp(log_spread, out=log_spread)
        return whiten

    def _calm(self, table: Array, group: int) -> None:
        """Write Huber's pseudo-values in place of the responses.

        The fitted value plus psi(residual) / E[psi'], as `Pilot.pseudo_values` has them.
        """
        response, dof = table[-1], self._point.noise_dof
        if np.isinf(dof):
            return
        fitted = self._effect[group] @ table[:-1]
        residual = response - fitted
        weight = np.square(residual)
        weight *= 1.0 / self._pilots.sd[group] ** 2
        weight += dof
        residual /= weight
        residual *= dof + 3
        np.add(fitted, residual, out=response)


def _orthogonal(projection: Array, terms: int) -> Array:
    """Return what takes the shares off the residual columns, and leaves the response as it is."""
    size = terms + projection.shape[1] + 1
    found = np.eye(size)
    found[terms:-1, :terms] = -projection.T
    return found


def _write(row: Array, value: Value, factor: float) -> None:
    """Write a value times a number."""
    array, scale = value
    if array is None:
        row[:] = scale * factor
    else:
        np.multiply(array, scale * factor, out=row)


def _check_times(value: Value) -> None:
    """Refuse a stage that runs less than never, or for ever."""
    array, scale = value
    ends = (scale, scale) if array is None else (scale * array.min(), scale * array.max())
    if not (min(ends) >= 0.0 and max(ends) < np.inf):
        raise BrokenBatchError


def _monomials(basis: ResidualBasis) -> tuple[tuple[int, int], ...]:
    """Give each monomial as an earlier one times a feature; -1 for a feature itself."""
    known: Mapping[tuple[int, ...], int] = {
        tuple(row): at for at, row in enumerate(basis.exponents.tolist())
    }
    plan = []
    for row in basis.exponents.tolist():
        feature = max(j for j, power in enumerate(row) if power)
        row[feature] -= 1
        plan.append((known[tuple(row)] if any(row) else -1, feature))
    return tuple(plan)
