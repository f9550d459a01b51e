"""Progress bars on a terminal, and silence in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

__all__ = ["stage_bars"]


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
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        bars = {stage: progress.add_task(stage, total=None) for stage in stages}
        yield lambda stage, done, total: progress.update(bars[stage], completed=done, total=total)
