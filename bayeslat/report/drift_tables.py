"""What a comparison with new rows found: the record for machines, the tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bayeslat.counted import counted
from bayeslat.report.tables import flag, make_table, open_console, print_line, print_table

if TYPE_CHECKING:
    from bayeslat.evaluation.drift import Drift

__all__ = ["drift_record", "show_drift"]

_HEADS = ["stage", "rows", "beyond\nrange", "judged", "noise\nratio", "p", "adjusted", "verdict"]
_FAR = 9.995  # a change of a thousand percent is not worth a number


def drift_record(found: Drift, path: Path) -> dict[str, Any]:
    """What a comparison found.

    Parameters
    ----------
    found : Drift
    path : Path
        Where the table was written.

    Returns
    -------
    dict
        For JSON: `drifted`, `alarm_rate`, `allowance`, `in_order_of`, `passed_over`, `notes`,
        `output`, and a record a GPU, stack and stage, with every feature's change.
    """
    return {
        "drifted": bool(found.drifted),
        "alarm_rate": found.alarm_rate,
        "allowance": found.allowance,
        "in_order_of": found.in_order_of,
        "passed_over": list(found.passed_over),
        "notes": list(found.notes),
        "stages": [asdict(each) for each in found.stages],
        "output": path,
    }


def show_drift(record: Mapping[str, Any]) -> None:
    """Print what `drift_record` made."""
    console = open_console()
    stages = record["stages"]
    _show_verdicts(console, record, stages)
    for found in stages:
        if found["verdict"] == "drift":
            _show_changes(console, found)
    _show_detectable(console, [found for found in stages if found["verdict"] == "stable"])
    for found in stages:
        if found["verdict"] == "not judged":
            told = f"{_group(found)}, {found['stage']}: {found['reason']}"
            print_line(console, f"Not judged: {told}")
    for (group, told), names in _beyond(stages).items():
        print_line(console, f"Note: {group}, {', '.join(names)}: {told}")
    for told in record["notes"]:
        print_line(console, f"Note: {told}")
    for group in record["passed_over"]:
        print_line(
            console, f"Not judged: {group}: the posterior does not hold it; --stack names another"
        )
    print_line(console, f"Saved in {record['output']}")


def _show_verdicts(
    console: Console, record: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]
) -> None:
    """Print a row a stage under the name of each group."""
    table = make_table(_HEADS)
    for group, held in groupby(stages, key=_group):
        table.add_row(group)
        for found in held:
            counts = found["counts"]
            table.add_row(
                f"  {found['stage']}",
                f"{counts['rows']:,}",
                f"{counts['beyond']:,}",
                f"{counts['judged']:,}",
                _number(found["noise_ratio"], ".2f"),
                _number(found["p_value"], ".2g"),
                _number(found["p_adjusted"], ".2g"),
                flag(found["verdict"], found["verdict"] == "drift"),
            )
    rate = f"{record['alarm_rate']:.2%} of calls"
    print_table(console, f"Drift since the fit; without any, at most {rate} find one", table)


def _show_changes(console: Console, found: Mapping[str, Any]) -> None:
    """Print what moved, and since when."""
    table = make_table(["feature", "share of\nthe time", "P moved", "5 %", "median", "95 %"])
    shown = [each for each in found["changes"] if each["p_moved"] > each["p_prior"]]
    for each in shown:
        share = _number(each["share"], ".0%")
        changes = (_percent(each[key]) for key in ("low", "change", "high"))
        table.add_row(each["feature"], share, f"{each['p_moved']:.2f}", *changes)
    if shown:
        print_table(console, f"{_group(found)}, {found['stage']}: change, if it moved", table)
    else:
        print_line(console, f"{_group(found)}, {found['stage']}: no coefficient", style="bold")
    if found["since"]:
        print_line(console, f"Since {_since(found['since'], found['in_order_of'])}")
    low, ratio, high = (found[f"noise_{key}"] for key in ("low", "ratio", "high"))
    print_line(console, f"Noise {ratio:.2f} times that of the fit ({low:.2f} to {high:.2f})")
    tests = ", ".join(f"{name} {p:.2g}" for name, p in found["p_tests"].items())
    print_line(console, f"p by test: {tests}")
    told = set()
    for each in shown:
        for other in each["confused_with"]:
            if (pair := frozenset((each["feature"], other))) not in told:
                told.add(pair)
                print_line(console, f"These rows do not tell {each['feature']} from {other}")
    print_line(console, "")


def _since(since: Mapping[str, Any], in_order_of: str) -> str:
    """Say since when, with the interval and, if known, the times."""
    if since["row"] == 1:
        start = f"before the first of these rows (probability {since['p_before']:.2f})"
    else:
        start = f"row {since['row']:,}"
        if since["time"] is not None:
            start += f" ({since['time']})"
    late = f"row {since['high']:,}"
    if since["time_high"] is not None:
        late += f", {since['time_high']}"
    early = "before them" if since["low"] == 1 else f"row {since['low']:,}"
    return f"{start}; 90 % between {early} and {late}, in order of {in_order_of}"


def _show_detectable(console: Console, stages: Sequence[Mapping[str, Any]]) -> None:
    """Print the change that would have been found in each feature of the stable stages."""
    if not stages:
        return
    table = make_table(["stage", "share of\nthe time", "change"])
    for group, held in groupby(stages, key=_group):
        table.add_row(group)
        for found in held:
            table.add_row(f"  {found['stage']}")
            for each in found["changes"]:
                share = _number(each["share"], ".0%")
                table.add_row(f"    {each['feature']}", share, _percent(each["detectable"]))
    print_table(
        console, "Stable: change of one coefficient that is found with 90 % probability", table
    )


def _group(found: Mapping[str, Any]) -> str:
    return f"{found['gpu']} with {found['stack']}" if found["stack"] else str(found["gpu"])


def _beyond(stages: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[str]]:
    """Say of each group which rows leave the range, with the judged stages that this is true of."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in stages:
        if each["verdict"] != "not judged" and (beyond := each["counts"]["beyond"]):
            told = (
                f"not judged: {counted(beyond, 'row')} beyond the training range in "
                f"{', '.join(each['counts']['beyond_in'])}; fit rows that span it"
            )
            found.setdefault((_group(each), told), []).append(each["stage"])
    return found


def _number(value: float, form: str) -> str:
    """Write a number; a dash where there is none."""
    return "-" if value != value else f"{value:{form}}"


def _percent(change: float) -> str:
    """Write a change in percent; a dash where there is none."""
    if change != change:
        return "-"
    return "> +999%" if change >= _FAR else f"{change:+.1%}"
