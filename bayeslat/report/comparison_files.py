"""What `bayeslat compare` writes: the document's result files, figures, and a page of answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from bayeslat.atomic import atomic_files
from bayeslat.counted import counted
from bayeslat.decisions.prediction import TOTAL
from bayeslat.evaluation.comparison import HIERARCHICAL, Comparison
from bayeslat.evaluation.comparison.answers import (
    answer_questions,
    check_findings,
    transfer_curves,
)
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.storage.posterior_file import write_posterior
from bayeslat.report.comparison_page import comparison_page
from bayeslat.report.figures import error_against_rows, predicted_against_measured, save_figure

__all__ = ["COMPARISON_FILES", "comparison_record", "write_comparison"]

_SHOWN = (
    HIERARCHICAL,
    "direct",
    "A",
    "B",
    "C_neural",
    "ridge",
    "gaussian_process",
    "boosted_trees",
    "hfd_tl_ridge",
    "picf",
)
"""Methods of the figure; the tables hold all."""

_ERRORS, _CURVE, _SCATTER = (
    "e3_prediction_error_vs_samples",
    "e3_transfer_curve",
    "e3_predicted_vs_actual",
)
_PAGE, _RESULTS, _CURVES, _ESTIMATOR = (
    "index.html",
    "e3_calibration_results.json",
    "e3_transfer_curves.json",
    "e3_estimator_model.nc",
)
COMPARISON_FILES = (
    *(_PAGE, _RESULTS, _CURVES, _ESTIMATOR),
    *(f"figures/{name}.png" for name in (_ERRORS, f"{_ERRORS}_*", _CURVE, _SCATTER)),
)
"""All that a comparison may write, in its folder; figures of stages as a glob."""


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """What was compared and found.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    dict
        For JSON: `options`, `headline` (`total`, or the stages where it was not measured),
        `summary` (by method and stage, rows of means over repetitions), `questions`, `findings`
        and `skipped`.
    """
    stages = list(dict.fromkeys(comparison.scores["stage"]))
    summary: dict[str, dict[str, Any]] = {}
    for stage in stages:
        for curve in transfer_curves(comparison, stage):
            summary.setdefault(curve.method, {})[stage] = _records(curve.table)
    return {
        "options": asdict(comparison.options),
        "headline": list(comparison.headline),
        "summary": summary,
        "questions": [asdict(each) for each in answer_questions(comparison)],
        "findings": [asdict(each) for each in check_findings(comparison)],
        "skipped": list(comparison.skipped),
    }


def write_comparison(
    comparison: Comparison, estimator: PosteriorData, folder: Path
) -> dict[str, Path]:
    """Write the document's files into a folder, all or none.

    Of an earlier comparison, what this one has not is removed; other files stay.

    Parameters
    ----------
    comparison : Comparison
    estimator : PosteriorData
        Calibrated by all rows of the target.
    folder : Path

    Returns
    -------
    dict of str to Path
        `results`, `curves`, `page`, `estimator`, and the figures by name.
    """
    record = comparison_record(comparison)
    names = {"results": _RESULTS, "curves": _CURVES, "page": _PAGE, "estimator": _ESTIMATOR}
    with atomic_files(folder, COMPARISON_FILES) as fresh:
        drawn = {}
        for name, file, figure in _draw(comparison):
            names[name] = f"figures/{file}.png"
            drawn[name] = fresh / names[name]
            save_figure(figure, [drawn[name]])
        _write_json(fresh / _RESULTS, {**record, "scores": _records(comparison.scores)})
        _write_json(fresh / _CURVES, _curves(comparison))
        write_posterior(estimator, fresh / _ESTIMATOR)
        (fresh / _PAGE).write_text(comparison_page(record, drawn), encoding="utf-8")
    return {name: folder / file for name, file in names.items()}


def _of_stage(name: str, stage: str, separator: str) -> str:
    """Name what shows a stage; the total's is called as the document has it."""
    return name if stage == TOTAL else f"{name}{separator}{stage}"


def _curves(comparison: Comparison) -> dict[str, Any]:
    """Error against the number of rows, by method: of the total, or of each stage without one."""
    about = {
        "target": comparison.options.target,
        "donors": list(comparison.options.donors),
        "source": comparison.options.source,
    }
    if comparison.headline == (TOTAL,):
        return {**about, "stage": TOTAL, "methods": _curves_of(comparison, TOTAL)}
    return {**about, "stages": {name: _curves_of(comparison, name) for name in comparison.headline}}


def _curves_of(comparison: Comparison, stage: str) -> dict[str, Any]:
    return {
        curve.method: {
            name: [None if pd.isna(value) else value for value in curve.table[name]]
            for name in ("rows", "mape", "mape_low", "mape_high", "mae_ms", "p95_ms", "cost_s")
        }
        for curve in transfer_curves(comparison, stage)
    }


def _draw(comparison: Comparison) -> Iterator[tuple[str, str, Figure]]:
    """Draw what there is to draw: the name of each figure, and that of its file."""
    options = comparison.options
    for stage in comparison.headline:
        curves = {curve.method: curve.table for curve in transfer_curves(comparison, stage)}
        shown = {name: curves[name] for name in _SHOWN if name in curves} or curves
        name = stage.replace("_", " ").capitalize()
        title = f"{name} latency on {options.target}, donors {', '.join(options.donors)}"
        figure = error_against_rows(shown, title)
        yield _of_stage("error_vs_samples", stage, "/"), _of_stage(_ERRORS, stage, "_"), figure
    first = next(name for name in (*_SHOWN, *curves) if name in curves)
    title = f"{first}: error by stage on {options.target}"
    stages = _by_stage(comparison, first)
    yield "transfer_curve", _CURVE, error_against_rows(stages, title)
    if not comparison.scatter.empty:
        yield "predicted_vs_actual", _SCATTER, _scatter(comparison)


def _by_stage(comparison: Comparison, method: str) -> dict[str, pd.DataFrame]:
    """Curves of a method, the total first."""
    names = sorted(comparison.scores["stage"].unique(), key=lambda name: name != TOTAL)
    return {
        str(name).replace("_", " "): curve.table
        for name in names
        for curve in transfer_curves(comparison, name)
        if curve.method == method
    }


def _scatter(comparison: Comparison) -> Figure:
    """Draw measured against predicted latency by stage."""
    columns, stages = {}, {}
    for stage, part in comparison.scatter.groupby("stage", sort=False):
        stages[str(stage)] = f"{stage}_measured_ms"
        for name in ("point_ms", "q05_ms", "q95_ms", "measured_ms"):
            columns[f"{stage}_{name}"] = part[name].to_numpy()
    rows = int(comparison.scatter["rows"].iloc[0])
    label = f"{comparison.options.target}, {counted(rows, 'calibration row')}, with 90 % intervals"
    title = "Latency of held-out configurations"
    return predicted_against_measured({label: pd.DataFrame(columns)}, stages, title)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table; what was not measured is null."""
    records = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in records]


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
