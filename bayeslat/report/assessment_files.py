"""What `bayeslat report` writes: a page, its figures, and the numbers behind them."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from bayeslat.atomic import atomic_path
from bayeslat.report.assessment_drawings import DRAWINGS, Drawing
from bayeslat.report.assessment_page import assessment_page
from bayeslat.report.assessment_record import records
from bayeslat.report.figures import save_figure

__all__ = ["write_assessment"]


def write_assessment(
    record: Mapping[str, Any], drawings: Sequence[Drawing], folder: Path
) -> dict[str, Path]:
    """Write a report into a folder; of an earlier one, what this one has not is removed.

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
    paths = {"page": folder / "index.html", "record": folder / "report.json"}
    for each in drawings:
        images = [folder / "figures" / f"{each.name}.{kind}" for kind in ("png", "svg")]
        save_figure(each.figure, images)
        tables = {name: records(table.map(_round)) for name, table in each.data.items()}
        _write_json(folder / "figures" / f"{each.name}.json", tables)
        paths[each.name] = images[0]
    if record["guardrail"] is not None:
        paths["analysis"] = folder / "e3_guardrail_analysis.json"
        _write_json(paths["analysis"], record["guardrail"])
    _write_json(paths["record"], record)
    with atomic_path(paths["page"]) as temporary:  # last: a page stands on finished files
        temporary.write_text(assessment_page(record, drawings), encoding="utf-8")
    _clear(folder, paths)
    return paths


def _clear(folder: Path, written: Container[str]) -> None:
    """Remove what an earlier report had and this one has not: it would pass for this one's."""
    stale = [
        folder / "figures" / f"{name}.{kind}"
        for name in DRAWINGS
        if name not in written
        for kind in ("png", "svg", "json")
    ]
    if "analysis" not in written:
        stale.append(folder / "e3_guardrail_analysis.json")
    for path in stale:
        path.unlink(missing_ok=True)


def _round(value: Any) -> Any:
    """Keep the digits of a number that a figure can show."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _write_json(path: Path, content: object) -> None:
    with atomic_path(path) as temporary:
        text = json.dumps(content, indent=1, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
