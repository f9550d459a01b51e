"""Which module reads and writes a file, by its suffix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from bayeslat.traces.formats import csv_file, json_lines, parquet
from bayeslat.traces.formats.content import FileContent

__all__ = ["BATCH_WRITERS", "READERS", "SUFFIXES", "WRITERS", "named"]

READERS: Mapping[str, Callable[[Path], FileContent]] = {
    suffix: module.read for module in (parquet, csv_file, json_lines) for suffix in module.SUFFIXES
}

WRITERS: Mapping[str, Callable[[pd.DataFrame, Path], None]] = {
    suffix: module.write for module in (parquet, csv_file, json_lines) for suffix in module.SUFFIXES
}

BATCH_WRITERS: Mapping[str, Callable[[pa.Schema, Iterable[pa.Table], Path], None]] = {
    suffix: module.write_batches
    for module in (parquet, csv_file, json_lines)
    for suffix in module.SUFFIXES
}

#: The suffixes as a text for messages.
SUFFIXES = f"{', '.join(list(READERS)[:-1])} or {list(READERS)[-1]}"


def named(path: Path) -> str:
    """Return the suffix that decides about the format: of any case, the last one of the name."""
    return path.suffix.lower()
