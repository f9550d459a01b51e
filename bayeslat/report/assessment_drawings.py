"""The figures of a report, each with the numbers that it shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from bayeslat.counted import counted
from bayeslat.decisions.prediction import TOTAL
from bayeslat.evaluation.assessment import Assessment
from bayeslat.evaluation.guardrail.analysis import GuardrailAnalysis
from bayeslat.evaluation.guardrail.trial import Trials
from bayeslat.evaluation.metrics import mape
from bayeslat.report.figures import error_against_rows, predicted_against_measured
from bayeslat.report.gpu_figures import draw_coefficients, draw_coverage
from bayeslat.report.guard_figures import draw_operating_curves, draw_reliability, draw_violations

__all__ = ["DRAWINGS", "Drawing", "draw_assessment"]

DRAWINGS = (
    "error_vs_samples",
    "predicted_vs_actual",
    "coverage",
    "coefficients",
    "roc",
    "reliability",
    "e3_guardrail_effectiveness",
)
"""Names of all figures; a report draws those that it has numbers for."""


@dataclass(frozen=True)
class Drawing:
    """A figure of a report.

    Attributes
    ----------
    name : str
        Of its files.
    caption : str
    figure : Figure
    data : mapping of table to DataFrame
        All that the figure shows.
    """

    name: str
    caption: str
    figure: Figure
    data: Mapping[str, pd.DataFrame]


def draw_assessment(assessment: Assessment) -> tuple[Drawing, ...]:
    """Draw what there is to draw.

    Parameters
    ----------
    assessment : Assessment

    Returns
    -------
    tuple of Drawing
        In the order of the page.
    """
    return tuple(_drawings(assessment))


def _drawings(found: Assessment) -> Iterator[Drawing]:
    if found.trials is not None:
        yield _errors(found, found.trials)
    if found.scatter is not None:
        yield _scatter(found, found.scatter)
    if found.trials is not None:
        yield _coverage(found, found.trials)
    yield _coefficients(found)
    if found.guardrail is not None:
        yield from _guard(found, found.guardrail)


def _errors(found: Assessment, trials: Trials) -> Drawing:
    """Error against the number of calibration rows, of what the budget is for first."""
    scores = trials.scores
    curves = {}
    for stage in _bounded_first(scores, found):
        grouped = scores[scores["stage"] == stage].groupby("rows")["mape"]
        table = grouped.agg(["mean", "min", "max"]).reset_index()
        table.columns = pd.Index(["rows", "mape", "mape_low", "mape_high"])
        curves[_words(stage)] = table
    rival = _affine_errors(trials)
    if not rival.empty:
        curves[f"{_words(str(found.options.budget))}, affine estimator"] = rival
    title = f"Error on {found.gpu.key} against calibration rows"
    caption = (
        "MAPE of configurations that calibrated nothing; the band is the range over "
        f"{trials.options.repetitions} random choices."
    )
    data = pd.concat([table.assign(line=name) for name, table in curves.items()])
    return Drawing("error_vs_samples", caption, error_against_rows(curves, title), {"lines": data})


def _affine_errors(trials: Trials) -> pd.DataFrame:
    """Error of the affine estimator, of what the budget is for."""
    decided = trials.decisions[trials.decisions["fraction"] == 1.0].dropna(subset="affine_ms")
    rows = []
    for count, part in decided.groupby("rows"):
        errors = [
            mape(each["affine_ms"].to_numpy(), each["typical_ms"].to_numpy())
            for _, each in part.groupby("repetition")
        ]
        rows.append(
            {
                "rows": count,
                "mape": sum(errors) / len(errors),
                "mape_low": min(errors),
                "mape_high": max(errors),
            }
        )
    return pd.DataFrame(rows)


def _scatter(found: Assessment, scatter: pd.DataFrame) -> Drawing:
    """Measured against predicted latency, by stage."""
    columns, stages = {}, {}
    for stage in _bounded_first(scatter, found):
        part = scatter[scatter["stage"] == stage]
        stages[stage] = f"{stage}_measured_ms"
        for name in ("point_ms", "q05_ms", "q95_ms", "measured_ms"):
            columns[f"{stage}_{name}"] = part[name].to_numpy()
    label = f"{found.gpu.key}, {_rows_told(found)}"
    title = f"Latency of {'measured' if found.fitted else 'held-out'} configurations"
    figure = predicted_against_measured({label: pd.DataFrame(columns)}, stages, title)
    caption = "One measured run of each configuration; bars are 90 % predictive intervals."
    return Drawing("predicted_vs_actual", caption, figure, {"configs": scatter})


def _coverage(found: Assessment, trials: Trials) -> Drawing:
    """Coverage by stage and number of rows."""
    names = ["coverage_50", "coverage_90", "width_90"]
    scores = trials.scores
    parts = [scores[scores["stage"] == stage] for stage in _bounded_first(scores, found)]
    grouped = pd.concat(parts).groupby(["stage", "rows"], sort=False)
    table = grouped[names].mean().reset_index()
    caption = (
        "Held-out runs inside their predictive intervals. Lines above the nominal one are wider "
        "than they need be, lines below promise too much."
    )
    figure = draw_coverage(table, "Coverage of held-out runs")
    return Drawing("coverage", caption, figure, {"stages": table})


def _coefficients(found: Assessment) -> Drawing:
    """What the GPU is good and bad at."""
    table = found.coefficients
    known = (table["gpu"] == found.gpu.key).any()
    title = f"What {f'{found.gpu.key} is' if known else 'the donors are'} good and bad at"
    figure = draw_coefficients(table, found.gpu.key, found.stack, title)
    caption = (
        "For each kind of work, how many times slower than its data sheet a GPU does it: posterior "
        "medians with 90 % intervals. A term with a wide interval hardly shows in the latencies."
    )
    return Drawing("coefficients", caption, figure, {"coefficients": table})


def _guard(found: Assessment, analysis: GuardrailAnalysis) -> Iterator[Drawing]:
    """Draw the guard's trade-off, calibration and violations."""
    traded, rows = analysis.trade_off, _rows_told(found)
    if traded.over and traded.within:
        curves = {
            rule: pd.DataFrame(
                {
                    "threshold": curve.threshold,
                    "false_reject": curve.false_reject,
                    "false_accept": curve.false_accept,
                }
            )
            for rule, curve in traded.curves.items()
        }
        budget = found.options.budget
        of = f" for {_words(str(budget))}" if budget.stages else ""
        title = f"False accepts against false rejects, {budget.ms:,g} ms{of}, {rows}"
        figure = draw_operating_curves(curves, traded.bands, traded.points, title)
        areas = ", ".join(f"{rule} {curve.area:.4f}" for rule, curve in traded.curves.items())
        caption = (
            f"One line a rule, over all of its thresholds: {traded.over:,} decisions about "
            f"configurations over the budget, {traded.within:,} about others. Nearer to the lower "
            "left corner is better. Bands are 90 % over the choice of configurations; numbers "
            "beside marks are margins. Area, the chance that a configuration over the budget "
            f"scores worse than one within it: {areas}."
        )
        data = {"curves": _stack(curves), "bands": _stack(traded.bands), "points": traded.points}
        yield Drawing("roc", caption, figure, data)
    if analysis.pit is not None:
        caption = (
            "Left: how often the budget was exceeded, by p_exceed; beside the dots, how many "
            "configurations; a dot is on its bar in 95 % of the cases if every p_exceed is right. "
            "Right: where measurements fall in their predictive distribution (0.5: the median); "
            "level bars, in the grey band, are calibrated; a hump says that intervals are too "
            "wide, a bowl that they are too narrow."
        )
        bins, pit = analysis.reliability, analysis.pit
        of = _words(str(found.options.budget))
        figure = draw_reliability(bins, pit, f"Is p_exceed right? ({rows})", of)
        yield Drawing("reliability", caption, figure, {"bins": bins, "pit": pit})
    caption = (
        "Above: of the configurations that a rule accepts, the part that ran over the budget, with "
        "95 % intervals. Below: what it refuses although it is within the budget (for the "
        "guardrail, what it asks to measure is refused)."
    )
    figure = draw_violations(analysis.violations, f"Budget violations, {rows}")
    yield Drawing("e3_guardrail_effectiveness", caption, figure, {"rules": analysis.violations})


def _bounded_first(table: pd.DataFrame, found: Assessment) -> list[str]:
    """Return the stages of a table: what the budget is for, the total, and then the others."""
    order = [str(found.options.budget), TOTAL]
    ranks = {name: rank for rank, name in enumerate(dict.fromkeys(order))}
    return sorted(map(str, table["stage"].unique()), key=lambda name: ranks.get(name, len(ranks)))


def _words(stage: str) -> str:
    """Write a stage for a legend."""
    return stage.replace("_", " ")


def _stack(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put tables of several rules below each other."""
    return pd.concat([table.assign(rule=rule) for rule, table in tables.items()])


def _rows_told(found: Assessment) -> str:
    """Say what the predictions rest on."""
    if found.shown_rows is None and found.fitted:
        return "as fitted"
    rows = found.calibrated if found.shown_rows is None else found.shown_rows
    return counted(rows, "calibration row")
