"""What tables on a terminal or in a pipe are made of."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

__all__ = [
    "GpuRow",
    "flag",
    "format_ms",
    "format_percent",
    "make_table",
    "open_console",
    "print_by_gpu",
    "print_line",
    "print_table",
]

_PIPE_WIDTH = 160  # of tables in a pipe or file, where nobody knows the width of the reader's
_UNBROKEN = 100_000  # lines there are not broken
_GAP = 2  # between columns


class _Output(Console):
    """Standard output; that a reader left early is told to the caller."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


@dataclass(frozen=True)
class GpuRow:
    """A row of a table with a column a GPU.

    Attributes
    ----------
    name : str
    cells : mapping of GPU to str
        Empty for the name of the rows below it; else a GPU without a cell gets a dash.
    """

    name: str
    cells: Mapping[str, str] = field(default_factory=dict)


def open_console() -> Console:
    """Return standard output: as wide as the terminal; lines in a pipe are not broken."""
    piped = sys.stdout is None or not sys.stdout.isatty()
    return _Output(width=_UNBROKEN if piped else None, highlight=False, markup=False, emoji=False)


def make_table(heads: Sequence[str]) -> Table:
    """Return a table of names, to the left, and numbers, to the right.

    Where a terminal is too narrow, cells are folded: nothing is cut.
    """
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
        header_style="bold",
    )
    for number, head in enumerate(heads):
        side: JustifyMethod = "right" if number else "left"
        table.add_column(head, justify=side, vertical="bottom", overflow="fold")
    return table


def print_table(console: Console, title: str, table: Table) -> None:
    """Print a table under its title, with a free line after it."""
    print_line(console, title, style="bold")
    console.print(table)
    console.print()


def print_line(console: Console, text: str, style: str = "") -> None:
    """Print a sentence; a terminal breaks it between words."""
    console.print(Text(text, style=style))


def print_by_gpu(console: Console, title: str, gpus: Sequence[str], rows: Sequence[GpuRow]) -> None:
    """Print a table with a column a GPU; GPUs that do not fit beside the others come below.

    Parameters
    ----------
    console : Console
    title : str
    gpus : sequence of str
    rows : sequence of GpuRow
    """
    cells = [len(cell) for row in rows for cell in row.cells.values()]
    column = max([*map(len, gpus), *cells]) + _GAP
    free = min(console.width, _PIPE_WIDTH) - max(len(row.name) for row in rows)
    beside = max(1, free // column)
    print_line(console, title, style="bold")
    for start in range(0, len(gpus), beside):
        shown = gpus[start : start + beside]
        table = make_table(["stage", *shown])
        for row in rows:
            table.add_row(row.name, *(row.cells.get(gpu, "-") for gpu in shown if row.cells))
        console.print(table)
        console.print()


def flag(text: str, wrong: bool) -> Text:
    """Return a cell that stands out when it is wrong."""
    return Text(text, style="bold red" if wrong else "")


def format_ms(value: float) -> str:
    """Three digits that count, without an exponent where people would write none.

    >>> format_ms(1234.5), format_ms(12.345), format_ms(0.0123456)
    ('1,234', '12.3', '0.0123')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def format_percent(part: float) -> str:
    """A part of one in percent, without a minus before zero; a dash where it is not known.

    >>> format_percent(0.0345), format_percent(-0.0001), format_percent(math.nan)
    ('3.5', '0.0', '-')
    """
    return "-" if math.isnan(part) else f"{round(100 * part, 1) + 0.0:.1f}"
