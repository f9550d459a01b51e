"""What a comparison found, in short, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayeslat.report.tables import make_table, open_console, print_line, print_table

__all__ = ["show_comparison"]


def show_comparison(record: Mapping[str, Any]) -> None:
    """Print the errors of the total, the answers and the findings.

    Parameters
    ----------
    record : mapping
        Of `comparison_record`, with `files`.
    """
    console, options = open_console(), record["options"]
    summary = record["summary"]
    counts = sorted({row["rows"] for method in summary.values() for row in method.get("total", ())})
    table = make_table(["method", *map(str, counts)])
    for method, stages in summary.items():
        held = {row["rows"]: row["mape"] for row in stages.get("total", ())}
        cells = [f"{100 * held[count]:.1f}" if count in held else "-" for count in counts]
        table.add_row(method, *cells)
    title = f"MAPE % of the total on {options['target']}, by calibration rows"
    print_table(console, title, table)
    for each in record["questions"]:
        print_line(console, each["question"], style="bold")
        print_line(console, f"{each['answer']}\n")
    for each in record["findings"]:
        print_line(console, f"{each['verdict']}: {each['question']}. {each['answer']}")
    for text in record["skipped"]:
        print_line(console, f"not run: {text}")
    print_line(console, f"\nThe page is {record['files']['page']}")
