"""The page of `bayeslat report`: what to think of a GPU, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from bayeslat.report.assessment_drawings import Drawing
from bayeslat.report.assessment_words import verdict_sentences
from bayeslat.report.inline_svg import inline_svg
from bayeslat.report.page import html_figure, html_page, html_table
from bayeslat.report.tables import format_ms, format_percent

__all__ = ["assessment_page"]

_DASH = "\u2013"


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
    title = f"{record['gpu']} with a budget of {format_ms(record['budget_ms'])} ms"
    parts = [
        f'<p class="lead">{escape(" ".join(verdict_sentences(record)))}</p>',
        _tiles(record),
        *_accuracy(record, figures),
        *_strengths(record, figures),
        *_guardrail(record, figures),
        *_calibration(record, figures),
        *_next(record),
        *_provenance(record),
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
        count = decided["configs"]
        tiles += [
            (f"{decided['accept']:,} of {count:,}", "held-out configurations accepted"),
            (f"{decided['false_accepts']:,}", "of these ran over the budget"),
            (f"{decided['measure']:,}", "had better be measured first"),
        ]
    if control := record["risk_control"]:
        tiles.append(
            (
                f"{control['bound']:.1%}",
                f"of all at most are accepted wrongly, with {control['confidence']:.0%} confidence",
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
        yield f"<p>{escape(_sentence(transfer['sentence']))}</p>"
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
    yield from _missing(record, "trials", "Trials")
    yield figures.get("error_vs_samples", "")
    if record["errors"]:
        heads = ["calibration rows", "MAPE, %", "50 % covers, %", "90 % covers, %", "90 % width, %"]
        names = ("mape", "coverage_50", "coverage_90", "width_90")
        rows = [
            [str(row["rows"]), *(format_percent(row[name]) for name in names)]
            for row in record["errors"]
        ]
        yield "<h3>Total latency of configurations that calibrated nothing</h3>"
        yield html_table(heads, rows)
        yield f'<p class="note">{_floor(record)}</p>'
    yield figures.get("predicted_vs_actual", "")
    yield figures.get("coverage", "")


def _floor(record: Mapping[str, Any]) -> str:
    """Say what part of a measured error is the measurement's own."""
    told = (
        "Errors are against measured medians, whose own noise counts as error; the expected MAPE "
        "above is of the typical run."
    )
    if record["run_to_run"] is None:
        return told
    return (
        f"{told} One run of a configuration is {record['run_to_run']:.1%} from the median of its "
        "other runs."
    )


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
            "<p>Beside its data sheet and the middle of the donors, it surely differs in these "
            "kinds of work; a ratio below 1 is faster than they lead one to expect.</p>"
        )
        yield html_table(["work", "time, over the donors\u2019", "90 % interval"], rows)
    else:
        yield "<p>In no kind of work does it surely differ from the donors, for its data sheet.</p>"
    yield figures["coefficients"]


def _guardrail(record: Mapping[str, Any], figures: Mapping[str, str]) -> Iterator[str]:
    """What is accepted and refused."""
    yield "<h2>What does the guardrail do?</h2>"
    yield from _missing(record, "held", "Held-out configurations")
    found = record["guardrail"]
    if found is None:
        return
    yield figures.get("e3_guardrail_effectiveness", "")
    heads = ["rule", "budget", "accepts", "over budget", "of the accepted, %", "refused within, %"]
    rows = [
        [
            row["rule"],
            f"{format_ms(row['budget_ms'])} ms",
            f"{row['accepts']:,} of {row['configs']:,}",
            f"{row['violations']:,}",
            _percent(row["violation_rate"]),
            _percent(row["false_reject"]),
        ]
        for row in found["budgets"]
    ]
    yield html_table(heads, rows)
    yield figures.get("roc", "<p>All configurations are on one side of the budget.</p>")


def _calibration(record: Mapping[str, Any], figures: Mapping[str, str]) -> Iterator[str]:
    """Whether the probabilities are right, and a bound that does not need them."""
    if record["guardrail"] is None:
        return
    yield "<h2>Is the risk what it says?</h2>"
    yield figures.get("reliability", "")
    control = record["risk_control"]
    if control is None:
        return
    yield (
        f"<p>The bound below asks nothing of the model, but that the {control['configs']:,} "
        "held-out configurations are like those to come. "
        f"{escape(_sentence(control['sentence']))}</p>"
    )
    heads = [
        "max_risk",
        "accepts",
        "false accepts",
        "rate, %",
        "bound, %",
        "the model\u2019s own, %",
    ]
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


def _next(record: Mapping[str, Any]) -> Iterator[str]:
    """What to measure next."""
    yield "<h2>What to measure next</h2>"
    yield from _missing(record, "suggestion", "Suggestions")
    found = record["suggestion"]
    if found is None:
        return
    before, after = found["mape"][0], found["mape"][-1]
    yield (
        f"<p>These configurations would bring the expected MAPE of the total from {before:.1%} to "
        f"{after:.1%}, in {format_ms(found['cost_ms'] / 1000)} s of running each once.</p>"
    )
    configs = found["configs"]
    knobs = [name for name in configs[0] if name not in ("rank", "gain", "cost_ms")]
    rows = [
        [
            str(config["rank"]),
            *(_cell(config[name]) for name in knobs),
            format_ms(config["cost_ms"]),
            format_percent(found["mape"][config["rank"]]),
        ]
        for config in configs
    ]
    yield html_table(["rank", *knobs, "cost, ms", "expected MAPE, %"], rows)


def _provenance(record: Mapping[str, Any]) -> Iterator[str]:
    """Where the numbers come from."""
    yield "<h2>Where the numbers come from</h2>"
    for caveat in record["caveats"]:
        yield f"<p>{escape(caveat)}</p>"
    if not record["converged"]:
        yield "<p><b>The posterior did not converge</b>: <code>bayeslat check</code> it.</p>"
    heads = ["trace", "rows", "source", "collected", "tool", "on"]
    rows = [[each["file"], f"{each['rows']:,}", *_origin(each)] for each in record["traces"]]
    yield html_table(heads, rows, numbers=False)
    fitted = record["posterior"]
    versions = ", ".join(f"{name} {each}" for name, each in (fitted["versions"] or {}).items())
    donors = ", ".join(record["donors"])
    rows = [
        ["donors", donors or _DASH],
        ["spec", f"{fitted['spec']} ({fitted['spec_hash'][:12]})"],
        ["fit", f"{fitted['engine']}, seed {fitted['seed']}, {fitted['rows']:,} rows"],
        ["fitted data", f"SHA-256 {fitted['fingerprint'][:16]}\u2026"],
        ["libraries", versions],
    ]
    yield html_table(["posterior", ""], rows, numbers=False)
    yield "<h2>The commands that made it</h2>"
    yield f"<pre>{escape(chr(10).join(record['commands']))}</pre>"


def _origin(trace: Mapping[str, Any]) -> list[str]:
    """Say how a trace came about, in four cells."""
    about = trace["provenance"] or {}
    gpu = about.get("gpu")
    name = gpu.get("name") if isinstance(gpu, Mapping) else gpu
    cells = (about.get("source", "unknown"), about.get("collected_at"), about.get("tool"), name)
    return [str(cell) if cell else _DASH for cell in cells]


def _missing(record: Mapping[str, Any], part: str, name: str) -> Iterator[str]:
    """Say why a part is not there."""
    if part in record["missing"]:
        yield f'<p class="note">{name}: {escape(record["missing"][part])}.</p>'


def _cell(value: Any) -> str:
    """Write a knob's value."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _percent(part: float | None) -> str:
    """Write a part in percent; a dash where there is none."""
    return _DASH if part is None else format_percent(part)


def _sentence(text: str) -> str:
    """Begin with a capital and end with a stop."""
    return f"{text[0].upper()}{text[1:]}."
