"""Which rows tell when they were collected, and what is said of those that do not."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeslat.traces import read_traces
from bayeslat.traces.times import read_times, tell_times

CURE = "write ISO 8601 with an offset, as 2026-11-30T12:00:00+00:00"
FIRST = "2026-10-21T00:00:00+00:00"


def table(*cells: object) -> pd.DataFrame:
    return pd.DataFrame({"collected_at": cells})


@pytest.mark.parametrize(
    "cell",
    [
        "2026-10-21T02:00:00+02:00",
        "2026-10-21 00:00Z",
        "20261020T190000-0500",
        "2026-10-21T00:00:00.000+00",
        datetime(2026, 10, 21, tzinfo=UTC),
        pd.Timestamp("2026-10-21", tz="UTC"),
    ],
)
def test_iso_8601_with_an_offset_is_read_and_nothing_is_said(cell: object) -> None:
    frame = table(FIRST, cell)
    assert read_times(frame["collected_at"]).tolist() == [pd.Timestamp(FIRST)] * 2
    assert tell_times(frame) == ""


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("yesterday", "'yesterday'"),
        ("now", "'now'"),  # which pandas reads as the time of reading
        ("21.10.2026 00:00:00", "'21.10.2026 00:00:00'"),
        ("1792540800", "'1792540800'"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_first_such_row(cell: str, shown: str) -> None:
    frame = table(FIRST, cell, FIRST, cell)
    assert read_times(frame["collected_at"]).isna().tolist() == [False, True, False, True]
    assert tell_times(frame) == (
        f"2 of 4 rows have a collected_at that cannot be read (first {shown} in row 2), so that "
        f"rows count in the order of the table; {CURE}"
    )


@pytest.mark.parametrize("number", [1792540800.0, 1792540800000, 1792540800_000_000_000])
def test_epochs_are_told_and_not_guessed(number: float) -> None:
    frame = table(number, number)
    assert read_times(frame["collected_at"]).isna().all()
    told = tell_times(frame)
    assert told.startswith("2 of 2 rows have a collected_at that cannot be read (first 17925408")
    assert told.endswith(CURE)


def test_empty_cells_are_told() -> None:
    assert "1 of 2 rows has a collected_at that is empty (first an empty cell in row 2), " in (
        tell_times(table(FIRST, None))
    )
    assert "2 of 3 rows have a collected_at that is empty or cannot be read" in (
        tell_times(table(" ", FIRST, "soon"))
    )


def test_times_with_and_without_an_offset_are_told() -> None:
    mixed = table(FIRST, "2026-10-21T00:00:00", "2026-10-22", FIRST)
    assert tell_times(mixed) == (
        "2 of 4 rows have a collected_at without an offset (first '2026-10-21T00:00:00' in row "
        f"2), taken for UTC, while the others have one; {CURE}"
    )
    days = table(pd.Timestamp("2026-10-21"), date(2026, 10, 22), FIRST)
    assert "2 of 3 rows" in tell_times(days)


@pytest.mark.parametrize(
    "cells",
    [
        pd.Series(["2026-10-21T00:00:00", "2026-10-22"]),
        pd.to_datetime(pd.Series(["2026-10-21", "2026-10-22"])),
        pd.Series(["2026-10-21", "2026-10-22"], dtype="category"),
    ],
)
def test_times_that_are_all_local_are_in_order_and_nothing_is_said(cells: pd.Series) -> None:
    assert read_times(cells).is_monotonic_increasing
    assert tell_times(cells.to_frame("collected_at")) == ""


def test_no_column_is_nothing_to_tell() -> None:
    assert tell_times(pd.DataFrame({"gpu": ["l40s"]})) == ""
    assert tell_times(table()) == ""


def test_a_row_is_named_by_its_file(tmp_path: Path) -> None:
    for name, cell in (("one.csv", FIRST), ("two.csv", "soon")):
        rows = f"gpu,t_prefill_ms,collected_at\nl40s,1.0,{FIRST}\nl40s,1.1,{cell}\n"
        (tmp_path / name).write_text(rows)
    frame = read_traces(tmp_path / "one.csv", tmp_path / "two.csv", check=False)
    assert f"(first 'soon' in row 2 of {tmp_path / 'two.csv'})" in tell_times(frame)


def test_a_long_cell_is_cut() -> None:
    assert "(first 'soon, and again and again and again ... in row 1)" in (
        tell_times(table("soon, " + "and again " * 9))
    )


def test_some_rows_of_a_table_are_told_by_their_place_in_it() -> None:
    frame = table("soon", FIRST, FIRST, "later")
    assert tell_times(frame, np.array([1, 2])) == ""
    told = tell_times(frame, np.array([1, 3]))
    assert told.startswith("1 of 2 rows has a collected_at that cannot be read (first 'later' in ")
    assert "in row 4)" in told
