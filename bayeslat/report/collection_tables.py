"""What collected traces are worth, for people."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from bayeslat.counted import counted
from bayeslat.report.tables import (
    format_ms,
    format_percent,
    make_table,
    open_console,
    print_line,
    print_table,
)

__all__ = ["show_collections"]


def show_collections(records: Sequence[Mapping[str, Any]]) -> None:
    """Print the stages of each device, and what speaks for and against its rows.

    Parameters
    ----------
    records : sequence of mapping
        One a device, software and file, as a collection's summary records it.
    """
    console = open_console()
    devices = Counter((record["gpu"], record["stack"]) for record in records)
    for record in records:
        alone = devices[record["gpu"], record["stack"]] == 1
        _show_device(console, record, None if alone else record["file"])


def _show_device(console: Console, record: Mapping[str, Any], file: str | None) -> None:
    table = make_table(["stage", "5 % ms", "median ms", "95 % ms", "repeats differ by"])
    for stage in record["stages"]:
        spread = stage["spread"]
        table.add_row(
            stage["stage"],
            *(
                "-" if math.isnan(stage[name]) else format_ms(stage[name])
                for name in ("q05_ms", "q50_ms", "q95_ms")
            ),
            "-" if math.isnan(spread) else f"{format_percent(spread)}%",
        )
    device = ", ".join(filter(None, (record["gpu"], record["stack"], file)))
    print_table(
        console,
        f"{device}: {counted(record['configs'], 'config')}, {counted(record['rows'], 'row')}",
        table,
    )
    ratio = record["stage_sum_over_end_to_end"]
    if not math.isnan(ratio["q50"]):
        print_line(
            console,
            f"Sum of the stages / end-to-end time measured apart: {ratio['q50']:.3f} "
            f"({ratio['q05']:.3f} to {ratio['q95']:.3f} over nine in ten rows)",
        )
    drift = record["reference_drift"]
    if drift is not None:
        print_line(
            console,
            f"Reference: {drift['measurements']} times in {drift['hours']:.2g} hours, drift "
            f"{100 * drift['change']:+.1f}% (+- {100 * drift['change_se']:.1f}%)",
        )
    for finding in record["findings"]:
        print_line(console, f"Finding: {finding}")
    console.print()
