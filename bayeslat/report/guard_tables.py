"""What the guardrail decided, in short: the record for machines, the table for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bayeslat.counted import counted, rows_of_configs
from bayeslat.decisions.exceedance import LEAVES, MEASURE, OWN_RUNS, REJECT
from bayeslat.evaluation.guardrail.risk_control import RiskControl
from bayeslat.features.hardware import HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.inference.rows.repeats import count_configs
from bayeslat.report.other_gpus import count_other_gpus, other_gpus_line
from bayeslat.report.tables import make_table, open_console, print_line, print_table

__all__ = ["control_record", "guard_record", "show_guard"]

_DECISIONS = ("accept", "reject", "measure")
_FEATURES = 3  # that rows leave the range in, told by name


def guard_record(
    spec: Spec,
    frame: pd.DataFrame,
    about: Mapping[str, Any],
    path: Path,
    control: RiskControl | None = None,
    *,
    hardware: HardwareTable,
) -> dict[str, Any]:
    """What was decided.

    Parameters
    ----------
    spec : Spec
    frame : DataFrame, one row a config
        Of `Guard.decide`.
    about : mapping
        `gpu`, `stack`, `of`, `budgets_ms`, `max_risk`, `seed`.
    path : Path
        Where it was written.
    control : RiskControl, optional
        What held-out configurations show.
    hardware : HardwareTable
        It knows the aliases of the GPUs that rows name.

    Returns
    -------
    dict
        For JSON: `about`, `rows`, `configs` (repeats counted once), `other_gpus` (the rows of each
        other GPU that they name), `decisions` (with the rows and the mean p_exceed of each),
        `reasons` (rows of each), `left_in` (of the rows that leave the range, how many do so in
        what) and `output`. The mean p_exceed of what is accepted is the
        false-accept rate to expect.
    """
    decisions = {
        name: {
            "rows": int((frame["decision"] == name).sum()),
            "mean_p_exceed": float(frame.loc[frame["decision"] == name, "p_exceed"].mean()),
        }
        for name in _DECISIONS
    }
    reasons = frame.loc[frame["reason"] != "", "reason"].value_counts()
    left = frame.loc[frame["reason"] == LEAVES, "left_in"].str.split(", ").explode().value_counts()
    return {
        **about,
        "rows": len(frame),
        "configs": count_configs(frame, spec),
        "other_gpus": count_other_gpus(frame, about["gpu"], hardware),
        "decisions": decisions,
        "reasons": {str(name): int(count) for name, count in reasons.items()},
        "left_in": {str(name): int(count) for name, count in left.items()},
        "risk_control": None if control is None else control_record(control, about["max_risk"]),
        "output": path,
    }


def control_record(control: RiskControl, max_risk: float) -> dict[str, Any]:
    """What held-out configurations show of the false accepts.

    Parameters
    ----------
    control : RiskControl
    max_risk : float
        The guard's own.

    Returns
    -------
    dict
        For JSON: at `max_risk` the `bound` and the rate that the model has itself (`expected`);
        `levels` for others, and the `largest_max_risk` that keeps the limit; `unmeasured`: configs
        without a stage of the budgets, which do not count; `fitted`: whether the fit may have seen
        the configs, and nothing is sure.
    """
    own = control.at(max_risk)
    return {
        "sentence": str(control),
        "limit": control.limit,
        "confidence": control.confidence,
        "configs": control.configs,
        "unmeasured": control.unmeasured,
        "fitted": control.fitted,
        "largest_max_risk": control.largest,
        "bound": float(own["bound"]),
        "expected": float(own["expected"]),
        "levels": control.table.to_dict("records"),
    }


def show_guard(record: Mapping[str, Any]) -> None:
    """Print what `guard_record` made."""
    console = open_console()
    budgets = ", ".join(f"{name} {ms:g} ms" for name, ms in record["budgets_ms"].items())
    stack = f" with {record['stack']}" if record["stack"] else ""
    meaning = "one run" if record["of"] == "run" else "the run-to-run median"
    table = make_table(["decision", "rows", "mean p_exceed"])
    for name, found in record["decisions"].items():
        mean = f"{found['mean_p_exceed']:.3f}" if found["rows"] else "-"
        table.add_row(name, f"{found['rows']:,}", mean)
    which = rows_of_configs(record["rows"], record["configs"])
    limits = f"{meaning} within {budgets}, max_risk {record['max_risk']:g}"
    print_table(console, f"{which} on {record['gpu']}{stack}, {limits}", table)
    if others := record["other_gpus"]:
        print_line(console, other_gpus_line(others, record["rows"], record["gpu"]))
    for reason, count in record["reasons"].items():
        where = _left_in(record["left_in"]) if reason == LEAVES else ""
        decision = REJECT if reason == OWN_RUNS else MEASURE
        print_line(console, f"{decision}: {counted(count, 'row')}, because {reason}{where}")
    if control := record["risk_control"]:
        unseen = " (if the fit did not see them: the GPU is a donor)" if control["fitted"] else ""
        print_line(
            console,
            f"False accepts: at most {control['bound']:.2%} of all with "
            f"{100 * control['confidence']:g}% confidence, by "
            f"{counted(control['configs'], 'held-out config')}{unseen}, if requests are like them; "
            f"{control['expected']:.2%} by the model",
        )
        if control["unmeasured"]:
            print_line(
                console,
                f"not counted: {counted(control['unmeasured'], 'more held-out config')}, not "
                "measured in all stages that the budget is of",
            )
        print_line(console, f"Risk control: {control['sentence']}")
    print_line(console, f"Saved in {record['output']}")


def _left_in(left: Mapping[str, int]) -> str:
    """Say in what rows leave the range, and how many do."""
    shown = [f"{name} ({rows:,})" for name, rows in list(left.items())[:_FEATURES]]
    more = len(left) - len(shown)
    return f" in {', '.join([*shown, *([f'{more} more'] if more else [])])}"
