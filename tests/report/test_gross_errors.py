"""Sentences about rows that were set aside."""

from __future__ import annotations

from bayeslat.inference.gross_errors import GrossError
from bayeslat.report.gross_errors import gross_error_lines, gross_error_records


def error(row: int = 5, config_id: str = "", **said: tuple[float, str]) -> GrossError:
    return GrossError(
        gpu="l40s",
        stack="",
        file="t.csv",
        row=row,
        config_id=config_id,
        ratio={stage: ratio for stage, (ratio, _) in said.items()},
        repeats={stage: repeats for stage, (_, repeats) in said.items()},  # type: ignore[misc]
    )


def lines(*errors: GrossError) -> list[str]:
    return gross_error_lines(gross_error_records(errors))


def test_without_any_nothing_is_said() -> None:
    assert lines() == []


def test_each_stage_is_told_with_its_cure() -> None:
    found = lines(
        error(prefill=(30.2, "none"), decode=(0.4, "none")),
        error(7, "a", prefill=(1234.5, "sound"), decode=(30.0, "alike")),
    )
    assert found[0].startswith("2 rows of l40s were set aside")
    assert found[1] == (
        "- t.csv row 5: prefill 30 times too slow, decode 2.5 times too fast; measure it again"
    )
    assert found[2] == (
        "- t.csv row 7 (config_id a): prefill 1,234 times too slow; another run of this "
        "configuration is sound; decode 30 times too slow; another run is as far off: no error, "
        "the GPU is unlike the donors here"
    )
    assert found[3].startswith("Then calibrate with the new runs")


def test_what_other_runs_settle_needs_no_cure() -> None:
    assert len(lines(error(prefill=(30.0, "sound")))) == 2
