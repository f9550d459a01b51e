"""Rows that are gathered piece by piece and wanted as columns, in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["ColumnLog"]

type Numbers = NDArray[np.float64]


class ColumnLog:
    """Columns of numbers, 8 bytes a cell, that grow by rows.

    Parameters
    ----------
    names : sequence of str
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._places = {name: place for place, name in enumerate(names)}
        self._cells = array("d")  # row after row

    @property
    def n_rows(self) -> int:
        """Rows so far."""
        return len(self._cells) // len(self._places)

    def extend(self, columns: Mapping[str, Numbers], n_rows: int) -> None:
        """Add rows; a column that they lack is NaN in them."""
        lacking = np.full(n_rows, np.nan)
        rows = np.stack([columns.get(name, lacking) for name in self._places], axis=1)
        self._cells.frombytes(rows.astype(np.float64).tobytes())

    def get(self, positions: Sequence[int], name: str) -> Numbers:
        """Return cells of a column, shape (position,)."""
        found: Numbers = self._table()[list(positions), self._places[name]]
        return found

    def set(self, positions: Sequence[int], name: str, values: Numbers) -> None:
        """Change cells of a column."""
        self._table()[list(positions), self._places[name]] = values

    def __getitem__(self, name: str) -> Numbers:
        """Return a column, shape (row,)."""
        return self._table()[:, self._places[name]].copy()

    def slices(self, n_rows: int) -> Iterator[tuple[slice, dict[str, Numbers]]]:
        """Give the rows in order, at most so many at a time."""
        for first in range(0, self.n_rows, n_rows):
            rows = slice(first, min(first + n_rows, self.n_rows))
            table = self._table()[rows]
            yield rows, {name: table[:, place].copy() for name, place in self._places.items()}

    def _table(self) -> Numbers:
        """Return the cells without a copy; no row can be added while somebody holds it."""
        return np.frombuffer(self._cells, dtype=np.float64).reshape(-1, len(self._places))
