"""The verdict of a report in sentences: what a lead reads, if nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import numpy as np

from bayeslat.counted import counted
from bayeslat.decisions.prediction import TOTAL
from bayeslat.report.tables import format_ms, format_percent

__all__ = [
    "as_sentence",
    "budget_words",
    "decided_kind",
    "percent_or_dash",
    "told_missing",
    "verdict_sentences",
]

_DASH = "\u2013"
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
        return _untried(record)
    configs, rows = record["calibration_configs"], record["calibration_rows"]
    repeated = "" if rows == configs else f" ({counted(rows, 'row')})"
    start = f"Calibrated with {counted(configs, 'configuration')}{repeated}, predictions for {gpu}"
    error = f"the typical total is expected to be off by {transfer['expected_mape']:.1%}"
    bounded = record["budget_of"].split("+")
    if bounded != [TOTAL]:
        tried = _tried_error(record)
        error += f" (in trials, {tried})" if tried else f" (not {record['budget_of']} alone)"
    unmeasured = ", ".join(
        stage for stage in transfer["unmeasured"] if bounded == [TOTAL] or stage in bounded
    )
    lacks = f" Nothing was measured of {unmeasured}: nothing that runs it is accepted."
    lacks *= bool(unmeasured)
    if transfer["verdict"] == "trust":
        return f"{start} can be trusted: {error}.{lacks}"
    if transfer["verdict"] == "more data" and transfer["more_passes"]:
        return (
            f"{start} need further passes over the configurations, or a quieter machine: {error}, "
            f"since passes differ by {np.expm1(transfer['pass_sd']):.1%}.{lacks}"
        )
    if transfer["verdict"] == "more data" and transfer["more_rows"] == 0:
        again = sum(each["unsettled"] for each in transfer["gross_errors"])
        return (
            f"{start} need {counted(again, 'row')} to be measured again, set aside as a gross "
            f"error: without {'it' if again == 1 else 'them'}, {error}.{lacks}"
        )
    if transfer["verdict"] == "more data":
        return f"{start} need more data: {error}, which may be too much.{lacks}"
    return f"{start} cannot be trusted: it is unlike the donors. Fit it with them."


def _untried(record: Mapping[str, Any]) -> str:
    """Say what is known of a GPU that was not calibrated."""
    told = f"{record['gpu']} was not calibrated: nothing is accepted on its data sheet alone."
    tried = _tried_error(record)
    return f"{told} In trials, {tried}." if tried else told


def _tried_error(record: Mapping[str, Any]) -> str:
    """Say what trials left of error in what the budget bounds; empty without trials."""
    trials = record["trials"]
    if trials is None:
        return ""
    errors = {row["rows"]: row for row in record["errors"]}
    shown = errors.get(trials["shown_rows"])
    if shown is None or shown["mape"] is None:
        return ""
    sound = shown["mape_sound"]
    left = f"{shown['mape']:.1%}" + (
        "" if sound is None else f" ({sound:.1%} without gross errors)"
    )
    many = counted(trials["shown_rows"], "row")
    of = "" if record["budget_of"] == TOTAL else f" of {record['budget_of']}"
    return f"{many} left an error{of} of {left}"


def _decisions(record: Mapping[str, Any]) -> Iterator[str]:
    found = record["decisions"]
    if found is None:
        return
    joins = "for" if record["budget_of"] == TOTAL else "of"
    budget = f"{budget_words(record)} {joins} {_MEANING[record['of']]}"
    accepted, wrong = found["accept"], found["false_accepts"]
    told = (
        f"With a budget of {budget} and max_risk {record['max_risk']:g}, the guardrail accepts "
        f"{accepted:,} of {found['configs']:,} {decided_kind(record)} configurations"
    )
    if accepted:
        were = "none of them" if not wrong else f"{wrong:,} of them ({wrong / accepted:.1%})"
        told += f", and {were} ran over; without it, {found['over']:,} would have"
    yield f"{told}. It rejects {found['reject']:,} and asks to measure {found['measure']:,} first."


def budget_words(record: Mapping[str, Any]) -> str:
    """Say what a budget is, and of which stages if not of the total.

    >>> budget_words({"budget_ms": 40.0, "budget_of": "llm_decode_per_token"})
    '40 ms for llm_decode_per_token'
    """
    of = "" if record["budget_of"] == TOTAL else f" for {record['budget_of']}"
    return f"{format_ms(record['budget_ms'])} ms{of}"


def decided_kind(record: Mapping[str, Any]) -> str:
    """Say what kind of configurations was decided about: a donor's may have been fitted."""
    return "measured" if record["fitted"] else "held-out"


def as_sentence(text: str) -> str:
    """Begin with a capital, unless it is the name of an option, and end with a stop.

    >>> as_sentence("trust: 3 %"), as_sentence("max_risk up to 0.1 does")
    ('Trust: 3 %.', 'max_risk up to 0.1 does.')
    """
    first = text.split(" ", 1)[0]
    return f"{text}." if "_" in first else f"{text[0].upper()}{text[1:]}."


def percent_or_dash(part: float | None) -> str:
    """Write a part of one in percent; a dash where there is none."""
    return _DASH if part is None else format_percent(part)


def told_missing(record: Mapping[str, Any], part: str, name: str) -> Iterator[str]:
    """Say, in HTML, why a part is not there."""
    if part in record["missing"]:
        yield f'<p class="note">{name}: {escape(record["missing"][part])}.</p>'
