"""What a comparison found, in short, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from bayeslat.decisions.prediction import TOTAL
from bayeslat.report.tables import make_table, open_console, print_line, print_table

__all__ = ["show_comparison"]


def show_comparison(record: Mapping[str, Any]) -> None:
    """Print the errors of the total (of each stage without one), the answers and the findings.

    Parameters
    ----------
    record : mapping
        Of `comparison_record`, with `files`.
    """
    console = open_console()
    for stage in record["headline"]:
        _show_errors(console, record, stage)
    for each in record["questions"]:
        print_line(console, each["question"], style="bold")
        print_line(console, f"{each['answer']}\n")
    for each in record["findings"]:
        print_line(console, f"{each['verdict']}: {each['question']}. {each['answer']}")
    for text in record["skipped"]:
        print_line(console, f"not run: {text}")
    print_line(console, f"\nThe page is {record['files']['page']}")


def _show_errors(console: Console, record: Mapping[str, Any], stage: str) -> None:
    """Print one table, methods by numbers of rows."""
    summary = record["summary"]
    counts = sorted({row["rows"] for method in summary.values() for row in method.get(stage, ())})
    table = make_table(["method", *map(str, counts)])
    for method, stages in summary.items():
        held = {row["rows"]: row["mape"] for row in stages.get(stage, ())}
        if held:
            cells = [f"{100 * held[count]:.1f}" if count in held else "-" for count in counts]
            table.add_row(method, *cells)
    name = "the total" if stage == TOTAL else stage
    title = f"MAPE % of {name} on {record['options']['target']}, by calibration rows"
    print_table(console, title, table)
