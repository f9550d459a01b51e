"""Reading logs back, as a reader has to: a line that a kill cut short is no row."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of all files of a folder, in their order."""
    lines = [line for path in files_of(folder) for line in path.read_text().splitlines()]
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def kinds_of(folder: Path) -> Counter[str]:
    return Counter(row["kind"] for row in rows_of(folder))
