"""Rows as a collection makes them, without a model."""

from __future__ import annotations

from dataclasses import asdict

from bayeslat.collect.collection import OUT_OF_MEMORY, Row
from bayeslat.collect.knobs import Knobs
from bayeslat.traces.names import MEASURED

__all__ = ["row_of"]


def row_of(
    knobs: Knobs, config_id: int, repeat: int | None, total_ms: float = 2.0, fits: bool = True
) -> Row:
    """Return a row, as `TraceFile.append` takes it."""
    known = {name: value for name, value in asdict(knobs).items() if value is not None}
    return {
        "config_id": config_id,
        "repeat": repeat,
        "reference": repeat is None,
        "collected_at": f"2026-01-31T12:00:{round(10 * total_ms) % 60:02d}Z",
        **known,
        "t_projector_ms": total_ms if fits else float("nan"),
        "stage_sum_ms": total_ms if fits else float("nan"),
        "outcome": MEASURED if fits else OUT_OF_MEMORY,
    }
