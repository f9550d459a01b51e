"""The page of `bayeslat compare`: the key questions with their answers, tables and figures."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from bayeslat.counted import counted
from bayeslat.report.page import html_figure, html_page, html_table

__all__ = ["comparison_page"]

_FIGURES = {
    "error_vs_samples": "Error against calibration rows; the band is the range over repetitions.",
    "transfer_curve": "Error by stage against calibration rows.",
    "predicted_vs_actual": "Measured against predicted latency of held-out configurations.",
}
_TABLES = (
    ("mape", 100.0, "MAPE, %"),
    ("mae_ms", 1.0, "MAE, ms"),
    ("p95_ms", 1.0, "P95 absolute error, ms"),
    ("crps_ms", 1.0, "CRPS, ms"),
    ("coverage_90", 100.0, "90 % intervals cover, %"),
    ("width_90", 100.0, "width of the 90 % interval, % of the point"),
)
_WHY_NO_PICKLE = (
    "The estimator is saved as <code>e3_estimator_model.nc</code>, a posterior file, in place of a "
    "pickle: a pickle runs code when it is opened, and breaks with the next version of any "
    "library; this file is data, sealed with a checksum, and opens in xarray and ArviZ."
)
_MARKS = {"confirmed": "\u2713 confirmed", "not confirmed": "\u2717 not confirmed"}


def comparison_page(record: Mapping[str, Any], figures: Mapping[str, Path]) -> str:
    """Lay the page out.

    Parameters
    ----------
    record : mapping
        Of `comparison_record`.
    figures : mapping of str to Path
        Written images.

    Returns
    -------
    str
        HTML that needs no other file.
    """
    options = record["options"]
    title = f"Transfer to {options['target']}"
    lead = (
        f"Donors {', '.join(options['donors'])}; methods with a single source carry "
        f"{options['source']} over. {counted(options['repetitions'], 'random choice')} of "
        f"calibration and test configurations; at most "
        f"{counted(options['test_configs'], 'configuration')} held out; seed {options['seed']}, "
        f"engine {options['engine']}."
    )
    parts = [f"<p>{escape(lead)}</p>"]
    if record["questions"]:
        parts.append("<h2>Key questions</h2>")
    parts += [
        f"<h3>{escape(each['question'])}</h3><p>{escape(each['answer'])}</p>"
        for each in record["questions"]
    ]
    parts.append("<h2>Expected findings</h2>")
    rows = [
        [each["question"], _MARKS.get(each["verdict"], each["verdict"]), each["answer"]]
        for each in record["findings"]
    ]
    parts.append(html_table(["finding", "verdict", "measured"], rows, numbers=False))
    parts += [_figure(path, _caption(name)) for name, path in figures.items()]
    for stage in record["headline"]:
        parts.append(f"<h2>All methods, {escape(stage)} latency</h2>")
        parts += [_methods_table(record["summary"], stage, *each) for each in _TABLES]
    if record["skipped"]:
        items = "".join(f"<li>{escape(each)}</li>" for each in record["skipped"])
        parts.append(f"<h2>Not run</h2><ul>{items}</ul>")
    parts.append(f"<p>{_WHY_NO_PICKLE}</p>")
    return html_page(title, "\n".join(parts))


def _methods_table(
    summary: Mapping[str, Any], stage: str, score: str, scale: float, title: str
) -> str:
    """One score of a stage, or of the total, methods by numbers of rows."""
    counts = sorted({row["rows"] for method in summary.values() for row in method.get(stage, ())})
    rows: list[Sequence[str]] = []
    for method, stages in summary.items():
        held = {row["rows"]: row.get(score) for row in stages.get(stage, ())}
        if all(held.get(count) is None for count in counts):
            continue
        cells = [
            "\u2013" if held.get(count) is None else f"{scale * held[count]:.3g}"
            for count in counts
        ]
        rows.append([method, *cells])
    if not rows:
        return ""
    return f"<h3>{escape(title)}</h3>" + html_table(["method", *map(str, counts)], rows)


def _caption(name: str) -> str:
    """Caption of a figure, or of one of a stage (`figure/stage`)."""
    figure, _, stage = name.partition("/")
    return f"{stage}: {_FIGURES[figure]}" if stage else _FIGURES[figure]


def _figure(path: Path, caption: str) -> str:
    """An image inside the page."""
    content = base64.b64encode(path.read_bytes()).decode()
    image = f'<img alt="{escape(caption)}" src="data:image/png;base64,{content}">'
    return html_figure(image, caption)
