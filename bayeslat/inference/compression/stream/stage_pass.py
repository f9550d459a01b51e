"""One stage's part of the pass: rows of one GPU, in batches that stay in the cache, to sums.

The arithmetic is that of `regress` and `summarise`, row by row, with arrays of shape (feature, row)
that are written in place, in units of the noise from the start: one symmetric product of the
design, with the response as a last row, holds Z'Z, Z'y and y'y at once. What is linear is done
last, in the sums. Rows that are gross errors, beside the settled pilot of their group, have sums of
their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.expressions import Expression
from bayeslat.features.program import Value
from bayeslat.features.residual import ResidualBasis
from bayeslat.features.stage import Stage
from bayeslat.features.tasks import NO_TASK
from bayeslat.inference.compression.stream.outliers import Outliers
from bayeslat.inference.compression.stream.to_sums import noise_units, to_sums
from bayeslat.inference.rows.settled import SettledStage
from bayeslat.inference.rows.windows import StageSums
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
    groups : sequence of int, shape (group,)
        Position of each group's GPU.
    """

    def __init__(self, stage: Stage, point: SettledStage, groups: Sequence[int]) -> None:
        self._stage, self._point, self._pilots = stage, point, point.pilots
        self._least_ms = stage.hurdle.above_ms if stage.hurdle else 0.0
        self._gpu_of = tuple(groups)
        self._terms = [term.expression for term in stage.physics.values()]
        self._features = [Expression(text) for text in point.basis.features]
        self._plan = _monomials(point.basis)
        self._efficiency = np.exp(point.shared_efficiency + point.departure)
        features, size = len(self._features), len(self._terms) + len(point.basis.names) + 1
        low, high = point.basis.low[:features], point.basis.high[:features]
        self._moved = point.basis.moved[:features]
        self._half = np.where(self._moved, 0.5 * (high - low), 1.0)
        self._middle = np.where(self._moved, 0.5 * (high + low), 0.0) / self._half
        self._unit = noise_units(point, self._pilots.sd)
        self._to_sums = np.array(
            [
                to_sums(point, effect, gpu)
                for effect, gpu in zip(self._pilots.effect, self._gpu_of, strict=True)
            ]
        )
        self._less_fitted = -self._to_sums[:, -1, :-1]
        self._less_fitted[:, : len(self._terms)] += point.departure[list(self._gpu_of)]
        self._outliers = Outliers(point, hurdle=stage.hurdle is not None)
        # Of the rows that count, and of gross errors.
        self._products = np.zeros((2, len(self._gpu_of), size, size))
        self._measured = np.zeros((2, len(self._gpu_of)), dtype=np.int64)
        self._beyond = 0

    @property
    def expressions(self) -> list[Expression]:
        """Whose values `add` takes: physics terms, features, how often the stage runs."""
        return [*self._terms, *self._features, self._stage.times]

    @property
    def height(self) -> int:
        """Rows of the space that `add` needs."""
        return self._products.shape[-1] + len(self._features)

    def add(
        self,
        group: int,
        values: Sequence[Value],
        latency_ms: Array,
        task: str | None,
        space: Array,
    ) -> None:
        """Take a batch of rows of one group, all of one task.

        Parameters
        ----------
        group : int
        values : sequence of Value
            Of `expressions`.
        latency_ms : ndarray, shape (row,)
            NaN where it was not measured; written over.
        task : str or None
        space : ndarray, shape (height or more, row)
            To work in; one that the stages share stays in the cache.

        Raises
        ------
        BrokenBatchError
            If a row breaks a rule of its physics, its features or its latency.
        """
        count, terms, gpu = len(latency_ms), len(self._terms), self._gpu_of[group]
        table = space[: self.height - len(self._features)]
        scaled = space[len(table) : self.height]
        held = self._held(latency_ms)
        with np.errstate(all="ignore"):
            total = self._times(table[:terms], values[:terms], self._efficiency[gpu])
            beyond = self._scale(scaled, values[terms:-1], held)
            _check_times(values[-1])
            whiten = self._whiten(scaled, self._unit[group])
            if held is not None:
                whiten *= held
            self._columns(table[terms:-1], scaled, whiten, task)
            self._respond(table, latency_ms, total, whiten, group)
            whiten *= total
            gross = self._outliers.gross(table[-1], whiten, beyond)
            self._outliers.calm(table[-1])
            if gross is not None:
                wrong = table[:, gross]
                table[:, gross] = 0.0
            product = table @ table.T
        # What is not finite in any row is not in the sum of its squares either.
        if not isfinite(product.trace()):
            raise BrokenBatchError
        self._products[0, group] += product
        self._measured[0, group] += count if held is None else int(held.sum())
        if gross is not None:
            self._products[1, group] += wrong @ wrong.T
            self._measured[:, group] += np.array([-1, 1]) * wrong.shape[1]

    def mark(self) -> Mark:
        """Return where the sums are, for `go_back`."""
        return self._products.copy(), self._measured.copy(), self._beyond

    def go_back(self, mark: Mark) -> None:
        """Forget the rows since a mark."""
        self._products[:], self._measured[:], self._beyond = mark

    def take_sums(self) -> tuple[StageSums, StageSums]:
        """Return the sums so far, and those of gross errors; start again from zero."""
        sums = (self._sums(0, self._beyond), self._sums(1, 0))
        self._products[:], self._measured[:], self._beyond = 0.0, 0, 0
        return sums

    def _sums(self, kind: int, beyond: int) -> StageSums:
        """Do what is linear."""
        weight, measured = self._pilots.weight, self._measured[kind].copy()
        product = self._to_sums @ self._products[kind] @ self._to_sums.transpose(0, 2, 1)
        product *= np.square(self._unit)[:, None, None]
        statistics = Statistics(
            gram=product[:, :-1, :-1] * weight[:, None, None],
            moment=product[:, :-1, -1] * weight[:, None],
            square=product[:, -1, -1] * weight,
            rows=measured * weight,
        )
        return StageSums(statistics, measured, beyond)

    def _held(self, latency_ms: Array) -> Array | None:
        """Where the stage took time, 1 or 0; None if everywhere. Gaps become 1 ms."""
        if latency_ms.min() > self._least_ms:
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
        if not times.min() >= 0.0:
            raise BrokenBatchError
        total: Array = np.ones(len(times)) @ times
        return total

    def _scale(
        self, scaled: Array, values: Sequence[Value], held: Array | None
    ) -> NDArray[np.bool_] | None:
        """Write the features on [-1, 1] over the training range, and at its edge beyond it.

        Returns which rows lie beyond; None for none.
        """
        for row, value, half in zip(scaled, values, self._half, strict=True):
            _write(row, value, 1.0 / half)
        scaled -= self._middle[:, None]
        if not self._moved.all():
            self._scale_still(scaled)
        low, high = scaled.min(initial=0.0), scaled.max(initial=0.0)
        if not (low > -np.inf and high < np.inf):
            raise BrokenBatchError
        if max(high, -low) > 1.0:
            beyond = np.any(np.abs(scaled) > 1.0 + 1e-9, axis=0)
            self._beyond += int(np.sum(beyond if held is None else beyond & (held > 0.0)))
            np.clip(scaled, -1.0, 1.0, out=scaled)
            return np.asarray(beyond)
        return None

    def _scale_still(self, scaled: Array) -> None:
        """Scale the features that never moved in training, which have no range."""
        still, basis = ~self._moved, self._point.basis
        if not np.isfinite(scaled[still]).all():
            raise BrokenBatchError
        raw = np.zeros((scaled.shape[1], len(basis.low)))
        raw[:, : len(scaled)] = scaled.T
        scaled[still] = basis.scaled(raw).T[still]

    def _columns(self, columns: Array, scaled: Array, whiten: Array, task: str | None) -> None:
        """Write the residual basis: monomials as products of earlier ones, then the tasks."""
        for row, (earlier, feature) in zip(columns, self._plan, strict=False):
            np.multiply(whiten if earlier < 0 else columns[earlier], scaled[feature], out=row)
        for row, known in zip(columns[len(self._plan) :], self._point.basis.tasks, strict=True):
            row[:] = whiten if (NO_TASK if task is None else task) == known else 0.0

    def _whiten(self, scaled: Array, unit: float) -> Array:
        """Return one over the noise: its shape times the group's unit. Shape (row,)."""
        slopes, centre = self._point.noise_shape.slopes, self._point.noise_shape.centre
        if not len(slopes):
            return np.full(scaled.shape[1], 1.0 / unit)
        half = len(scaled)
        log_whiten = -slopes[:half] @ scaled
        log_whiten -= slopes[half:] @ np.square(scaled)
        log_whiten += centre @ slopes - np.log(unit)
        whiten: Array = np.exp(log_whiten, out=log_whiten)
        return whiten

    def _respond(
        self, table: Array, latency_ms: Array, total: Array, whiten: Array, group: int
    ) -> None:
        """Write the shares, and as a response how far each row is from the pilot."""
        shares, response = table[: len(self._terms)], table[-1]
        np.divide(latency_ms, total, out=response)
        np.log(response, out=response)
        response *= whiten
        whiten /= total
        shares *= whiten
        response += self._less_fitted[group] @ table[:-1]


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
