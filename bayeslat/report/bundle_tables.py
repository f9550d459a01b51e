"""What a guard bundle holds, in short: the record for machines, the lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bayeslat.counted import counted
from bayeslat.export import READER_NAME, Bundle
from bayeslat.report.tables import make_table, open_console, print_line, print_table

__all__ = ["bundle_record", "show_bundle"]

_CLOSE = 0.005  # in p_exceed: how near to the posterior a bundle is meant to be


def bundle_record(bundle: Bundle, path: Path, reader: bool) -> dict[str, Any]:
    """What was written.

    Parameters
    ----------
    bundle : Bundle
    path : Path
    reader : bool
        Whether the reader was written beside it.

    Returns
    -------
    dict
        For JSON.
    """
    header = bundle.header
    return {
        "bundle": path,
        "bytes": path.stat().st_size,
        "reader": path.with_name(READER_NAME) if reader else None,
        "gpu": header["gpu"],
        "stack": header["stack"],
        "spec": header["spec"],
        "stages": [stage["name"] for stage in header["stages"]],
        "knobs": header["knobs"],
        "tasks": header["tasks"],
        "draws": header["draws"],
        "seed": header["seed"],
        "zero_shot": header["zero_shot"],
        "evidence": header["evidence"],
        "agreement": header["agreement"],
    }


def show_bundle(record: Mapping[str, Any]) -> None:
    """Print what `bundle_record` made."""
    console = open_console()
    table = make_table(["knob", "least", "most"])
    for knob in record["knobs"]:
        table.add_row(knob["name"], f"{knob['low']:g}", f"{knob['high']:g}")
    stack = f" with {record['stack']}" if record["stack"] else ""
    title = f"Guardrail of {record['gpu']}{stack}: {', '.join(record['stages'])}"
    print_table(console, title, table)
    if record["tasks"]:
        print_line(
            console,
            f"A config also names its task: {', '.join(record['tasks'])}. Nothing of another task, "
            "or of none, is accepted",
        )
    found = record["agreement"]
    print_line(
        console,
        f"p_exceed is the posterior's to {found['p_exceed']:.4f}, and {found['decisions']:.1%} of "
        f"the decisions, over {counted(found['configs'], 'config')} of the fit and "
        f"{counted(found['budgets'], 'budget')}",
    )
    if found["p_exceed"] > _CLOSE:
        print_line(
            console,
            f"Note: that is more than {_CLOSE}: where a decision hangs on it, `bayeslat guard` has "
            "the posterior's",
        )
    if record["evidence"]:
        print_line(console, f"Note: {record['evidence']}; nothing is accepted")
    if record["reader"]:
        print_line(console, f"Read it with {record['reader']}, which needs NumPy alone")
    print_line(console, f"Saved in {record['bundle']} ({record['bytes'] / 1000:,.0f} kB)")
