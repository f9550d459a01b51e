"""What `bayeslat report` writes: a page, its figures, and the numbers behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bayeslat.atomic import atomic_files
from bayeslat.report.assessment_drawings import DRAWINGS, Drawing
from bayeslat.report.assessment_page import assessment_page
from bayeslat.report.assessment_record import records
from bayeslat.report.figures import save_figure

__all__ = ["ASSESSMENT_FILES", "write_assessment"]

_PAGE, _RECORD, _ANALYSIS = "index.html", "report.json", "e3_guardrail_analysis.json"
ASSESSMENT_FILES = (
    *(_PAGE, _RECORD, _ANALYSIS),
    *(f"figures/{name}.{kind}" for name in DRAWINGS for kind in ("png", "svg", "json")),
)
"""All that a report may write, in its folder."""


def write_assessment(
    record: Mapping[str, Any], drawings: Sequence[Drawing], folder: Path
) -> dict[str, Path]:
    """Write a report into a folder, whole or not at all.

    Of an earlier one, what this one has not is removed; other files stay.

    Parameters
    ----------
    record : mapping
        Of `assessment_record`.
    drawings : sequence of Drawing
    folder : Path

    Returns
    -------
    dict of str to Path
        `page`, `record`, `analysis` (the document's `e3_guardrail_analysis.json`; not without
        decisions) and the images of the figures.
    """
    names = {"page": _PAGE, "record": _RECORD}
    with atomic_files(folder, ASSESSMENT_FILES) as fresh:
        for each in drawings:
            names[each.name] = f"figures/{each.name}.png"
            images = [fresh / "figures" / f"{each.name}.{kind}" for kind in ("png", "svg")]
            save_figure(each.figure, images)
            tables = {name: records(table.map(_round)) for name, table in each.data.items()}
            _write_json(fresh / "figures" / f"{each.name}.json", tables)
        if record["guardrail"] is not None:
            names["analysis"] = _ANALYSIS
            _write_json(fresh / _ANALYSIS, record["guardrail"])
        _write_json(fresh / _RECORD, record)
        (fresh / _PAGE).write_text(assessment_page(record, drawings), encoding="utf-8")
    return {name: folder / file for name, file in names.items()}


def _round(value: Any) -> Any:
    """Keep the digits of a number that a figure can show."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
