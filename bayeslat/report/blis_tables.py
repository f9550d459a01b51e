"""What was exported to BLIS, in short: the record for machines, the lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bayeslat.counted import counted
from bayeslat.export.blis_basis import BASES
from bayeslat.export.blis_export import BlisExport
from bayeslat.export.blis_files import options_left_out
from bayeslat.report.tables import make_table, open_console, print_line, print_table

__all__ = ["blis_record", "show_blis"]

_UNITS: Mapping[str, str] = {
    "per_layer": "us a layer",
    "per_request": "us a request",
    "per_step": "us a step",
    "per_moe_layer": "us a layer with experts",
}
_BLACKBOX = ("us a step", "us a prompt token", "us a generated token")


def blis_record(export: BlisExport, folder: Path) -> dict[str, Any]:
    """What was written.

    Parameters
    ----------
    export : BlisExport
    folder : Path

    Returns
    -------
    dict
        For JSON.
    """
    departure, by_blis = np.abs(export.departure), np.abs(export.counted_departure)
    spread = export.coefficients.draws.std(axis=0, ddof=1)
    if export.blackbox is None:
        beta = [
            {"basis": name, "beta": float(value), "sd": float(sd), "unit": _UNITS.get(name, "")}
            for name, value, sd in zip(BASES, export.beta, spread, strict=True)
        ]
    else:
        beta = [
            {"basis": unit, "beta": float(value), "unit": unit}
            for unit, value in zip(_BLACKBOX, export.beta, strict=True)
        ]
    return {
        "folder": folder,
        "gpu": export.gpu.key,
        "model": export.model_name,
        "stack": export.stack,
        "tensor_parallel": export.model.tensor_parallel,
        "backend": "trained-physics" if export.blackbox is None else "blackbox",
        "alpha_us": list(export.alpha_us),
        "beta": beta,
        "draws": export.draws if export.blackbox is None else 0,
        "departure_mean": float(departure.mean()),
        "departure_largest": float(departure.max()),
        "batches": len(departure),
        "whole_prompts": export.whole_prompts,
        "between_steps_us": export.between_us,
        "counted_mean": float(by_blis.mean()),
        "counted_largest": float(by_blis.max()),
        "kv_blocks": export.kv_blocks or None,
        "options_left_out": options_left_out(export),
        "queueing": export.queueing is not None,
        "queueing_left_out": export.queueing_left_out or None,
    }


def show_blis(record: Mapping[str, Any]) -> None:
    """Print what `blis_record` made."""
    console = open_console()
    table = make_table(["basis", "beta", "sd", "unit"])
    for row in record["beta"]:
        sd = f"{row['sd']:.4g}" if "sd" in row else ""
        table.add_row(row["basis"], f"{row['beta']:.4g}", sd, row["unit"])
    title = (
        f"{record['model']} on {record['gpu']}, tensor parallel {record['tensor_parallel']}, for "
        f"BLIS ({record['backend']})"
    )
    print_table(console, title, table)
    print_line(
        console,
        f"Step times differ from the posterior mean by {record['departure_mean']:.1%} on average "
        f"over {counted(record['batches'], 'batch', 'batches')}, "
        f"{record['departure_largest']:.1%} at most",
    )
    if not record["whole_prompts"] and record["counted_largest"] > record["departure_largest"]:
        print_line(
            console,
            "BLIS lets each chunk of a prompt attend to the whole prompt: by its own count they "
            f"differ by {record['counted_mean']:.1%}, {record['counted_largest']:.1%} at most; "
            "--whole-prompts fits to that",
        )
    if record["between_steps_us"]:
        between = f"Each step holds the {record['between_steps_us']:,.0f} us before the next"
    else:
        between = (
            "BLIS starts a step when the last one ends; --between-steps adds the time between, "
            "from traces of the server"
        )
    print_line(console, between)
    if record["kv_blocks"] is None:
        print_line(
            console,
            "No one number of cache blocks in the traces of this GPU: put yours in command.txt",
        )
    if record["options_left_out"]:
        print_line(
            console,
            f"No one value of {', '.join(record['options_left_out'].values())} in the traces: put "
            f"{', '.join(record['options_left_out'])} in command.txt, or BLIS takes its own",
        )
    if record["queueing_left_out"]:
        print_line(console, f"No queueing delay in go/: {record['queueing_left_out']}")
    print_line(console, f"Saved in {record['folder']}; run it with command.txt")
