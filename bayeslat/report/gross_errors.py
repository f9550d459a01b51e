"""Rows that were set aside as gross errors: the record for machines, the sentences for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bayeslat.counted import counted
from bayeslat.inference.gross_errors import GrossError

__all__ = ["gross_error_lines", "gross_error_records"]

_CURES = {
    "none": "measure it again",
    "sound": "another run of this configuration is sound",
    "alike": "another run is as far off: no error, the GPU is unlike the donors here",
}


def gross_error_records(errors: Sequence[GrossError]) -> list[dict[str, Any]]:
    """Put rows that were set aside into numbers.

    Parameters
    ----------
    errors : sequence of GrossError

    Returns
    -------
    list of dict
        For JSON: where each row was read, and by stage `ratio` (its latency over what the other
        rows say it is) and `repeats` (what other runs of its configuration say).
    """
    return [{**asdict(error), "unsettled": error.unsettled} for error in errors]


def gross_error_lines(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which rows of a GPU were set aside, how far off they are, and what to do.

    Parameters
    ----------
    records : sequence of mapping
        Of `gross_error_records`.

    Returns
    -------
    list of str
        A heading, a line a row, and the cure; nothing without rows.
    """
    if not records:
        return []
    gpus = ", ".join(dict.fromkeys(each["gpu"] for each in records))
    were = "was set aside as a gross error" if len(records) == 1 else "were set aside as gross ones"
    lines = [
        f"{counted(len(records), 'row')} of {gpus} {were}, which the other rows make impossible:",
        *(f"- {_row(each)}" for each in records),
    ]
    if any(each["unsettled"] for each in records):
        lines.append(
            "Then calibrate with the new runs: one that agrees with the GPU's other rows settles "
            "it, one that is as far off again says that the GPU is unlike the donors there."
        )
    return lines


def _row(record: Mapping[str, Any]) -> str:
    """Write one row: `t.csv row 5 (config_id 123): llm_prefill 30 times too slow; measure ...`."""
    name = f" (config_id {record['config_id']})" if record["config_id"] else ""
    told = []
    for repeats, cure in _CURES.items():
        stages = [
            f"{stage} {_times(ratio)}"
            for stage, ratio in record["ratio"].items()
            if record["repeats"][stage] == repeats
        ]
        if stages:
            told.append(f"{', '.join(stages)}; {cure}")
    return f"{record['file']} row {record['row']}{name}: {'; '.join(told)}"


def _times(ratio: float) -> str:
    """Write how far off a latency is.

    >>> _times(30.4), _times(0.4)
    ('30 times too slow', '2.5 times too fast')
    """
    times = max(ratio, 1 / ratio)
    number = f"{times:,.0f}" if times >= 10 else f"{times:.1f}"
    return f"{number} times too {'slow' if ratio > 1 else 'fast'}"
