"""Sentences about rows that were set aside."""

from __future__ import annotations

from bayeslat.evaluation.gross_rows import GrossRow
from bayeslat.inference.posteriors.gross_errors import GrossError
from bayeslat.report.gross_errors import (
    gross_error_lines,
    gross_error_records,
    gross_row_lines,
    gross_row_records,
)


def error(
    row: int = 5, config_id: str = "", *, donor: bool = False, **said: tuple[float, str]
) -> GrossError:
    return GrossError(
        gpu="l40s",
        stack="",
        file="t.csv",
        row=row,
        config_id=config_id,
        ratio={stage: ratio for stage, (ratio, _) in said.items()},
        repeats={stage: repeats for stage, (_, repeats) in said.items()},  # type: ignore[misc]
        donor=donor,
    )


def lines(*errors: GrossError) -> list[str]:
    return gross_error_lines(gross_error_records(errors))


def test_without_any_nothing_is_said() -> None:
    assert lines() == []


def test_each_stage_is_told_with_its_cure() -> None:
    found = lines(
        error(prefill=(30.2, "none"), decode=(0.4, "none")),
        error(7, "a", prefill=(5234.5, "sound"), decode=(30.0, "alike")),
    )
    assert found[0].startswith("2 rows of l40s were set aside")
    assert found[1] == (
        "- t.csv row 5: prefill 30 times too slow, decode 2.5 times too fast; measure it again"
    )
    assert found[2] == (
        "- t.csv row 7 (config_id a): prefill 5,234 times too slow; another run of this "
        "configuration is sound; decode 30 times too slow; another run is as far off: no error, "
        "the GPU is unlike the donors here"
    )
    assert found[3].startswith("Then calibrate with the new runs")


def test_what_other_runs_settle_needs_no_cure() -> None:
    assert len(lines(error(prefill=(30.0, "sound")))) == 2


def test_a_wrong_unit_is_guessed_from_the_ratio() -> None:
    found = lines(error(prefill=(1 / 980, "none"), decode=(1020.0, "alike")))
    assert found[1] == (
        "- t.csv row 5: prefill 980 times too fast; in seconds? write milliseconds; "
        "decode 1,020 times too slow; in microseconds? write milliseconds"
    )
    assert "?" not in lines(error(prefill=(1 / 500, "none")))[1]


def test_of_many_rows_the_first_are_told_and_how_many() -> None:
    found = lines(*(error(row, donor=True, prefill=(30.0, "none")) for row in range(1, 9)))
    assert found[0].startswith("8 rows of l40s were set aside")
    assert found[1] == "- l40s, latencies: 8 of prefill"
    assert [line.split(":")[0] for line in found[2:7]] == [f"- t.csv row {i}" for i in range(1, 6)]
    assert found[7:] == [
        "- and 3 more rows of l40s",
        "Then fit again, with the rows as they should be.",
    ]


def test_donors_and_targets_are_told_apart() -> None:
    found = lines(error(prefill=(30.0, "none")), error(6, donor=True, prefill=(30.0, "alike")))
    assert [line for line in found if line.startswith("1 row")] == [found[0], found[2]]
    assert found[1].endswith("no error, if the stage does something else here")
    assert found[4].startswith("Then calibrate")


def row_lines(*rows: GrossRow, without: str = "") -> list[str]:
    return gross_row_lines(gross_row_records(rows), without)


def test_rows_that_nothing_stands_on_are_told_with_what_was_measured() -> None:
    assert row_lines() == []
    slow = GrossRow(error(prefill=(30.2, "none")), {"prefill": 604.0})
    assert row_lines(slow) == [
        "1 row is a gross error, which the GPU's other rows make impossible:",
        "- t.csv row 5: prefill 30 times too slow (604 ms, 20 expected); measure it again",
    ]
    both = row_lines(slow, slow, without="all is well")
    assert both[0] == (
        "2 rows are gross errors, which the GPU's other rows make impossible; without them all is "
        "well:"
    )
    many = row_lines(*(7 * [slow]))
    assert (many[1], many[-1]) == ("- l40s, latencies: 7 of prefill", "- and 2 more rows of l40s")
