"""The trace table: its rules, and reading and writing it."""

from __future__ import annotations

from bayeslat.traces.drop import drop_invalid
from bayeslat.traces.provenance import Provenance, provenances, row_sources
from bayeslat.traces.read import read_configs, read_traces
from bayeslat.traces.schema import check_frame, stage_columns
from bayeslat.traces.violations import Violation, locate, report, violations_at
from bayeslat.traces.write import write_table, write_traces

__all__ = [
    "Provenance",
    "Violation",
    "check_frame",
    "drop_invalid",
    "locate",
    "provenances",
    "read_configs",
    "read_traces",
    "report",
    "row_sources",
    "stage_columns",
    "violations_at",
    "write_table",
    "write_traces",
]
