"""A unit is judged by the rows that keep every other rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.features.hardware import load_hardware
from bayeslat.features.knob_values import read_knobs
from bayeslat.features.spec import Spec
from bayeslat.features.unit_rules import unit_violations
from bayeslat.traces import Violation

SPEC = Spec.from_text(
    """
    name = "tiny"
    knobs = ["size"]
    [stages.only]
    column = "lat"
    [stages.only.physics]
    work = "size"
    launch = "1"
    """
)
GPU = load_hardware().resolve("l40s")


def odd(
    latency: list[object], size: list[object], rows: list[bool] | None = None
) -> list[Violation]:
    columns = {"size": size, "lat": latency}
    frame = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})
    held = np.ones(len(frame), dtype=bool) if rows is None else np.array(rows)
    return list(unit_violations(frame, read_knobs(frame, SPEC), GPU, held))


@pytest.mark.parametrize(
    ("factor", "told"), [(1e-3, "is the column in seconds"), (1e3, "is the column in microsec")]
)
def test_most_rows_off_are_a_wrong_unit(factor: float, told: str) -> None:
    (violation,) = odd([10 * factor, 20 * factor, 30], [9, 19, 29])
    assert (violation.column, violation.rows) == ("lat", (1, 2))
    assert "l40s is" in violation.message
    assert "in 67% of its rows" in violation.message
    assert told in violation.message


def test_a_guessed_launch_bounds_nothing() -> None:
    """Small kernels may be faster than the launch that a spec guessed; in seconds they are not."""
    text = SPEC.text.replace('work = "size"', 'work = "size / (mem_bw_GBps * 1e6)"')
    spec = Spec.from_text(text.replace('launch = "1"', 'launch = "0.015"'))
    for factor, refused in ((1.0, 0), (1e-3, 1)):
        frame = pd.DataFrame({"size": [1e6, 2e6, 3e6], "lat": [0.002 * factor] * 3})
        found = unit_violations(frame, read_knobs(frame, spec), GPU, np.ones(3, dtype=bool))
        assert len(list(found)) == refused


def test_half_of_the_rows_may_be_odd() -> None:
    assert odd([0.01, 20], [9, 19]) == []


def test_rows_that_break_another_rule_do_not_count() -> None:
    assert odd([-1, 0, "fast", None, np.inf, 1, 1, 20], [9, 9, 9, 9, 9, "many", -1, 19]) == []


def test_rows_of_other_gpus_do_not_count() -> None:
    assert odd([0.01, 0.01, 30], [9, 19, 29], [True, False, True]) == []


def test_a_spec_without_its_knobs_is_not_judged() -> None:
    frame = pd.DataFrame({"lat": [1e-9]})
    rows = np.array([True])
    assert list(unit_violations(frame, read_knobs(frame, SPEC), GPU, rows)) == []


def test_rows_below_a_hurdle_do_not_count() -> None:
    """A queue that is mostly empty is not one in seconds."""
    hurdle = Spec.from_text(SPEC.text + "[stages.only.hurdle]\nabove_ms = 1.0\nfeatures = []\n")
    frame = pd.DataFrame({"size": [9, 19, 29, 39], "lat": [0.01, 0.02, 0.01, 40.0]})
    every = np.ones(len(frame), dtype=bool)
    assert len(list(unit_violations(frame, read_knobs(frame, SPEC), GPU, every))) == 1
    assert list(unit_violations(frame, read_knobs(frame, hurdle), GPU, every)) == []
    slow = frame.assign(lat=[0.01, 1e6, 1e6, 40.0])
    (violation,) = unit_violations(slow, read_knobs(slow, hurdle), GPU, every)
    assert "in 67% of its rows" in violation.message


def test_short_waits_are_no_wrong_unit() -> None:
    """A request that waits for the end of a step waits for less than the physics says."""
    hurdle = Spec.from_text(SPEC.text + "[stages.only.hurdle]\nabove_ms = 1.0\nfeatures = []\n")
    waits = pd.DataFrame({"size": [900.0, 1900.0, 2900.0], "lat": [20.0, 30.0, 40.0]})
    every = np.ones(len(waits), dtype=bool)
    assert len(list(unit_violations(waits, read_knobs(waits, SPEC), GPU, every))) == 1
    assert list(unit_violations(waits, read_knobs(waits, hurdle), GPU, every)) == []
    seconds = waits.assign(lat=[1.1, 1.9, 2.9])
    (violation,) = unit_violations(seconds, read_knobs(seconds, hurdle), GPU, every)
    assert "is the column in seconds" in violation.message
