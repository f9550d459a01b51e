"""Drift as a table: one row a GPU, stack and stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bayeslat.evaluation.drift.scores import TESTS
from bayeslat.evaluation.drift.stage_drift import StageDrift

__all__ = ["drift_frame"]


def drift_frame(stages: Sequence[StageDrift]) -> pd.DataFrame:
    """Put what was found into a table, with the feature that most likely moved.

    Parameters
    ----------
    stages : sequence of StageDrift

    Returns
    -------
    DataFrame, one row a GPU, stack and stage
        Whatever was found, a column holds the same kind of values: results of several calls go
        together.
    """
    return pd.DataFrame([_record(each) for each in stages]).astype(_TYPES)


def _record(found: StageDrift) -> dict[str, object]:
    """One row of the frame."""
    counts, since = found.counts, found.since
    first = found.changes[0] if found.verdict == "drift" and found.changes else None
    return {
        "gpu": found.gpu,
        "stack": found.stack,
        "stage": found.stage,
        "verdict": found.verdict,
        "reason": found.reason,
        "rows": counts.rows,
        "judged": counts.judged,
        "beyond_range": counts.beyond,
        "below_hurdle": counts.below_hurdle,
        "p_value": found.p_value,
        "p_adjusted": found.p_adjusted,
        **{f"p_{name}": p for name, p in (found.p_tests or _NO_TESTS).items()},
        "feature": first.feature if first else None,
        "p_moved": first.p_moved if first else np.nan,
        "change": first.change if first else np.nan,
        "change_q05": first.low if first else np.nan,
        "change_q95": first.high if first else np.nan,
        "since_row": since.row if since else pd.NA,
        "since_row_q05": since.low if since else pd.NA,
        "since_row_q95": since.high if since else pd.NA,
        "since": since.time if since else None,
        "p_before": since.p_before if since else np.nan,
        "noise_ratio": found.noise_ratio,
        "noise_ratio_q05": found.noise_low,
        "noise_ratio_q95": found.noise_high,
    }


_TYPES = {
    **dict.fromkeys(("since_row", "since_row_q05", "since_row_q95"), "Int64"),
    **dict.fromkeys(("feature", "since"), "string"),
}
_NO_TESTS = dict.fromkeys(TESTS, float("nan"))
