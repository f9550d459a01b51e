"""What a report says, in numbers: for machines, and for the page that is laid out from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayeslat.evaluation.assessment import Assessment
from bayeslat.evaluation.guardrail.trial import Trials
from bayeslat.inference.posteriors.caveats import caveats_of
from bayeslat.report.gross_errors import gross_error_records, gross_row_records
from bayeslat.report.guard_tables import control_record
from bayeslat.traces.provenance import Provenance

__all__ = ["assessment_record", "guardrail_analysis", "records"]

_FALSE_REJECT = np.array([0.05])  # at which false accepts are compared
_DECISIONS = ("accept", "reject", "measure")


def assessment_record(
    found: Assessment,
    traces: Sequence[tuple[str, int, Provenance | None]],
    commands: Sequence[str],
) -> dict[str, Any]:
    """Put an assessment into numbers.

    Parameters
    ----------
    found : Assessment
    traces : sequence of (file, rows, Provenance or None)
        Of the rows that judged it.
    commands : sequence of str
        Those that made the posterior and the report.

    Returns
    -------
    dict
        For JSON.
    """
    options = found.options
    return {
        "gpu": found.gpu.key,
        "stack": found.stack,
        "donors": [gpu for gpu in found.data.fitted_gpus if gpu != found.gpu.key],
        "fitted": found.fitted,
        "calibration_rows": found.calibrated,
        "calibration_configs": found.calibrated_configs,
        "budget_ms": options.budget.ms,
        "budget_of": str(options.budget),
        "max_risk": options.max_risk,
        "of": options.of,
        "seed": options.seed,
        "transfer": _transfer(found),
        "donor_gross_errors": gross_error_records(found.data.set_aside),
        "gross_rows": gross_row_records(found.gross),
        "decisions": _decisions(found),
        "risk_control": None
        if found.control is None
        else control_record(found.control, options.max_risk),
        "errors": _errors(found),
        "run_to_run": _run_to_run(found),
        "strengths": records(found.strengths),
        "suggestion": _suggestion(found),
        "trials": _trials(found),
        "guardrail": None if found.guardrail is None else guardrail_analysis(found),
        "missing": dict(found.missing),
        "caveats": list(caveats_of(found.data)),
        "posterior": {
            name: found.data.attrs.get(name)
            for name in ("engine", "seed", "rows", "fingerprint", "sources", "versions")
        }
        | {"spec": found.data.spec.name, "spec_hash": found.data.spec.hash},
        "converged": found.data.diagnostics.converged,
        "traces": [
            {
                "file": file,
                "rows": rows,
                "provenance": None if each is None else each.model_dump(mode="json", by_alias=True),
            }
            for file, rows, each in traces
        ],
        "commands": list(commands),
    }


def guardrail_analysis(found: Assessment) -> dict[str, Any]:
    """Put the guardrail's rates into numbers: the document's `e3_guardrail_analysis.json`.

    Parameters
    ----------
    found : Assessment
        With decisions.

    Returns
    -------
    dict
        `budgets`: violations by budget fraction and rule; `trade_off`: areas, marked points and
        false accepts at 5 % false rejects, for the whole budget.
    """
    analysis = found.guardrail
    if analysis is None:
        raise ValueError("an assessment without decisions has no analysis")
    traded = analysis.trade_off
    compared = {
        rule: curve.false_accept_at(_FALSE_REJECT)[0] for rule, curve in traded.curves.items()
    }
    return {
        "gpu": found.gpu.key,
        "budget_ms": found.options.budget.ms,
        "budget_of": str(found.options.budget),
        "max_risk": found.options.max_risk,
        "calibration_rows": found.shown_rows if found.trials else found.calibrated,
        "source_gpu": found.trials.source if found.trials else None,
        "over": traded.over,
        "within": traded.within,
        "budgets": records(analysis.violations),
        "trade_off": {
            rule: {
                "area": _number(curve.area),
                "false_accept_at_5_percent_false_reject": _number(compared[rule]),
            }
            for rule, curve in traded.curves.items()
        },
        "points": records(traded.points),
    }


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table; what is not a finite number is null."""
    held = table.astype(object).where(table.notna() & ~table.isin([np.inf, -np.inf]), None)
    return [{str(name): value for name, value in row.items()} for row in held.to_dict("records")]


def _transfer(found: Assessment) -> dict[str, Any] | None:
    """Return the verdict."""
    verdict = found.transfer
    if verdict is None:
        return None
    return {
        "verdict": verdict.verdict,
        "sentence": str(verdict),
        "expected_mape": verdict.error.mean,
        "expected_mape_q05": verdict.error.low,
        "expected_mape_q95": verdict.error.high,
        "alarms": list(verdict.alarms),
        "more_rows": verdict.more_rows,
        "more_passes": verdict.more_passes,
        "more_repeats": verdict.more_repeats,
        "pass_sd": verdict.pass_sd,
        "passes": None if verdict.passes is None else verdict.passes.record(),
        "unmeasured": list(verdict.unmeasured),
        "gross_errors": gross_error_records(verdict.gross),
    }


def _decisions(found: Assessment) -> dict[str, Any] | None:
    """Count what this posterior decides about the held-out configurations."""
    decided = found.decided
    if decided is None or found.held is None:
        return None
    at_budget = decided[decided["fraction"] == 1.0]
    over = at_budget["measured_ms"] > at_budget["budget_ms"]
    accepted = at_budget["decision"] == "accept"
    return {
        "configs": len(at_budget),
        "calibrated_with": found.held.calibrated,
        "over": int(over.sum()),
        **{name: int((at_budget["decision"] == name).sum()) for name in _DECISIONS},
        "false_accepts": int((accepted & over).sum()),
        "false_rejects": int(((at_budget["decision"] == "reject") & ~over).sum()),
        "expected_false_accepts": float(at_budget.loc[accepted, "p_exceed"].sum()),
    }


def _errors(found: Assessment) -> list[dict[str, Any]]:
    """Return the error by number of rows, and what it is without gross errors."""
    if found.trials is None:
        return []
    names = ["mape", "coverage_50", "coverage_90", "width_90"]
    errors = _means(found.trials)[names].assign(mape_sound=np.nan)
    if found.sound_trials is not None:
        errors["mape_sound"] = _means(found.sound_trials)["mape"]
    return records(errors.reset_index())


def _run_to_run(found: Assessment) -> float | None:
    """Return what part of an error is the measurement's own: of sound rows, where some are not."""
    trials = found.sound_trials or found.trials
    return None if trials is None else _number(trials.run_to_run)


def _means(trials: Trials) -> pd.DataFrame:
    """Average the scores of what the budget is for over the repetitions, by number of rows."""
    own = trials.scores[trials.scores["stage"] == str(trials.options.budget)]
    return own.groupby("rows").mean(numeric_only=True)


def _trials(found: Assessment) -> dict[str, Any] | None:
    """Tell what the trials were."""
    if found.trials is None or found.decisions is None:
        return None
    at_budget = found.decisions[found.decisions["fraction"] == 1.0]
    return {
        "repetitions": found.trials.options.repetitions,
        "skipped": found.trials.skipped,
        "shown_rows": found.shown_rows,
        "decisions": len(at_budget),
        "configs": int(at_budget["config"].nunique()),
        "source_gpu": found.trials.source,
    }


def _suggestion(found: Assessment) -> dict[str, Any] | None:
    """Return what to measure next."""
    if found.suggestion is None:
        return None
    outlook = found.suggestion.outlook
    return {
        "configs": records(found.suggestion.frame),
        "at_hand": found.at_hand.tolist(),
        "mape": [float(value) for value in outlook.mape],
        "width_90": [float(value) for value in outlook.width_90],
        "stops_paying_at": found.suggestion.stops_paying_at,
        "cost_ms": float(found.suggestion.cost_ms.sum()),
    }


def _number(value: float) -> float | None:
    """Return a number that JSON can hold."""
    return float(value) if np.isfinite(value) else None
