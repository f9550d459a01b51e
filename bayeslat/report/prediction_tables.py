"""What was predicted, in short: the record for machines, the table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bayeslat.counted import counted, rows_of_configs
from bayeslat.decisions.evidence import Evidence
from bayeslat.features.hardware import HardwareTable
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.rows.repeats import count_configs
from bayeslat.report.other_gpus import count_other_gpus, other_gpus_line
from bayeslat.report.tables import (
    format_ms,
    make_table,
    open_console,
    print_line,
    print_table,
)

__all__ = ["prediction_record", "show_prediction"]

_SURE = 0.05  # of a config that p_exceed decides about
_MOST_FEATURES = 3
_MEANINGS = {"run": "one run", "typical": "the run-to-run median"}


def prediction_record(
    data: PosteriorData,
    frame: pd.DataFrame,
    about: Mapping[str, Any],
    evidence: Sequence[Evidence],
    path: Path,
    hardware: HardwareTable,
) -> dict[str, Any]:
    """What was predicted, in short.

    Parameters
    ----------
    data : PosteriorData
    frame : DataFrame, one row a config
        Of the prediction, with `p_exceed` if there is a budget.
    about : mapping
        What it is for: `gpu` (key), `stack` (of all rows, if of one), `of`, `budget_ms`, `seed`.
    evidence : sequence of Evidence
        What was measured of the GPU, with each stack.
    path : Path
        Where it was written.
    hardware : HardwareTable
        It knows the aliases of the GPUs that rows name.

    Returns
    -------
    dict
        For JSON: per stage and `total` the smallest, middle and largest point, and the middle width
        of the 90 % interval over the median; how many rows there are and of how many configs;
        `other_gpus`, the rows of each other GPU that they name; how many extrapolate, and in what;
        with a budget, how many are `within` it (p_exceed at
        most 0.05), `over` it (at least 0.95) and `between`.
    """
    stages = {}
    for stage in (*data.spec.stages, "total"):
        point, low, high, middle = (
            frame[f"{stage}_{name}_ms"] for name in ("point", "q05", "q95", "q50")
        )
        stages[stage] = {
            "least_ms": float(point.min()),
            "median_ms": float(point.median()),
            "most_ms": float(point.max()),
            "width_90": float(((high - low) / middle).median()),
        }
    left = Counter(name for text in frame["extrapolates_in"] for name in text.split("; ") if name)
    budget_ms = about["budget_ms"]
    return {
        "predictions": path,
        **{name: about[name] for name in ("gpu", "stack", "of", "seed")},
        "rows": len(frame),
        "configs": count_configs(frame, data.spec),
        "other_gpus": count_other_gpus(frame, about["gpu"], hardware),
        "zero_shot": int(frame["zero_shot"].sum()),
        "zero_shot_reasons": [str(each) for each in evidence if each.zero_shot],
        "extrapolates": int(frame["extrapolates"].sum()),
        "extrapolates_in": dict(left.most_common()),
        "budget": None if budget_ms is None else _budget(frame["p_exceed"], budget_ms),
        "stages": stages,
    }


def show_prediction(record: Mapping[str, Any]) -> None:
    """Print the range of the predictions and what to be wary of."""
    console = open_console()
    table = make_table(["stage", "least ms", "median ms", "most ms", "90 % width"])
    for stage, row in record["stages"].items():
        values = (format_ms(row[name]) for name in ("least_ms", "median_ms", "most_ms"))
        table.add_row(stage, *values, f"{row['width_90']:.0%}")
    rows = record["rows"]
    stack = f" with {record['stack']}" if record["stack"] else ""
    which = rows_of_configs(rows, record["configs"])
    title = f"{which} on {record['gpu']}{stack}, {_MEANINGS[record['of']]}"
    print_table(console, title, table)
    if budget := record["budget"]:
        print_line(
            console,
            f"Budget {format_ms(budget['budget_ms'])} ms: {counted(budget['within'], 'row')} "
            f"within (p_exceed <= {_SURE}), {budget['between']:,} between, {budget['over']:,} over "
            f"(p_exceed >= {1 - _SURE}); mean p_exceed {budget['mean_p_exceed']:.3f}",
        )
    if others := record["other_gpus"]:
        print_line(console, other_gpus_line(others, rows, record["gpu"]))
    if zero_shot := record["zero_shot"]:
        which = "" if zero_shot == rows else f" {zero_shot:,} of {counted(rows, 'row')}:"
        print_line(console, f"Zero-shot:{which} {'; '.join(record['zero_shot_reasons'])}")
    if record["extrapolates"]:
        most = list(record["extrapolates_in"].items())[:_MOST_FEATURES]
        told = ", ".join(f"{name} ({count:,})" for name, count in most)
        print_line(
            console,
            f"Extrapolates: {record['extrapolates']:,} of {counted(rows, 'row')} leave the "
            f"range of the fit, mostly in {told}; see the column extrapolates_in",
        )
    print_line(console, f"Saved in {record['predictions']}")


def _budget(p_exceed: pd.Series, budget_ms: float) -> dict[str, float]:
    """Count the rows on each side of a budget."""
    within, over = int((p_exceed <= _SURE).sum()), int((p_exceed >= 1 - _SURE).sum())
    return {
        "budget_ms": budget_ms,
        "mean_p_exceed": float(p_exceed.mean()),
        "within": within,
        "between": len(p_exceed) - within - over,
        "over": over,
    }
