"""The page of `bayeslat report`: what to think of a GPU, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from bayeslat.decisions.prediction import TOTAL
from bayeslat.report.assessment_drawings import Drawing
from bayeslat.report.assessment_guardrail import calibration_section, guardrail_section
from bayeslat.report.assessment_origin import origin_section
from bayeslat.report.assessment_words import (
    as_sentence,
    budget_words,
    decided_kind,
    percent_or_dash,
    told_missing,
    verdict_sentences,
)
from bayeslat.report.gross_errors import gross_error_lines, gross_row_lines
from bayeslat.report.inline_svg import inline_svg
from bayeslat.report.page import html_figure, html_page, html_table
from bayeslat.report.tables import format_ms, format_percent

__all__ = ["assessment_page"]


def assessment_page(record: Mapping[str, Any], drawings: Sequence[Drawing]) -> str:
    """Lay the page out.

    Parameters
    ----------
    record : mapping
        Of `assessment_record`.
    drawings : sequence of Drawing

    Returns
    -------
    str
        HTML that needs no other file.
    """
    figures = {each.name: _figure(each) for each in drawings}
    stack = f" with {record['stack']}" if record["stack"] else ""
    title = (
        f"{record['posterior']['spec']} on {record['gpu']}{stack}: a budget of "
        f"{budget_words(record)}"
    )
    parts = [
        f'<p class="lead">{escape(" ".join(verdict_sentences(record)))}</p>',
        _tiles(record),
        *_accuracy(record, figures),
        *_strengths(record, figures),
        *guardrail_section(record, figures),
        *calibration_section(record, figures),
        *_next(record),
        *origin_section(record),
    ]
    return html_page(title, "\n".join(parts))


def _figure(drawing: Drawing) -> str:
    """A figure inside the page."""
    image = inline_svg(drawing.figure, drawing.name, drawing.caption)
    return html_figure(image, drawing.caption)


def _tiles(record: Mapping[str, Any]) -> str:
    """The numbers to remember."""
    tiles = []
    if transfer := record["transfer"]:
        low, high = (format_percent(transfer[f"expected_mape_{name}"]) for name in ("q05", "q95"))
        tiles.append(
            (
                f"{transfer['expected_mape']:.1%}",
                f"expected MAPE of a typical total ({low} to {high} %)",
            )
        )
    if decided := record["decisions"]:
        tiles += [
            (
                f"{decided['accept']:,} of {decided['configs']:,}",
                f"{decided_kind(record)} configurations accepted",
            ),
            (f"{decided['false_accepts']:,}", "of these ran over the budget"),
            (f"{decided['measure']:,}", "had better be measured first"),
        ]
    # Where nothing is accepted, or the fit may have seen the rows, a bound says nothing.
    telling = decided is not None and decided["accept"] and not record["fitted"]
    if telling and (control := record["risk_control"]):
        tiles.append(
            (
                f"{control['bound']:.1%}",
                "of all configurations at most are accepted wrongly, with "
                f"{100 * control['confidence']:g}% confidence",
            )
        )
    cells = "".join(
        f'<div class="tile"><b>{escape(number)}</b><span>{escape(text)}</span></div>'
        for number, text in tiles
    )
    return f'<div class="tiles">{cells}</div>' if cells else ""


def _accuracy(record: Mapping[str, Any], figures: Mapping[str, str]) -> Iterator[str]:
    """How far the predictions are off."""
    yield "<h2>Can the predictions be trusted?</h2>"
    if transfer := record["transfer"]:
        yield f"<p>{escape(as_sentence(transfer['sentence']))}</p>"
    elif record["fitted"]:
        yield (
            "<p>This GPU is a donor: the fit knows it. Its rows in the trace may have been fitted, "
            "and then look better predicted than new ones will.</p>"
        )
    else:
        yield (
            "<p>This GPU was not calibrated: all that is known of it is its data sheet, and what "
            "the donors share.</p>"
        )
    own = transfer["gross_errors"] if transfer else []
    known = gross_error_lines([*record["donor_gross_errors"], *own])
    for lines in (known, gross_row_lines(record["gross_rows"])):
        if lines:
            yield "<p>" + "<br>".join(map(escape, lines)) + "</p>"
    yield from told_missing(record, "trials", "Trials")
    if trials := record["trials"]:
        yield (
            "<p>How the error falls with measurements, in trials: the GPU is forgotten, and "
            "calibrated anew with a few of its configurations, drawn at random; others, which "
            f"calibrate nothing, judge it. The trials are repeated {trials['repetitions']} "
            "times.</p>"
        )
        if trials["skipped"]:
            yield f'<p class="note">Left out: trials {escape(trials["skipped"])}.</p>'
    yield figures.get("error_vs_samples", "")
    if record["errors"]:
        heads = ["calibration rows", "MAPE, %", "50 % covers, %", "90 % covers, %", "90 % width, %"]
        names = ["mape", "coverage_50", "coverage_90", "width_90"]
        if _without_gross(record):
            heads.append("MAPE without gross errors, %")
            names.append("mape_sound")
        rows = [
            [str(row["rows"]), *(percent_or_dash(row[name]) for name in names)]
            for row in record["errors"]
        ]
        bounded = record["budget_of"]
        of = "Total latency" if bounded == TOTAL else f"Latency of {bounded}"
        yield f"<h3>{escape(of)}: configurations that calibrated nothing</h3>"
        yield html_table(heads, rows)
        yield f'<p class="note">{escape(_reading(record))}</p>'
    yield figures.get("predicted_vs_actual", "")
    yield figures.get("coverage", "")


def _without_gross(record: Mapping[str, Any]) -> bool:
    """Whether trials were repeated without rows that are gross errors."""
    return any(row["mape_sound"] is not None for row in record["errors"])


def _reading(record: Mapping[str, Any]) -> str:
    """Say how to read the table, and what part of an error is the measurement's own."""
    told = (
        "Covers: the part of the runs inside their 50 % and 90 % predictive intervals. Width: of "
        "the 90 % interval, over the prediction. "
    )
    if record["run_to_run"] is None:
        told += "MAPE is against a single run of each configuration, whose noise counts as error"
    else:
        told += (
            "MAPE is against the median of each configuration's runs, whose noise counts as error: "
            f"one run is {record['run_to_run']:.1%} from the median of the others"
        )
    if _without_gross(record):
        told += ". Rows that are gross errors count in all columns but the last"
    if record["transfer"]:
        told += "; the expected MAPE above is against the typical run, without noise"
    return f"{told}."


def _strengths(record: Mapping[str, Any], figures: Mapping[str, str]) -> Iterator[str]:
    """What the GPU is good and bad at."""
    yield "<h2>What is this GPU good and bad at?</h2>"
    if strengths := record["strengths"]:
        rows = [
            [
                f"{row['stage'].replace('_', ' ')}: {row['term']}",
                f"{row['ratio']:.2f}",
                f"{row['low']:.2f} to {row['high']:.2f}",
            ]
            for row in strengths
        ]
        yield (
            "<p>For its data sheet, it differs from the middle of the donors in these kinds of "
            "work: 1.5 is half again as slow as the donors lead one to expect, below 1 is "
            "faster.</p>"
        )
        yield html_table(["work", "time, over the donors\u2019", "90 % interval"], rows)
    elif record["calibration_rows"] or record["fitted"]:
        yield (
            "<p>In no kind of work does it clearly differ from the donors, for its data sheet: "
            "every 90 % interval holds the middle of theirs.</p>"
        )
    else:
        yield "<p>That takes measurements; below are the donors.</p>"
    yield figures["coefficients"]


def _next(record: Mapping[str, Any]) -> Iterator[str]:
    """What to measure next."""
    yield "<h2>What to measure next</h2>"
    yield from told_missing(record, "suggestion", "Suggestions")
    found = record["suggestion"]
    if found is None:
        return
    before, after = found["mape"][0], found["mape"][-1]
    yield (
        f"<p>Over the configurations of the traces, the posterior expects a MAPE of the total of "
        f"{before:.1%} now, and of {after:.1%} with these {len(found['configs'])} measured, which "
        f"takes {format_ms(found['cost_ms'] / 1000)} s of running each once.{_at_hand(found)}</p>"
    )
    configs = found["configs"]
    knobs = [name for name in configs[0] if name not in ("rank", "gain", "cost_ms")]
    rows = [
        [
            str(config["rank"]),
            *(_cell(config[name]) for name in knobs),
            format_ms(config["cost_ms"]),
            format_percent(found["mape"][config["rank"]]),
            "yes" if at_hand else "no",
        ]
        for config, at_hand in zip(configs, found["at_hand"], strict=True)
    ]
    heads = ["rank", *knobs, "one run, ms", "expected MAPE, %", "in the traces"]
    yield html_table(heads, rows)


def _at_hand(found: Mapping[str, Any]) -> str:
    """Say which need no measurement."""
    count, every = sum(found["at_hand"]), len(found["configs"])
    if not count:
        return ""
    if count == every:
        them = "them" if every > 1 else "it"
        return f" The traces hold {them} already: calibrate with those rows, nothing need be run."
    return (
        f" The traces hold {count} of them already: calibrate with those rows, and run the other "
        f"{every - count}."
    )


def _cell(value: Any) -> str:
    """Write a knob's value, all of its digits."""
    if isinstance(value, float):
        return f"{value:.10g}"
    return "\u2013" if value is None else str(value)
