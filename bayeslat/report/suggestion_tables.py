"""What to measure next, in short: the record for machines, the table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bayeslat.counted import counted
from bayeslat.decisions.suggest.suggestion import Suggestion
from bayeslat.features.hardware import HardwareTable
from bayeslat.report.other_gpus import count_other_gpus, other_gpus_line
from bayeslat.report.tables import (
    format_ms,
    format_percent,
    make_table,
    open_console,
    print_line,
    print_table,
)

__all__ = ["show_suggestion", "suggestion_record"]

_SHOWN = 30  # rows of the table; the file and the record have all


def suggestion_record(
    suggestion: Suggestion, about: Mapping[str, Any], path: Path, hardware: HardwareTable
) -> dict[str, Any]:
    """What was chosen, and what it will buy.

    Parameters
    ----------
    suggestion : Suggestion
    about : mapping
        What it is for: `gpu` (key), `stack`, `objective`, `budget_ms`, `cost`, `method`, `strata`,
        `seed`.
    path : Path
        Where it was written.
    hardware : HardwareTable
        It knows the aliases of the GPUs that candidates name.

    Returns
    -------
    dict
        For JSON: how many candidates there were, how many of them name each other GPU
        (`other_gpus`), and why others could not be chosen; error and
        width `before`; for each rank the row of the candidates (from 1), its gain, cost, and error
        and width after it; `stops_paying_at`, the rank from which on none lowers the error by 1 %
        of itself (null: the last does); `near`, how many of the pool may lie on either side of the
        budget (null: there is none); with strata, how many candidates each has, and how many
        configurations were measured and chosen; `unplaced`, measured ones without a stratum.
    """
    pool, outlook, frame = suggestion.pool, suggestion.outlook, suggestion.frame
    return {
        "suggestions": path,
        **about,
        "candidates": len(pool.eligible),
        "other_gpus": count_other_gpus(suggestion.candidates, about["gpu"], hardware),
        "pool": pool.size,
        "repeated": pool.repeated,
        "measured": pool.measured,
        "excluded": pool.excluded,
        "cost_ms": float(suggestion.cost_ms.sum()),
        "before": {"mape": float(outlook.mape[0]), "width_90": float(outlook.width_90[0])},
        "stops_paying_at": suggestion.stops_paying_at,
        "near": suggestion.near,
        "ranks": [
            {
                "rank": number,
                "row": int(row) + 1,
                "gain": float(frame["gain"].iloc[number - 1]),
                "cost_ms": float(suggestion.cost_ms[number - 1]),
                "mape": float(outlook.mape[number]),
                "width_90": float(outlook.width_90[number]),
            }
            for number, row in enumerate(suggestion.chosen, 1)
        ],
        "covered": _covered(suggestion),
        "unplaced": None if suggestion.strata is None else suggestion.strata.unplaced,
    }


def _covered(suggestion: Suggestion) -> list[dict[str, Any]] | None:
    """Say how far each stratum is covered."""
    strata = suggestion.strata
    if strata is None:
        return None
    chosen = np.bincount(strata.labels[suggestion.chosen], minlength=len(strata.names))
    counts = zip(strata.names, strata.sizes, strata.taken, chosen, strict=True)
    return [
        {"stratum": name, "candidates": int(size), "measured": int(taken), "chosen": int(new)}
        for name, size, taken, new in counts
    ]


def show_suggestion(record: Mapping[str, Any]) -> None:
    """Print the ranks, and from which on more measurements stop paying."""
    console = open_console()
    before, ranks = record["before"], record["ranks"]
    table = make_table(["rank", "row", "cost ms", "expected MAPE %", "90 % width %"])
    table.add_row("0", "-", "-", *_percents(before))
    for each in ranks[:_SHOWN]:
        cells = (str(each["row"]), format_ms(each["cost_ms"]), *_percents(each))
        table.add_row(str(each["rank"]), *cells)
    stack = f" with {record['stack']}" if record["stack"] else ""
    pool = counted(record["pool"], "candidate")
    title = f"{len(ranks):,} of {pool} to measure on {record['gpu']}{stack}"
    print_table(console, title, table)
    if len(ranks) > _SHOWN:
        print_line(console, f"Ranks {_SHOWN + 1} to {len(ranks)} are in the file")
    print_line(
        console,
        f"Expected MAPE of the total: {before['mape']:.1%} now, {ranks[-1]['mape']:.1%} after all; "
        f"they take {format_ms(record['cost_ms'] / 1e3)} s to run once",
    )
    if others := record["other_gpus"]:
        print_line(console, other_gpus_line(others, record["candidates"], record["gpu"]))
    if record["near"] is not None:
        print_line(console, _near(record))
    if record["covered"]:
        _show_covered(console, record["strata"], record["covered"])
    if record["unplaced"]:
        print_line(
            console,
            f"{counted(record['unplaced'], 'measured configuration')} in no stratum: of what is no "
            f"candidate, the posterior keeps knobs and tasks, not {record['strata']}",
        )
    stops = record["stops_paying_at"]
    print_line(
        console,
        "More measurements would still pay: the last lowers the error by 1 % of itself or more"
        if stops is None
        else f"From rank {stops} on, more measurements stop paying: each lowers the error by less "
        "than 1 % of itself",
    )
    print_line(console, f"Saved in {record['suggestions']}")


def _near(record: Mapping[str, Any]) -> str:
    """Say how many decisions a measurement could turn."""
    budget = f"{format_ms(record['budget_ms'])} ms"
    if not record["near"]:
        return f"No candidate's total is near {budget}: no measurement can turn a decision there"
    pool = counted(record["pool"], "candidate")
    return f"{record['near']:,} of {pool} may lie on either side of {budget}"


def _show_covered(console: Console, strata: str, covered: Sequence[Mapping[str, Any]]) -> None:
    """Print how far each stratum is covered."""
    table = make_table([strata, "candidates", "measured", "chosen"])
    for each in covered[:_SHOWN]:
        table.add_row(each["stratum"], *(f"{each[name]:,}" for name in list(each)[1:]))
    print_table(console, "How far the strata are covered", table)
    if len(covered) > _SHOWN:
        print_line(console, f"Strata {_SHOWN + 1} to {len(covered):,} are in the output of --json")
    empty = sum(each["measured"] + each["chosen"] == 0 for each in covered)
    if empty:
        print_line(
            console,
            f"{empty:,} of {len(covered):,} strata have no measurement; a larger -n covers more",
        )


def _percents(each: Mapping[str, float]) -> tuple[str, str]:
    """Error and width in percent."""
    return format_percent(each["mape"]), format_percent(each["width_90"])
