"""What the benchmarks share: where data and results are, and how tables are printed."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import pandas as pd

from bayeslat.atomic import atomic_path

__all__ = ["RESULTS", "data_file", "machine", "print_table", "root", "write_json"]

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


def write_json(path: Path, content: object) -> None:
    """Write a result."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Say what the figures were measured on."""
    cpu = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else ():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version()}
