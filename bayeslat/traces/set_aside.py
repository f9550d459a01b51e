"""Rows that are left out of an output, in a file beside it that says so."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bayeslat.traces.formats.parquet import RESULT_KEY
from bayeslat.traces.write import write_table

__all__ = ["is_set_aside", "set_aside"]

_LEFT_OUT_OF = "left_out_of"


def set_aside(rows: pd.DataFrame, path: Path, output: Path) -> None:
    """Write rows that are left out of an output.

    Parameters
    ----------
    rows : DataFrame, one row a measurement
        A column of several types, as broken rows may have, is text in the file.
    path : Path
        As `set_aside_path` has it.
    output : Path
    """
    mixed = [name for name in rows if rows[name].dtype == object]
    about = {_LEFT_OUT_OF: output.resolve().name}
    write_table(rows.astype(dict.fromkeys(mixed, str)), path, about)


def is_set_aside(path: Path, output: Path) -> bool:
    """Tell whether a file holds rows that `set_aside` wrote for this output.

    Parameters
    ----------
    path : Path
        There need be none.
    output : Path
    """
    try:
        held = pq.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError):
        return False
    about = json.loads(held.get(RESULT_KEY, b"{}"))
    return bool(about.get(_LEFT_OUT_OF) == output.resolve().name)
