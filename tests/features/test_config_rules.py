"""Values that expressions cannot have are told once, where the knob is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.features.config_rules import config_violations
from bayeslat.features.knob_values import read_knobs
from bayeslat.features.spec import Spec
from bayeslat.traces import Violation

TEXT = """
name = "tiny"
knobs = ["a", "b"]
[stages.one]
times = "a"
[stages.one.physics]
slow = "a * b"
[stages.one.residual]
features = ["log(b)", "log(a + b)"]
degree = 1
[stages.two]
times = "0 - b"
[stages.two.physics]
fast = "exp(a) / l2_MB"
[stages.two.residual]
features = ["log(b)"]
degree = 1
"""
SPEC = Spec.from_text(TEXT.replace('times = "0 - b"', 'times = "1"'))


def broken(spec: Spec = SPEC, **columns: object) -> list[Violation]:
    frame = pd.DataFrame(columns)
    rows = [({"l2_MB": 2.0}, np.ones(len(frame), dtype=bool))]
    return list(config_violations(frame, read_knobs(frame, spec), rows))


def test_good_rows_break_nothing() -> None:
    assert broken(a=[1, 2], b=[3.0, 4.0]) == []


def test_a_knob_is_told_once_for_all_that_it_breaks() -> None:
    (violation,) = broken(a=[1, 2], b=[0, 1])
    assert (violation.column, violation.rows, violation.found) == ("b", (1,), ("0",))
    assert violation.message.startswith("feature 'log(b)' of stage one, two must be finite")


def test_rows_of_another_architecture_are_told() -> None:
    """Formulas took the spec's constants for them, without a word."""
    layered = TEXT.replace('"0 - b"', '"1"').replace(
        "[stages.one]", "[architecture]\nlayers = 4\nunused = 0.7\n[stages.one]", 1
    )
    spec = Spec.from_text(layered.replace('"a * b"', '"layers * a * b"'))
    (violation,) = broken(spec, a=[1, 2, 1], b=[1, 1, 1], layers=[4, 8, None])
    assert (violation.column, violation.rows, violation.found) == ("layers", (2,), ("8",))
    assert violation.message.startswith("'layers' is 4 in [architecture] of spec 'tiny'; make it a")
    assert broken(spec, a=[1, 2], b=[1, 1], unused=[1, 2]) == []  # no formula takes it
    assert broken(SPEC, a=[1, 2], b=[1, 1], layers=[4, 8]) == []


def test_several_knobs_are_told_with_their_values() -> None:
    spec = Spec.from_text(TEXT.replace("exp(a)", "a").replace("0 - b", "1"))
    (violation,) = broken(spec, a=[1e200, 2], b=[1e200, 1])
    assert (violation.column, violation.rows) == (None, (1,))
    assert violation.message.startswith("physics 'slow' of stage one must be finite and not neg")
    assert violation.found == ("a 1e+200, b 1e+200",)


def test_physics_must_take_some_time() -> None:
    spec = Spec.from_text(TEXT.replace('times = "0 - b"', 'times = "1"').replace("log(a + b)", "a"))
    (violation,) = broken(spec, a=[0, 1], b=[1, 1])
    assert violation.message.startswith("the physics of stage one must be finite and above 0")


def test_how_often_a_stage_runs_is_not_negative() -> None:
    (first, second) = broken(Spec.from_text(TEXT), a=[-1, 2], b=[2.0, 4.0])
    assert (first.column, first.rows) == ("a", (1,))
    assert first.message.startswith("times 'a' of stage one must be finite and not negative")
    assert (second.column, second.rows) == ("b", (1, 2))
    assert second.message.startswith("times '0 - b' of stage two")


@pytest.mark.parametrize("cell", ["1", "one", True, None, np.nan, np.inf])
def test_a_cell_that_is_no_number_hides_no_other_row(cell: object) -> None:
    knobs = pd.Series([cell, 1.0, 1.0], dtype=object)
    (first, second) = broken(a=knobs, b=[1, 0, 1])
    assert (first.column, first.rows) == ("a", (1,))
    assert (second.column, second.rows) == ("b", (2,))


def test_a_missing_knob_hides_no_rule_of_the_others() -> None:
    first, second = broken(b=[1, 0])
    assert (first.column, first.rows) == ("a", ())
    assert (second.column, second.rows) == ("b", (2,))


def test_rules_of_the_hardware_wait_for_a_known_gpu() -> None:
    frame = pd.DataFrame({"a": [1e9, 1e9], "b": [1, 1]})
    rows = np.array([True, False])
    (violation,) = config_violations(
        frame, read_knobs(frame, SPEC), [({"l2_MB": 2.0}, rows), ({}, ~rows)]
    )
    assert (violation.column, violation.rows) == ("a", (1,))


def test_what_follows_from_a_missing_knob_is_not_told_beside_it() -> None:
    text = TEXT.replace("0 - b", "1").replace('["a", "b"]', '["a", "b"]\n[defaults]\nb = "2 * a"')
    spec = Spec.from_text(text)
    complete = spec.complete(pd.DataFrame({"a": [1.0, np.nan, 3.0]}))
    (violation,) = broken(spec, **complete)
    assert (violation.column, violation.rows) == ("a", (2,))
    (violation,) = broken(spec, c=[1.0, 2.0])
    assert violation.column == "a"
    told = broken(spec, a=[1.0, np.nan], b=[np.nan, np.nan])  # not completed
    assert [(each.column, each.rows) for each in told] == [("a", (2,)), ("b", (1,))]
