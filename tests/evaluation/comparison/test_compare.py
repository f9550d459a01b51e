"""A comparison tells what it could not run."""

from __future__ import annotations

from functools import lru_cache

import pandas as pd
import pytest

from bayeslat.errors import InputError
from bayeslat.evaluation.comparison import CompareOptions, compare
from bayeslat.evaluation.comparison.compare import Comparison
from tests.posteriors import GPUS, make_frame, small_spec

TARGET = "l40s"


@lru_cache(maxsize=1)
def rows() -> pd.DataFrame:
    return make_frame(0, (*GPUS, TARGET), rows=40)


def run(*counts: int, frame: pd.DataFrame | None = None) -> Comparison:
    options = CompareOptions(
        target=TARGET,
        donors=GPUS,
        source=GPUS[0],
        methods=("direct", "ridge"),
        counts=counts,
        repetitions=1,
        test_configs=15,
    )
    return compare(small_spec(), rows() if frame is None else frame, options)


def test_counts_beyond_what_is_left_are_told_once() -> None:
    found = run(10, 25, 26, 100)
    assert set(found.scores["rows"]) == {10, 25}
    assert found.skipped == (
        "every method with 26, 100 rows: l40s has 25 configurations left to calibrate with",
    )
    assert run(10, 25).skipped == ()


def test_counts_that_are_all_beyond_what_is_left_are_refused() -> None:
    told = "counts are 26, 500, but l40s has 25 configurations left to calibrate with; ask for"
    with pytest.raises(InputError, match=told):
        run(26, 500)


def test_rows_that_lack_a_stage_cost_what_was_measured_of_them() -> None:
    frame = rows().copy()
    frame.loc[frame.index % 4 == 0, "t_decode_ms"] = float("nan")
    cost = run(10, frame=frame).scores["cost_s"]
    assert (cost > 0.0).all()
    assert (cost < run(10).scores["cost_s"].iloc[0]).all()
