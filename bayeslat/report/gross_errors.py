"""Rows that are gross errors: the record for machines, the sentences for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bayeslat.counted import counted
from bayeslat.evaluation.gross_rows import GrossRow
from bayeslat.inference.posteriors.gross_errors import GrossError
from bayeslat.report.tables import format_ms

__all__ = ["gross_error_lines", "gross_error_records", "gross_row_lines", "gross_row_records"]

_UNITS = {
    0.001: "in seconds? write milliseconds",
    1000.0: "in microseconds? write milliseconds",
}
_LIKE_UNIT = 1.5  # times that the ratio may be off
_CURES = {
    "none": "measure it again",
    "sound": "another run of this configuration is sound",
    "alike": "another run is as far off: no error, the GPU is unlike the donors here",
}
_OF_DONORS = {
    **_CURES,
    "alike": "another run is as far off: no error, if the stage does something else here",
}
_ALL_CURES = tuple(dict.fromkeys([*_UNITS.values(), *_CURES.values(), *_OF_DONORS.values()]))
_MOST_TOLD = 5  # rows of a GPU; the record has all


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
        A heading, a line a row, and the cure, of donors and of calibrated GPUs; of many rows, how
        many they are and the first. Nothing without rows.
    """
    donors = [each for each in records if each["donor"]]
    others = [each for each in records if not each["donor"]]
    lines = [*_told(donors), *_told(others)]
    if any(each["unsettled"] for each in donors):
        lines.append("Then fit again, with the rows as they should be.")
    if any(each["unsettled"] for each in others):
        lines.append(
            "Then calibrate with the new runs: one that agrees with the GPU's other rows settles "
            "it, one that is as far off again says that the GPU is unlike the donors there."
        )
    return lines


def _told(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A heading, and what is said of each GPU."""
    if not records:
        return []
    gpus = list(dict.fromkeys(each["gpu"] for each in records))
    were = "was set aside as a gross error" if len(records) == 1 else "were set aside as gross ones"
    counts = f"{counted(len(records), 'row')} of {', '.join(gpus)}"
    lines = [f"{counts} {were}, which the other rows make impossible:"]
    for gpu in gpus:
        own = [each for each in records if each["gpu"] == gpu]
        lines += _of_gpu(own, counts=len(own) > _MOST_TOLD or len(gpus) > 1)
    return lines


def gross_row_records(rows: Sequence[GrossRow]) -> list[dict[str, Any]]:
    """Put rows that the posterior does not hold into numbers.

    Parameters
    ----------
    rows : sequence of GrossRow

    Returns
    -------
    list of dict
        For JSON: as `gross_error_records`, and by stage `measured_ms`.
    """
    records = gross_error_records([row.error for row in rows])
    return [
        {**record, "measured_ms": dict(row.measured_ms)}
        for record, row in zip(records, rows, strict=True)
    ]


def gross_row_lines(records: Sequence[Mapping[str, Any]], without: str = "") -> list[str]:
    """Say which rows of one GPU are gross errors, though nothing stands on them.

    Parameters
    ----------
    records : sequence of mapping
        Of `gross_row_records`.
    without : str
        What is so without them.

    Returns
    -------
    list of str
        A heading and a line a row. Nothing without rows.
    """
    if not records:
        return []
    one = len(records) == 1
    are = "is a gross error" if one else "are gross errors"
    tail = f"; without {'it' if one else 'them'} {without}" * bool(without)
    heading = (
        f"{counted(len(records), 'row')} {are}, which the GPU's other rows make impossible{tail}:"
    )
    return [heading, *_of_gpu(records, counts=len(records) > _MOST_TOLD)]


def _of_gpu(records: Sequence[Mapping[str, Any]], *, counts: bool) -> list[str]:
    """A line a row of a GPU, below how many they are by stage; of many rows, the first."""
    gpu, lines = records[0]["gpu"], []
    if counts:
        stages = Counter(stage for each in records for stage in each["ratio"])
        by_stage = ", ".join(f"{count} of {stage}" for stage, count in stages.items())
        lines.append(f"- {gpu}, latencies: {by_stage}")
    lines += [f"- {_row(each)}" for each in records[:_MOST_TOLD]]
    if (more := len(records) - _MOST_TOLD) > 0:
        lines.append(f"- and {counted(more, 'more row')} of {gpu}")
    return lines


def _row(record: Mapping[str, Any]) -> str:
    """Write one row: `t.csv row 5 (config_id 123): llm_prefill 30 times too slow; measure ...`."""
    name = f" (config_id {record['config_id']})" if record["config_id"] else ""
    cures = {stage: _cure(record, stage) for stage in record["ratio"]}
    told = []
    for cure in _ALL_CURES:
        stages = [
            f"{stage} {_times(ratio)}{_expected(record, stage)}"
            for stage, ratio in record["ratio"].items()
            if cures[stage] == cure
        ]
        if stages:
            told.append(f"{', '.join(stages)}; {cure}")
    return f"{record['file']} row {record['row']}{name}: {'; '.join(told)}"


def _cure(record: Mapping[str, Any], stage: str) -> str:
    """What to do about a stage of a row."""
    for unit, cure in _UNITS.items():
        if 1 / _LIKE_UNIT < record["ratio"][stage] / unit < _LIKE_UNIT:
            return cure
    return (_OF_DONORS if record["donor"] else _CURES)[record["repeats"][stage]]


def _expected(record: Mapping[str, Any], stage: str) -> str:
    """Write what was measured against what the other rows say, where that is at hand."""
    if "measured_ms" not in record:
        return ""
    measured = record["measured_ms"][stage]
    return f" ({format_ms(measured)} ms, {format_ms(measured / record['ratio'][stage])} expected)"


def _times(ratio: float) -> str:
    """Write how far off a latency is.

    >>> _times(30.4), _times(0.4)
    ('30 times too slow', '2.5 times too fast')
    """
    times = max(ratio, 1 / ratio)
    number = f"{times:,.0f}" if times >= 10 else f"{times:.1f}"
    return f"{number} times too {'slow' if ratio > 1 else 'fast'}"
