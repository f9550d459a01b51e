"""The part of a report's page that is about the guardrail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from bayeslat.counted import counted
from bayeslat.evaluation.guardrail.violations import GUARD, MARGIN, POINT_RULE, SOURCE_RULE
from bayeslat.report.assessment_words import (
    as_sentence,
    percent_or_dash,
    told_missing,
)
from bayeslat.report.page import html_table
from bayeslat.report.tables import format_ms, format_percent

__all__ = ["calibration_section", "guardrail_section"]


def guardrail_section(record: Mapping[str, Any], figures: Mapping[str, str]) -> Iterator[str]:
    """What is accepted and refused, by the guardrail and by simpler rules."""
    yield "<h2>What does the guardrail do?</h2>"
    yield from told_missing(record, "held", "Held-out configurations")
    found = record["guardrail"]
    if found is None:
        return
    yield f"<p>{escape(_about(record))}</p>"
    yield f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in _rules(record))}</ul>"
    yield figures.get("e3_guardrail_effectiveness", "")
    heads = ["rule", "budget", "accepts", "of these over", "over, %", "refused within, %"]
    rows = [
        [
            row["rule"],
            f"{format_ms(row['budget_ms'])} ms",
            f"{row['accepts']:,} of {row['configs']:,}",
            f"{row['violations']:,}",
            percent_or_dash(row["violation_rate"]),
            percent_or_dash(row["false_reject"]),
        ]
        for row in found["budgets"]
    ]
    yield html_table(heads, rows)
    yield (
        '<p class="note">Over: the part of the accepted that ran over the budget. Refused within: '
        "of those within the budget, the part that is not accepted.</p>"
    )
    yield figures.get("roc", "<p>All configurations are on one side of the budget.</p>")


def _about(record: Mapping[str, Any]) -> str:
    """Say whose decisions are counted."""
    trials = record["trials"]
    if trials is None:
        if record["fitted"]:
            return "Decisions about the measured configurations, which may have been fitted."
        return "Decisions about the held-out configurations."
    return (
        f"Not this posterior's own decisions, which are counted at the top, but those of the "
        f"trials with {counted(trials['shown_rows'], 'row')} to calibrate with, so that simpler "
        f"rules can be set beside them: {trials['decisions']:,} decisions on {trials['configs']:,} "
        "configurations, of which some were held out more than once."
    )


def _rules(record: Mapping[str, Any]) -> Iterator[str]:
    """Say what each rule is."""
    present = {row["rule"] for row in record["guardrail"]["budgets"]}
    yield (
        f"{GUARD}: accept if P(latency > budget) is surely at most {record['max_risk']:g}; what it "
        "asks to measure first counts as refused"
    )
    yield f"{POINT_RULE}: accept if {MARGIN:g} times the predicted latency is within the budget"
    if SOURCE_RULE in present:
        source = record["guardrail"]["source_gpu"]
        yield (
            f"{SOURCE_RULE}: the same with another prediction, each stage a line in that of a "
            f"model of {source} alone"
        )


def calibration_section(record: Mapping[str, Any], figures: Mapping[str, str]) -> Iterator[str]:
    """Whether the probabilities are right, and a bound that does not need them."""
    control = record["risk_control"]
    if record["guardrail"] is None:
        return
    yield "<h2>Is the risk what it says?</h2>"
    yield figures.get("reliability", "")
    if control is None:
        return
    seen = ", and that the fit did not see them, as it may have" if record["fitted"] else ""
    yield (
        f"<p>The bound below asks nothing of the model, but that the {control['configs']:,} "
        f"{'measured' if seen else 'held-out'} configurations are like those to come{seen}. "
        f"{escape(as_sentence(control['sentence']))}</p>"
    )
    heads = ["max_risk", "accepts", "false accepts", "rate, %", "bound, %", "by the model, %"]
    rows = [
        [
            f"{row['max_risk']:g}",
            f"{row['accepts']:,}",
            f"{row['false_accepts']:,}",
            format_percent(row["rate"]),
            format_percent(row["bound"]),
            format_percent(row["expected"]),
        ]
        for row in control["levels"]
    ]
    yield html_table(heads, rows)
    yield (
        '<p class="note">Parts of all configurations. Each bound holds with '
        f"{100 * control['confidence']:g}% confidence for a max_risk that was chosen before; the "
        "sentence above holds for the one that it names.</p>"
    )
