"""Progress bars on a terminal, and silence in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bayeslat.counted import counted

__all__ = ["counting_bar", "counting_rows", "fraction_bar", "stage_bars"]


@contextmanager
def stage_bars(stages: Sequence[str]) -> Iterator[Callable[[str, int, int], None]]:
    """Show one bar a stage on standard error while the block runs.

    Parameters
    ----------
    stages : sequence of str

    Yields
    ------
    callable (stage, done, total)
        Moves the stage's bar.
    """
    with _bars(TaskProgressColumn()) as progress:
        bars = {stage: progress.add_task(stage, total=1) for stage in stages}
        started: set[str] = set()

        def move(stage: str, done: int, total: int) -> None:
            if stage not in started:
                # Its clock runs from its first draw, not while the stages before it are sampled.
                started.add(stage)
                progress.reset(bars[stage])
            progress.update(bars[stage], completed=done, total=total)

        yield move


@contextmanager
def counting_bar(total: int) -> Iterator[Callable[[str], None]]:
    """Show on standard error how many things are done, and the time left, while the block runs.

    It is drawn when a thing is counted, and no thread redraws it in between: that would take time
    from what is measured in this process.

    Parameters
    ----------
    total : int
        Things to do.

    Yields
    ------
    callable (text)
        Counts one thing more, and says what it was.
    """
    with _bars(MofNCompleteColumn(), auto_refresh=False) as progress:
        bar = progress.add_task("", total=total)
        yield lambda text: progress.update(bar, advance=1, description=text, refresh=True)


@contextmanager
def counting_rows() -> Iterator[Callable[[int], None]]:
    """Show on standard error how many rows were read, of nobody knows how many.

    Yields
    ------
    callable (rows)
        Tells the number of rows so far.
    """
    with _bars(TimeElapsedColumn()) as progress:
        bar = progress.add_task("reading", total=None)
        yield lambda rows: progress.update(bar, description=counted(rows, "row"))


@contextmanager
def fraction_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """Show on standard error what part of something is done while the block runs.

    Parameters
    ----------
    text : str
        What is counted.

    Yields
    ------
    callable (done, total)
        Moves the bar.
    """
    with _bars(TaskProgressColumn()) as progress:
        bar = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def _bars(count: ProgressColumn, *, auto_refresh: bool = True) -> Progress:
    """Return bars with a column that says how far each is; invisible in a pipe."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        count,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=auto_refresh,
        transient=True,
        disable=sys.stderr is None or not sys.stderr.isatty(),
    )
