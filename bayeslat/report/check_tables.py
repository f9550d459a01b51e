"""What a check found: the record for machines, the tables for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console

from bayeslat.evaluation.blocks import name_block
from bayeslat.inference.posteriors.gross_errors import find_gross_errors
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.report.convergence import convergence_record, show_convergence, show_verdict
from bayeslat.report.gross_errors import (
    gross_error_lines,
    gross_error_records,
    gross_row_lines,
    gross_row_records,
)
from bayeslat.report.tables import (
    format_percent,
    make_table,
    open_console,
    print_line,
    print_table,
)

if TYPE_CHECKING:
    from bayeslat.evaluation.checks import PosteriorCheck
    from bayeslat.evaluation.missing_features import MissingFeature

__all__ = ["check_record", "show_check"]

_HEADS = [
    "stage",
    "rows",
    "MAPE\n%",
    "bias of\nmedian %",
    "50 %\ncovers",
    "90 %\ncovers",
    "extra-\npolates",
]
_SHOWN = 12  # candidates; the record has all
_PARTS = ("mape", "bias", "coverage_50", "coverage_90")


def check_record(
    data: PosteriorData,
    found: PosteriorCheck,
    path: Path,
    missing: Sequence[MissingFeature] | None = None,
) -> dict[str, Any]:
    """What a check found.

    Parameters
    ----------
    data : PosteriorData
    found : PosteriorCheck
    path : Path
        The posterior.
    missing : sequence of MissingFeature, optional
        The largest gain first.

    Returns
    -------
    dict
        For JSON: `convergence_record`; `predictions`, a record a GPU, stack and stage;
        `findings`; `passes`, whether those of each GPU and stack differ (`PassDifferences.record`);
        `missing_features`, null if they were not sought; `gross_errors` of all GPUs that the
        posterior knows, and `gross_rows`, which it does not hold.
    """
    frame = pd.DataFrame() if found.frame is None else found.frame
    rows = [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
    gross = gross_row_records(found.gross)
    return {
        "posterior": path,
        **convergence_record(data),
        "predictions": rows,
        "findings": [*found.findings, *_gross_findings(gross, rows)],
        "passes": [each.record() for each in found.passes],
        "missing_features": None
        if missing is None
        else [{**asdict(each), "sure": each.sure} for each in missing],
        "gross_errors": gross_error_records((*data.set_aside, *find_gross_errors(data))),
        "gross_rows": gross,
    }


def show_check(record: Mapping[str, Any]) -> None:
    """Print convergence, predictions against measurements, and findings."""
    console = open_console()
    show_verdict(console, record)
    show_convergence(console, record["stages"])
    if record["predictions"]:
        _show_predictions(console, record["predictions"])
    if record["missing_features"] is not None:
        _show_missing(console, record["missing_features"])
    for finding in record["findings"]:
        print_line(console, f"Finding: {finding}")
    for caveat in record["caveats"]:
        print_line(console, f"Note: {caveat}")
    for line in gross_error_lines(record["gross_errors"]):
        print_line(console, line)


def _gross_findings(
    gross: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Name the rows of each GPU and stack that its others make impossible."""
    for place, name in _block_names(rows).items():
        own = [each for each in gross if (each["gpu"], each["stack"]) == place]
        errors = [
            f"{row['stage']} {format_percent(row['mape_sound'])} %"
            for row in rows
            if (row["gpu"], row["stack"]) == place and row["mape_sound"] < row["mape"]
        ]
        if lines := gross_row_lines(own, f"MAPE is {', '.join(errors)}"):
            yield f"{name}: " + "\n".join(lines)


def _show_predictions(console: Console, rows: list[dict[str, Any]]) -> None:
    """Print a row a stage under the name of each GPU, or of each of its several stacks."""
    table = make_table(_HEADS)
    names = _block_names(rows)
    for name, stages in groupby(rows, key=lambda row: names[row["gpu"], row["stack"]]):
        held = list(stages)
        unseen = all(row["zero_shot"] for row in held)
        table.add_row(f"{name} (zero-shot)" if unseen else name)
        for row in held:
            mark = " (zero-shot)" if row["zero_shot"] and not unseen else ""
            table.add_row(
                f"  {row['stage']}{mark}",
                f"{row['rows']:,}",
                *(format_percent(row[part]) for part in _PARTS),
                f"{row['extrapolates']:.0%}",
            )
    print_table(console, "Predictions against measurements", table)
    gross = [row for row in rows if row["set_aside"] and row["stage"] != "total"]
    if gross:
        told = ", ".join(
            f"{row['set_aside']:,} of {names[row['gpu'], row['stack']]}, {row['stage']}"
            for row in gross
        )
        print_line(console, f"Not scored, set aside as gross errors: {told}")


def _block_names(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Name the rows of each GPU and stack."""
    blocks = {(row["gpu"], row["stack"]): row for row in rows}
    count = Counter(gpu for gpu, _ in blocks)
    return {place: name_block(row, alone=count[place[0]] == 1) for place, row in blocks.items()}


def _place(row: Mapping[str, Any]) -> str:
    """Name a candidate, and the term that a tile stands in."""
    return f"{row['expression']} in {row['term']}" if row["term"] else str(row["expression"])


def _show_missing(console: Console, found: list[dict[str, Any]]) -> None:
    """Print the candidates that gain most, and what to write into the spec."""
    table = make_table(["stage", "feature", "gain", "se", "error before %", "after %"])
    for row in found[:_SHOWN]:
        errors = (format_percent(row[f"error_{when}"]) for when in ("before", "after"))
        cells = (_place(row), f"{row['gain']:.1f}", f"{row['se']:.1f}")
        table.add_row(row["stage"], *cells, *errors)
    title = "Features that the spec lacks: gain of held-out log density, best first"
    print_table(console, title, table)
    sure = [row for row in found if row["sure"]]
    for stage in dict.fromkeys(row["stage"] for row in sure):
        best = next(row for row in sure if row["stage"] == stage)
        todo = f'add "{best["expression"]}" to [stages.{stage}.residual] features'
        if best["kind"] == "tile":
            mark = "'" if '"' in best["formula"] else '"'
            todo = (
                f"write {mark}{best['formula']}{mark} for {best['term']} of "
                f"[stages.{stage}.physics]"
            )
        print_line(
            console,
            f"{stage}: {todo}, fit again, and ask again: candidates stand in for one another",
        )
    if not sure:
        print_line(
            console, "None gains more than 4, and two standard errors: the spec lacks none of them"
        )
