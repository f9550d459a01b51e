"""The verdict of a report in sentences: what a lead reads, if nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bayeslat.report.tables import format_ms

__all__ = ["verdict_sentences"]

_MEANING = {"run": "each run", "typical": "the typical run"}


def verdict_sentences(record: Mapping[str, Any]) -> list[str]:
    """Say whether to trust the GPU's predictions, and what the guardrail does with the budget.

    Parameters
    ----------
    record : mapping
        Of `assessment_record`.
    """
    return [_trust(record), *_decisions(record)]


def _trust(record: Mapping[str, Any]) -> str:
    gpu = record["gpu"]
    transfer = record["transfer"]
    if transfer is None:
        if record["fitted"]:
            return f"{gpu} was fitted as a donor."
        return f"{gpu} was not measured: nothing is accepted on its data sheet alone."
    configs, rows = record["calibration_configs"], record["calibration_rows"]
    repeated = "" if rows == configs else f" ({rows} rows)"
    start = f"Calibrated with {configs} configurations{repeated}, predictions for {gpu}"
    error = f"the typical total is expected to be off by {transfer['expected_mape']:.1%}"
    if transfer["verdict"] == "trust":
        return f"{start} can be trusted: {error}."
    if transfer["verdict"] == "more data":
        return f"{start} need more data: {error}, which may be too much."
    return f"{start} cannot be trusted: it is unlike the donors. Fit it with them."


def _decisions(record: Mapping[str, Any]) -> Iterator[str]:
    found = record["decisions"]
    if found is None:
        return
    budget = f"{format_ms(record['budget_ms'])} ms for {_MEANING[record['of']]}"
    accepted, wrong = found["accept"], found["false_accepts"]
    told = (
        f"With a budget of {budget} and max_risk {record['max_risk']:g}, the guardrail accepts "
        f"{accepted:,} of {found['configs']:,} held-out configurations"
    )
    if accepted:
        were = "none of them" if not wrong else f"{wrong:,} of them ({wrong / accepted:.1%})"
        told += f", and {were} ran over; without it, {found['over']:,} would have"
    yield f"{told}. It rejects {found['reject']:,} and asks to measure {found['measure']:,} first."
