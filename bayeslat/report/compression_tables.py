"""What compression and updates found: the record for machines, the tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bayeslat.counted import counted
from bayeslat.inference.compression.compressed import Compressed
from bayeslat.inference.rows.windows import StageSums, Window, total_sums
from bayeslat.model.groups import name_group
from bayeslat.report.tables import make_table, open_console, print_line, print_table

__all__ = [
    "compression_record",
    "set_aside_lines",
    "show_compression",
    "show_windows",
    "windows_record",
]

_SHOWN = 12  # windows


def compression_record(
    data: Compressed, path: Path, seconds: float, like: Path | None = None
) -> dict[str, Any]:
    """What was compressed.

    Parameters
    ----------
    data : Compressed
    path : Path
        Where the statistics were saved.
    seconds : float
        That it took.
    like : Path, optional
        What settled them: a posterior, or other statistics.

    Returns
    -------
    dict
        For JSON: `statistics`, `like`, spec, GPUs, rows, rows left out, latencies set aside, rows
        by stage and by window, and by stage the rows `beyond` the range that the point was settled
        on.
    """
    sums = {stage: total_sums(data.windows.values(), stage) for stage in data.point.stages}
    return {
        "statistics": path,
        "spec": data.point.spec.name,
        "gpus": list(data.point.gpus),
        "groups": len(data.point.groups),
        "rows": data.rows,
        "left_out": data.left_out,
        "set_aside": data.set_aside,
        "seconds": seconds,
        "sample": len(data.sample),
        "like": like,
        "sources": list(data.attrs.get("sources", ())),
        "stages": {
            stage: {
                "rows": int(part.measured.sum()),
                "counted": _counted(data, stage, part),
                "beyond": part.beyond,
            }
            for stage, part in sums.items()
        },
        "windows": windows_record(data.windows),
    }


def _counted(data: Compressed, stage: str, part: StageSums) -> float:
    """Rows that a fit lets all those of a stage count for."""
    statistics = part.statistics.counted(data.point.stages[stage].most_counted)
    return float(statistics.rows.sum())


def windows_record(windows: Mapping[str, Window]) -> dict[str, int]:
    """Rows by window."""
    return {name: window.rows for name, window in windows.items()}


def show_compression(record: Mapping[str, Any]) -> None:
    """Print what was compressed."""
    console = open_console()
    gpus = record["gpus"]
    settled = record["like"] or f"{record['sample']:,} of them"
    print_line(
        console,
        f"{record['spec']} on {counted(len(gpus), 'GPU')}, {counted(record['rows'], 'row')} in "
        f"{record['seconds']:.1f} s; settled by {settled}",
    )
    console.print()
    table = make_table(["stage", "rows", "count for", "beyond the sample's range"])
    for stage, cells in record["stages"].items():
        table.add_row(
            stage, f"{cells['rows']:,}", f"{cells['counted']:,.0f}", f"{cells['beyond']:,}"
        )
    print_table(console, "Rows", table)
    show_windows(record["windows"])
    print_line(console, f"Saved in {record['statistics']}")


def set_aside_lines(set_aside: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say how many latencies were set aside as gross errors, and where.

    Parameters
    ----------
    set_aside : sequence of mapping
        Of `Compressed.set_aside`.
    """
    if not set_aside:
        return []
    total = sum(each["rows"] for each in set_aside)
    were = "was set aside as a gross error" if total == 1 else "were set aside as gross ones"
    told = [
        f"- {each['window']}: {each['rows']:,} of {name_group(each['gpu'], each['stack'])}, "
        f"{each['stage']}"
        for each in set_aside[:_SHOWN]
    ]
    if (more := len(set_aside) - _SHOWN) > 0:
        told.append(f"- and {counted(more, 'more place')}")
    rule = "five times and 15 noise sds off; in seconds, not milliseconds?"
    return [f"{counted(total, 'latency', 'latencies')} {were}, {rule}", *told]


def show_windows(windows: Mapping[str, int]) -> None:
    """Print windows, the latest ones if there are many."""
    console = open_console()
    table = make_table(["window", "rows"])
    for name, rows in list(windows.items())[-_SHOWN:]:
        table.add_row(name, f"{rows:,}")
    hidden = max(len(windows) - _SHOWN, 0)
    more = f", the last of {len(windows)}" if hidden else ""
    print_table(console, f"Windows{more}", table)
