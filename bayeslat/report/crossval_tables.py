"""What cross-validation over GPUs found, in short: the record for machines, tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bayeslat.counted import counted
from bayeslat.decisions.prediction import TOTAL
from bayeslat.evaluation.crossval_scores import CrossValidation
from bayeslat.report.tables import make_table, open_console, print_line, print_table

__all__ = ["crossval_record", "show_crossval"]


def crossval_record(found: CrossValidation, path: Path) -> dict[str, Any]:
    """What was found.

    Parameters
    ----------
    found : CrossValidation
    path : Path
        Where the scores were written.

    Returns
    -------
    dict
        For JSON: `donors`, `expected` (by stage and number of rows), `by_target`, `judged` (the
        stages that it judges), `changes` (what a donor is worth), `next_donor` and `output`.
    """
    return {
        "donors": list(found.donors),
        "expected": found.expected().to_dict("records"),
        "by_target": found.by_target().to_dict("records"),
        "judged": list(found.headline),
        "changes": found.changes().to_dict("records"),
        "next_donor": found.next_donor(),
        "output": path,
    }


def show_crossval(record: Mapping[str, Any]) -> None:
    """Print what `crossval_record` made."""
    console = open_console()
    counts = sorted({row["rows"] for row in record["expected"]})
    stages = list(dict.fromkeys(row["stage"] for row in record["expected"]))
    heads = [str(count) for count in counts]
    table = make_table(["stage", *heads])
    for stage in stages:
        held = {row["rows"]: row for row in record["expected"] if row["stage"] == stage}
        cells = [
            f"{100 * held[count]['mape']:.1f} ({100 * held[count]['mape_worst']:.1f})"
            if count in held
            else "-"
            for count in counts
        ]
        table.add_row(stage, *cells)
    title = "Error to expect on the next GPU, MAPE % (worst target), by calibration rows"
    print_table(console, title, table)
    table = make_table(["target", *heads])
    for target in dict.fromkeys(row["target"] for row in record["by_target"]):
        held = {row["rows"]: row["mape"] for row in record["by_target"] if row["target"] == target}
        cells = [f"{100 * held[count]:.1f}" if count in held else "-" for count in counts]
        table.add_row(target, *cells)
    judged = "Total" if record["judged"] == [TOTAL] else "Mean over stages"
    print_table(console, f"{judged} of each GPU from the others, MAPE %", table)
    if record["changes"]:
        table = make_table(["change", *heads])
        for change in dict.fromkeys(row["change"] for row in record["changes"]):
            held = {row["rows"]: row for row in record["changes"] if row["change"] == change}
            cells = [f"{held[count]['ratio']:.2f}" if count in held else "-" for count in counts]
            table.add_row(change, *cells)
        print_table(console, "Its error with the change over that without it", table)
    print_line(console, _advice(record))
    print_line(console, f"Scores are in {record['output']}")


def _advice(record: Mapping[str, Any]) -> str:
    """Say which donor to add."""
    if record["next_donor"]:
        return f"Add {record['next_donor']}: of the candidates it lowers the error the most"
    if any(row["change"].startswith("with ") for row in record["changes"]):
        return "No candidate lowers the error of these targets"
    least = min(row["rows"] for row in record["by_target"])
    first = [row for row in record["by_target"] if row["rows"] == least]
    worst = max(first, key=lambda row: float(row["mape"]))
    return (
        f"{worst['target']} is the hardest to predict from the others "
        f"({100 * worst['mape']:.0f} % with {counted(least, 'row')}): a donor of its kind would "
        "help the most"
    )
