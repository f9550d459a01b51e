"""A compressed trace: statistics that stand for rows, window by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from bayeslat.counted import counted, listed
from bayeslat.errors import InputError
from bayeslat.inference.compression.changed import refuse_changed
from bayeslat.inference.rows.settled import SettledPoint
from bayeslat.inference.rows.windows import Window

__all__ = ["Compressed", "join_windows", "retire_windows"]


@dataclass(frozen=True, eq=False, repr=False)
class Compressed:
    """What a fit needs of a trace, in a size that does not depend on its rows.

    Attributes
    ----------
    point : SettledPoint
    windows : mapping of str to Window
        By name; those of a file are called as the file unless told otherwise.
    sample : DataFrame, one row a measurement
        Some rows, to show errors and the correlation between stages by: labels, knobs, latencies.
    attrs : mapping
        `sources` (kinds of traces), `versions`, `left_out`, `left_out_why`, `set_aside` (gross
        errors that do not count: `SetAside` as mappings).
    """

    point: SettledPoint
    windows: Mapping[str, Window]
    sample: pd.DataFrame
    attrs: Mapping[str, Any]

    def __repr__(self) -> str:
        point = self.point
        return (
            f"<Compressed of {point.spec.name}: {listed(point.stages)}; of {listed(point.gpus)}; "
            f"{counted(self.rows, 'row')} in {counted(len(self.windows), 'window')}: "
            f"{listed(self.windows, most=3)}>"
        )

    @property
    def rows(self) -> int:
        """Of all windows."""
        return sum(window.rows for window in self.windows.values())

    @property
    def left_out(self) -> int:
        """Rows that broke a rule and were left out."""
        return int(self.attrs.get("left_out", 0))

    @property
    def left_out_why(self) -> str:
        """What was wrong with the first of them, by file and row."""
        return str(self.attrs.get("left_out_why", ""))

    @property
    def set_aside(self) -> list[dict[str, Any]]:
        """Latencies that were set aside as gross errors: how many, by window, group and stage."""
        return list(self.attrs.get("set_aside", []))

    def merged(self, other: Compressed) -> Compressed:
        """Return the statistics of both, which were settled at one point.

        Parameters
        ----------
        other : Compressed

        Returns
        -------
        Compressed

        Raises
        ------
        InputError
            If the other is none, they were settled at two points, both hold a window of the same
            name, or the rows of the other are of groups that have changed.
        """
        if not isinstance(other, Compressed):
            raise InputError(
                f"other is a {type(other).__name__}; give the statistics of further rows, by "
                "compress(spec, files, like=statistics)"
            )
        if other.point.hash != self.point.hash:
            raise InputError(
                "the statistics were settled at different points, and do not add up; compress the "
                "second trace with --like FIRST"
            )
        refuse_changed(self.point, other.sample)
        sources = {*self.attrs.get("sources", ()), *other.attrs.get("sources", ())}
        sample = pd.concat([self.sample, other.sample], ignore_index=True)
        return replace(
            self,
            windows=join_windows(self.windows, other.windows),
            sample=sample.drop_duplicates(ignore_index=True),
            attrs={
                **self.attrs,
                "sources": sorted(sources),
                "left_out": self.left_out + other.left_out,
                "set_aside": self.set_aside + other.set_aside,
                "left_out_why": "\n".join(filter(None, (self.left_out_why, other.left_out_why))),
            },
        )

    def retired(self, names: Sequence[str]) -> Compressed:
        """Return the statistics without some windows.

        Parameters
        ----------
        names : sequence of str

        Raises
        ------
        InputError
            If there is no such window, or none is left.
        """
        return replace(self, windows=retire_windows(self.windows, names))


def join_windows(held: Mapping[str, Window], more: Mapping[str, Window]) -> dict[str, Window]:
    """Put windows together.

    Raises
    ------
    InputError
        If two have the same name: the same rows would count twice.
    """
    both = [name for name in more if name in held]
    if both:
        raise InputError(
            f"window {', '.join(both)} is there already, and its rows would count twice; retire it "
            "first (--retire), or give the new rows a name of their own (--window)"
        )
    return {**held, **more}


def retire_windows(held: Mapping[str, Window], names: Sequence[str]) -> dict[str, Window]:
    """Take windows out.

    Raises
    ------
    InputError
        If there is no such window, or none is left.
    """
    missing = [name for name in names if name not in held]
    if missing:
        raise InputError(
            f"no window {', '.join(missing)} to retire; there are {', '.join(held) or 'none'}"
        )
    return {name: window for name, window in held.items() if name not in names}
