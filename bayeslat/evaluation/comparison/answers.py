"""The stage-estimator document's key questions and expected findings, answered by the scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from bayeslat.counted import counted
from bayeslat.decisions.prediction import TOTAL
from bayeslat.evaluation.comparison.compare import Comparison
from bayeslat.evaluation.comparison.hierarchical import HIERARCHICAL

__all__ = ["Answer", "Curve", "answer_questions", "check_findings", "transfer_curves"]

type Verdict = Literal["confirmed", "not confirmed", "not measured"]

_CLOSE = 1.25  # times the error at the most rows: as good as enough
_GOOD_MAPE = 0.10
_FEW_ROWS = (25, 50)  # the document's "small calibration"
_NO_TOTAL = "No row holds all stages, so there is no measured total."


@dataclass(frozen=True)
class Curve:
    """Error of the total against the number of calibration rows, of one method.

    Attributes
    ----------
    method : str
    table : DataFrame, one row a number of rows
        `rows`, `mape`, `mape_low`, `mape_high` (least and largest repetition), `mae_ms`, `p95_ms`,
        `crps_ms`, `coverage_90`, `width_90`, `false_accept`, `false_reject`, `cost_s`; means over
        the repetitions.
    """

    method: str
    table: pd.DataFrame


@dataclass(frozen=True)
class Answer:
    """A question, or an expected finding, with what the measurements say.

    Attributes
    ----------
    question : str
    answer : str
    verdict : {"confirmed", "not confirmed", "not measured"} or None
        None for a question.
    """

    question: str
    answer: str
    verdict: Verdict | None = None


def transfer_curves(comparison: Comparison, stage: str = TOTAL) -> tuple[Curve, ...]:
    """Average the scores of a stage over the repetitions, method by method."""
    found = comparison.scores[comparison.scores["stage"] == stage]
    curves = []
    for method in dict.fromkeys(found["method"]):
        grouped = found[found["method"] == method].groupby("rows", sort=True)
        table = grouped.mean(numeric_only=True).drop(columns="repetition", errors="ignore")
        table["mape_low"], table["mape_high"] = grouped["mape"].min(), grouped["mape"].max()
        curves.append(Curve(str(method), table.reset_index()))
    return tuple(curves)


def answer_questions(comparison: Comparison) -> tuple[Answer, ...]:
    """Answer the four key questions.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    tuple of Answer
        Empty where the total was not measured, or this project's method not run.
    """
    curves = {curve.method: curve.table for curve in transfer_curves(comparison)}
    own = curves.get(HIERARCHICAL)
    target = comparison.options.target
    if own is None:
        return ()
    return (
        Answer(
            "Can latency be predicted from knob settings without full profiling?",
            _from_knobs(own, curves, target),
        ),
        Answer("How many calibration samples does a transfer need?", _samples(own, curves)),
        Answer("Does the estimator filter configurations over the budget?", _guard(own, curves)),
        Answer("What does accuracy cost in measuring time?", _cost(own)),
    )


def _rows(count: float) -> str:
    """Write a number of calibration rows."""
    return counted(round(count), "row")


def _from_knobs(own: pd.DataFrame, curves: dict[str, pd.DataFrame], target: str) -> str:
    first, last = own.iloc[0], own.iloc[-1]
    told = (
        f"With {_rows(first['rows'])} of {target}, the total of configurations that were never "
        f"measured is predicted to {first['mape']:.1%} (MAPE), with {last['rows']:.0f} to "
        f"{last['mape']:.1%}."
    )
    if "direct" in curves:
        told += (
            f" The source GPU's own model, carried over unchanged, errs by "
            f"{curves['direct'].iloc[0]['mape']:.1%}."
        )
    return told


def _samples(own: pd.DataFrame, curves: dict[str, pd.DataFrame]) -> str:
    best = own["mape"].iloc[-1]
    enough = own[own["mape"] <= _CLOSE * best]["rows"].iloc[0]
    good = own[own["mape"] <= _GOOD_MAPE]
    told = f"{_rows(enough)} will do for {_CLOSE:.2f} times the error at {own['rows'].iloc[-1]:.0f}"
    if not good.empty:
        told = f"{_rows(good['rows'].iloc[0])} will do for {_GOOD_MAPE:.0%}; " + told
    rivals = []
    for method in ("A", "C_neural", "ridge", "gaussian_process", "boosted_trees"):
        if method in curves:
            reached = curves[method][curves[method]["mape"] <= _GOOD_MAPE]
            need = "more than measured" if reached.empty else f"{reached['rows'].iloc[0]:.0f}"
            rivals.append(f"{method} {need}")
    return told + (f". For {_GOOD_MAPE:.0%}, others need: {', '.join(rivals)}." if rivals else ".")


def _guard(own: pd.DataFrame, curves: dict[str, pd.DataFrame]) -> str:
    at = own.iloc[(own["rows"] - 25).abs().argmin()]
    told = (
        f"With {_rows(at['rows'])}, accepting where P(latency > budget) <= 0.05 lets "
        f"{at['false_accept']:.2%} of the configurations through over budget, and refuses "
        f"{at['false_reject']:.2%} that are within it."
    )
    if "A" in curves:
        row = curves["A"].iloc[(curves["A"]["rows"] - at["rows"]).abs().argmin()]
        told += (
            f" The document's rule (1.1 x prediction <= budget) on method A: "
            f"{row['false_accept']:.2%} and {row['false_reject']:.2%}."
        )
    return told


def _cost(own: pd.DataFrame) -> str:
    parts = [
        f"{_rows(row['rows'])} ({row['cost_s']:.1f} GPU seconds): {row['mape']:.1%}"
        for _, row in own.iterrows()
    ]
    return "; ".join(parts) + ". A row counts for its total once; warm-up and repeats come on top."


def check_findings(comparison: Comparison) -> tuple[Answer, ...]:
    """Compare the document's expected findings with the scores.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    tuple of Answer
    """
    curves = {curve.method: curve.table.set_index("rows") for curve in transfer_curves(comparison)}
    found = (
        _stages_help(curves, comparison.scores["stage"]),
        _few_rows_suffice(curves),
        _affine_works(curves),
        _guard_works(curves),
    )
    return found if curves else tuple(replace(each, answer=_NO_TOTAL) for each in found)


def _stages_help(curves: dict[str, pd.DataFrame], stages: pd.Series) -> Answer:
    question = "Stage-aware models are more accurate than a single model of the total"
    if len(names := set(stages) - {TOTAL}) == 1:
        told = f"{names.pop()} is the only stage: a model of it is one of the total."
        return Answer(question, told, "not measured")
    if not {"A", "B_total_only"} <= set(curves):
        return Answer(question, "Methods A and B_total_only were not run.", "not measured")
    stage, total = curves["A"]["mape"], curves["B_total_only"]["mape"]
    common = [count for count in stage.index.intersection(total.index) if count >= 10]
    if not common:
        return Answer(question, "No number of rows from 10 on was run.", "not measured")
    pairs = [f"{count}: {stage[count]:.1%} against {total[count]:.1%}" for count in common]
    better = all(stage[count] < total[count] for count in common)
    text = f"Affine per stage against affine of a total-only model, by rows: {'; '.join(pairs)}."
    return Answer(question, text, "confirmed" if better else "not confirmed")


def _few_rows_suffice(curves: dict[str, pd.DataFrame]) -> Answer:
    question = "25 to 50 samples are enough for a good transfer"
    if HIERARCHICAL not in curves:
        return Answer(question, f"{HIERARCHICAL} was not run.", "not measured")
    errors = curves[HIERARCHICAL]["mape"]
    few = [count for count in _FEW_ROWS if count in errors.index]
    if not few:
        return Answer(question, "Neither 25 nor 50 rows were run.", "not measured")
    good = errors[few[-1]] <= _GOOD_MAPE
    told = "; ".join(f"{_rows(count)}: {errors[count]:.1%}" for count in few)
    reached = errors.index[errors.to_numpy() <= _GOOD_MAPE]
    more = f"; {_GOOD_MAPE:.0%} from {_rows(reached[0])} on" if good else ""
    return Answer(question, f"{told}{more}.", "confirmed" if good else "not confirmed")


def _affine_works(curves: dict[str, pd.DataFrame]) -> Answer:
    question = "Affine scaling per stage is an effective recalibration"
    if not {"A", "direct"} <= set(curves):
        return Answer(question, "Methods A and direct were not run.", "not measured")
    errors, direct = curves["A"]["mape"], float(curves["direct"]["mape"].iloc[0])
    last = float(errors.iloc[-1])
    works = last <= 0.5 * direct and last <= _GOOD_MAPE
    way = "down" if last < direct else "up"
    text = f"It brings {direct:.1%} {way} to {last:.1%} with {_rows(errors.index[-1])}"
    if HIERARCHICAL in curves:
        own = curves[HIERARCHICAL]["mape"]
        common = errors.index.intersection(own.index)
        text += (
            f", and stays there: with {_rows(common[0])} it has {errors[common[0]]:.1%}. The "
            f"hierarchical model has {own[common[0]]:.1%} and {own[common[-1]]:.1%}"
        )
    return Answer(question, text + ".", "confirmed" if works else "not confirmed")


def _guard_works(curves: dict[str, pd.DataFrame]) -> Answer:
    question = "The guardrail reduces violations"
    if HIERARCHICAL not in curves:
        return Answer(question, f"{HIERARCHICAL} was not run.", "not measured")
    own = curves[HIERARCHICAL]
    nearest = int(np.abs(own.index.to_numpy() - 25).argmin())
    at, rows = own.iloc[nearest], _rows(own.index[nearest])
    # Budgets are the 0.3 to 0.7 quantiles: without a guard, half of the configurations exceed them.
    text = (
        f"Without a guard half of the configurations are over their budget; with it, and "
        f"{rows}, {at['false_accept']:.2%}."
    )
    return Answer(question, text, "confirmed" if at["false_accept"] < 0.05 else "not confirmed")
