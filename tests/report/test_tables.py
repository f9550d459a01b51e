from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from bayeslat.report.tables import GpuRow, format_ms, format_percent, make_table, print_by_gpu

GPUS = tuple(f"gpu_number_{n}" for n in range(7))
ROWS = [
    GpuRow("prefill"),
    GpuRow("  compute", {gpu: f"{n}.5" for n, gpu in enumerate(GPUS) if n != 3}),
]


def print_at(width: int) -> list[str]:
    console = Console(file=StringIO(), width=width, color_system=None)
    print_by_gpu(console, "A title", GPUS, ROWS)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines()]


@pytest.mark.parametrize(("width", "tables"), [(120, 1), (60, 3), (24, 7), (100_000, 1)])
def test_gpus_that_do_not_fit_come_below(width: int, tables: int) -> None:
    lines = print_at(width)
    heads = [line for line in lines if line.startswith("stage")]
    assert len(heads) == tables
    assert " ".join(heads).replace("stage", "").split() == list(GPUS)
    assert lines.count("A title") == 1
    assert lines.count("prefill") == tables
    assert max(map(len, lines)) <= width


def test_a_gpu_without_a_cell_gets_a_dash() -> None:
    cells = [line.split()[1:] for line in print_at(200) if line.startswith("  compute")]
    assert cells == [["0.5", "1.5", "2.5", "-", "4.5", "5.5", "6.5"]]


def test_a_pipe_gets_tables_of_a_width_that_people_read() -> None:
    gpus = [f"{gpu}_of_a_long_name" for gpu in GPUS]
    console = Console(file=StringIO(), width=100_000)
    print_by_gpu(console, "A title", gpus, [GpuRow("prefill", dict.fromkeys(gpus, "1"))])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert 100 < max(map(len, text.splitlines())) <= 160


def test_text_that_looks_like_markup_is_shown() -> None:
    console = Console(file=StringIO(), width=80, markup=False)
    table = make_table(["stage", "[bold]"])
    table.add_row("a[red]b", "1")
    console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[bold]" in text
    assert "a[red]b" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123456, "0.0123"),
        (9.876, "9.88"),
        (99.96, "100"),
        (1234.5, "1,234"),
        (2.5e6, "2,500,000"),
    ],
)
def test_latencies_have_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert format_ms(value) == text


def test_percents_have_no_minus_before_zero() -> None:
    assert [format_percent(part) for part in (-0.0001, 0.0345, -0.02)] == ["0.0", "3.5", "-2.0"]


def test_a_percent_that_is_not_known_is_a_dash() -> None:
    """The error of a stage that took no time."""
    assert format_percent(float("nan")) == "-"
