from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from bayeslat.traces.violations import TABLE, Violation, locate, report, violations_at


def _frame(sizes: list[int]) -> pd.DataFrame:
    """Return a frame that was read from files of these sizes."""
    frame = pd.DataFrame({"k": np.arange(sum(sizes))})
    starts = np.cumsum([0, *sizes])[:-1].tolist()
    sources = [[f"{index}.csv", starts[index], size] for index, size in enumerate(sizes)]
    frame.attrs["bayeslat"] = {"sources": sources, "provenance": [None] * len(sizes)}
    return frame


@given(sizes=st.lists(st.integers(0, 5), max_size=5), data=st.data())
def test_rows_are_located_in_any_order(sizes: list[int], data: st.DataObject) -> None:
    frame = _frame(sizes)
    order = data.draw(st.permutations(range(len(frame))))
    taken = frame.iloc[order[: data.draw(st.integers(0, len(order)))]]
    location = locate(taken)
    truth = [(f"{index}.csv", row + 1) for index, size in enumerate(sizes) for row in range(size)]
    places = [
        (location.files[index], row)
        for index, row in zip(location.file_index, location.rows, strict=True)
    ]
    assert places == [truth[label] for label in taken.index]


def test_rows_from_nowhere_belong_to_the_table() -> None:
    frame = _frame([2, 1])
    added = pd.concat([frame, frame])
    renamed = frame.set_axis(["a", "b", "c"], axis="index")
    outside = frame.set_axis([-1, 7, 3], axis="index")
    for unknown in (added, renamed, outside, pd.DataFrame({"k": [1, 2]})):
        location = locate(unknown)
        assert {location.files[index] for index in location.file_index} == {TABLE}
        assert location.rows.tolist() == list(range(1, len(unknown) + 1))


def test_violations_are_split_by_file_and_complete() -> None:
    frame = _frame([3, 0, 2])
    found = violations_at(frame, np.array([1, 0, 1, 0, 1], dtype=bool), "k", "rule; cure")
    assert found == (
        Violation("0.csv", (1, 3), "k", "rule; cure", ("0", "2")),
        Violation("2.csv", (2,), "k", "rule; cure", ("4",)),
    )
    assert [violation.row for violation in found] == [1, 2]
    assert Violation("a", (), None, "").row is None
    assert violations_at(frame, np.zeros(5, dtype=bool), "k", "rule") == ()


def test_one_problem_is_one_line() -> None:
    violation = Violation("a.csv", (2, 3, 4, 9), "k", "must be above 0; measure again", ("-1",))
    assert report([violation]) == (
        "a.csv rows 2-4, 9, column 'k': must be above 0; measure again (found -1)"
    )
    assert report([Violation("a.csv", (3,), None, "no")]) == "a.csv row 3: no"
    assert report([Violation("a.csv", (), "k", "no")]) == "a.csv, column 'k': no"
    assert report([]) == ""


def test_same_problem_in_many_files_is_told_once() -> None:
    found = [Violation(f"{name}.csv", (1,), "k", "no", (name,)) for name in "abcdef"]
    assert report(found) == (
        "a.csv row 1; b.csv row 1; c.csv row 1; and 3 more files, column 'k': no "
        "(found a, b, c, ...)"
    )


def test_long_reports_are_cut() -> None:
    found = [Violation("a.csv", (), f"k{index}", "no") for index in range(30)]
    lines = report(found, limit=5).split("\n")
    assert lines[0] == "30 problems:"
    assert len(lines) == 7
    assert lines[-1] == "- and 25 more problems"


def test_a_million_bad_rows_read_shortly() -> None:
    frame = pd.DataFrame({"k": np.arange(1_000_000) / 2e6 - 1})
    broken = np.arange(len(frame)) % 2 == 0
    found = violations_at(frame, broken, "k", "must be above 0")
    assert sum(len(violation.rows) for violation in found) == 500_000
    assert report(found) == (
        "(table) rows 1, 3, 5, 7 and 499996 more, column 'k': must be above 0 "
        "(found -1, -0.999999, -0.999998, ...)"
    )
    text = pd.DataFrame({"k": ["x" * 1000]})
    assert len(report(violations_at(text, np.array([True]), "k", "no"))) < 100
