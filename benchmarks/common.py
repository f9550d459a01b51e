"""What the benchmarks share: where data and results are, and how tables are printed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

__all__ = ["RESULTS", "data_file", "print_table", "root"]

_ROOT = Path(__file__).resolve().parents[1]
RESULTS = _ROOT / "benchmarks" / "results"


def root(path: str) -> Path:
    """Return a path inside the repository."""
    return _ROOT / path


def data_file(name: str) -> Path:
    """Return a reference data file, which stands beside the checkout and not in it."""
    return _ROOT.parent / "shared" / "data" / name


def print_table(title: str, table: pd.DataFrame) -> None:
    """Print a table under its title."""
    print(f"\n{title}\n{table.to_string()}")
