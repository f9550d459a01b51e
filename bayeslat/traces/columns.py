"""Columns of several files put one below the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bayeslat.traces.formats.content import Column, FileContent

__all__ = ["join"]

# Above this, float64 no longer holds every whole number.
_EXACT = 2**53
_DIGITS = r"^[+-]?[0-9.]+([eE][+-]?[0-9]+)?$"
_ISO_8601_LOCAL = "%Y-%m-%dT%H:%M:%S"
_ISO_8601 = _ISO_8601_LOCAL + "%z"


def join(contents: Sequence[FileContent]) -> pd.DataFrame:
    """Return the rows of files as one frame, numbered from 0.

    Parameters
    ----------
    contents : sequence of FileContent
        The files, in order.

    Returns
    -------
    DataFrame
        Columns in the order in which they are first met; NaN where a file has none. Whole numbers
        stay whole where no cell is missing. Times are text in ISO 8601 where another file holds
        text, and numbers are text where another file holds digits as text (007). Else a column that
        is text in one file and a number in another keeps the cells as they are.
    """
    names = dict.fromkeys(name for content in contents for name in content.columns)
    n_rows = sum(content.n_rows for content in contents)
    columns = {
        name: _stack([content.columns.get(name, _nothing(content.n_rows)) for content in contents])
        for name in names
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(n_rows), columns=pd.Index([*names], dtype=str))


def _nothing(n_rows: int) -> pa.ChunkedArray:
    """Return a column of missing cells."""
    return pa.chunked_array([pa.nulls(n_rows)])


def _stack(pieces: Sequence[Column]) -> pd.Series:
    """Return the pieces of one column as one."""
    if all(isinstance(piece, pa.ChunkedArray) for piece in pieces):
        try:
            return _series(_concatenate(_numbers_beside_digits(_times_beside_text(pieces))))
        except pa.ArrowException:
            # The types have nothing in common, or a number would change in the common one.
            pass
    return pd.Series(np.concatenate([_objects(piece) for piece in pieces]), dtype=object)


def _times_beside_text(pieces: Sequence[pa.ChunkedArray]) -> Sequence[pa.ChunkedArray]:
    """Write times as text, as CSV has them, where another piece is text."""
    text = any(_is_text(piece) for piece in pieces)
    times = [pa.types.is_timestamp(piece.type) for piece in pieces]
    if not (text and any(times)):
        return pieces
    return [
        pc.strftime(piece, _ISO_8601 if piece.type.tz else _ISO_8601_LOCAL) if is_time else piece
        for piece, is_time in zip(pieces, times, strict=True)
    ]


def _numbers_beside_digits(pieces: Sequence[pa.ChunkedArray]) -> Sequence[pa.ChunkedArray]:
    """Write numbers as text, as CSV has them, where all text of others is digits: 007."""
    texts = [piece for piece in pieces if _is_text(piece)]
    if not texts or len(texts) == len(pieces):
        return pieces
    if not all(pc.all(pc.match_substring_regex(piece, _DIGITS)).as_py() for piece in texts):
        return pieces
    return [
        pa.chunked_array([[None if cell is None else str(cell) for cell in piece.to_pylist()]])
        if pa.types.is_integer(piece.type) or pa.types.is_floating(piece.type)
        else piece
        for piece in pieces
    ]


def _is_text(piece: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(piece.type) or pa.types.is_large_string(piece.type))


def _concatenate(pieces: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Return pieces in the narrowest type that holds them all."""
    schemas = [pa.schema([("cells", piece.type)]) for piece in pieces]
    common = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    chunks = [chunk for piece in pieces for chunk in piece.cast(common).chunks]
    return pa.chunked_array(chunks, type=common)


def _series(cells: pa.ChunkedArray) -> pd.Series:
    """Return a column in the type that pandas computes with."""
    if pa.types.is_null(cells.type):
        return pd.Series(np.full(len(cells), np.nan))
    if pa.types.is_integer(cells.type) and cells.null_count and not _fits_float(cells):
        signed = pa.types.is_signed_integer(cells.type)
        return pd.Series(cells.to_pylist(), dtype="Int64" if signed else "UInt64")
    series: pd.Series = cells.to_pandas()
    return series


def _fits_float(cells: pa.ChunkedArray) -> bool:
    """Tell whether float64, in which pandas stores whole numbers with gaps, holds each exactly."""
    ends = pc.min_max(cells).as_py()
    return all(end is None or -_EXACT <= end <= _EXACT for end in ends.values())


def _objects(piece: Column) -> NDArray[np.object_]:
    """Return cells as Python objects, missing ones as None."""
    if isinstance(piece, np.ndarray):
        return piece
    cells = np.empty(len(piece), dtype=object)
    cells[:] = piece.to_pylist()
    return cells
