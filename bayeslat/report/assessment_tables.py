"""A report in short, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayeslat.counted import counted
from bayeslat.decisions.prediction import TOTAL
from bayeslat.report.assessment_words import verdict_sentences
from bayeslat.report.tables import (
    format_ms,
    format_percent,
    make_table,
    open_console,
    print_line,
    print_table,
)

__all__ = ["show_assessment"]


def show_assessment(record: Mapping[str, Any]) -> None:
    """Print the verdict, and what the rules do with each budget.

    Parameters
    ----------
    record : mapping
        Of `assessment_record`, with `files`.
    """
    console = open_console()
    if record["guardrail"] is not None:
        table = make_table(["rule", "budget ms", "accepts", "over", "of accepted %", "area"])
        areas = record["guardrail"]["trade_off"]
        for row in record["guardrail"]["budgets"]:
            area = areas.get(row["rule"], {}).get("area") if row["fraction"] == 1.0 else None
            table.add_row(
                row["rule"],
                format_ms(row["budget_ms"]),
                f"{row['accepts']:,} of {row['configs']:,}",
                f"{row['violations']:,}",
                "-" if row["violation_rate"] is None else format_percent(row["violation_rate"]),
                "-" if area is None else f"{area:.4f}",
            )
        rows = counted(record["guardrail"]["calibration_rows"], "calibration row")
        of = "" if record["budget_of"] == TOTAL else f", {record['budget_of']}"
        print_table(console, f"Guardrail on {record['gpu']}{of}, {rows}", table)
    for sentence in verdict_sentences(record):
        print_line(console, sentence)
    if record["risk_control"] is not None:
        print_line(console, f"Risk control: {record['risk_control']['sentence']}")
    if record["trials"] and record["trials"]["skipped"]:
        print_line(console, f"Left out: trials {record['trials']['skipped']}")
    for part, why in record["missing"].items():
        print_line(console, f"Left out: {part}: {why}")
    print_line(console, f"The report is in {record['files']['page']}")
