"""Which candidates may be chosen: each configuration once, and none that was measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.counted import counted
from bayeslat.inference.posteriors.gross_errors import is_unsettled
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.target_rows import as_held
from bayeslat.inference.rows.repeats import number_configs

__all__ = ["Pool", "make_pool"]


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates that may be chosen, and why the others may not.

    Attributes
    ----------
    distinct : ndarray of bool, shape (candidate,)
        Not like an earlier one.
    seen : ndarray of bool, shape (candidate,)
        Distinct ones that the GPU was calibrated with.
    named : ndarray of bool, shape (candidate,)
        Other distinct ones that are excluded by name.
    elsewhere : DataFrame, one row a config
        Knobs and task of the configurations that the GPU was calibrated with and that are no
        candidates, each once.
    """

    distinct: NDArray[np.bool_]
    seen: NDArray[np.bool_]
    named: NDArray[np.bool_]
    elsewhere: pd.DataFrame

    @cached_property
    def eligible(self) -> NDArray[np.bool_]:
        """Which may be chosen. Shape (candidate,)."""
        return self.distinct & ~self.seen & ~self.named

    @property
    def repeated(self) -> int:
        """Candidates that are like an earlier one."""
        return int((~self.distinct).sum())

    @property
    def measured(self) -> int:
        """Others that the GPU was calibrated with."""
        return int(self.seen.sum())

    @property
    def excluded(self) -> int:
        """Others that were named."""
        return int(self.named.sum())

    @property
    def size(self) -> int:
        """How many may be chosen."""
        return int(self.eligible.sum())

    def __str__(self) -> str:
        """Say how many there are, and what became of the rest."""
        reasons = {
            "repeat an earlier one": self.repeated,
            "were measured": self.measured,
            "are excluded": self.excluded,
        }
        left_out = ", ".join(f"{count} {why}" for why, count in reasons.items() if count)
        told = f"{self.size} of {counted(len(self.eligible), 'candidate')}"
        return f"{told} ({left_out})" if left_out else told


def make_pool(
    data: PosteriorData,
    candidates: pd.DataFrame,
    group: tuple[str, str | None],
    exclude: pd.DataFrame | None,
) -> Pool:
    """Find the candidates that may be chosen.

    Parameters
    ----------
    data : PosteriorData
    candidates : DataFrame, one row a candidate
        Checked.
    group : tuple of GPU key and stack
        Whose calibration rows count as measured, but for those that another run has to settle. The
        configurations of a fitted GPU are not kept in a posterior: name them in `exclude`.
    exclude : DataFrame, one row a config, or None

    Returns
    -------
    Pool
    """
    tables = [as_held(candidates, data.reference)]
    known = None if group[1] is None else data.targets.get((group[0], group[1]))
    made = candidates.head(0) if known is None else known.rows[~is_unsettled(data, known)]
    tables.append(as_held(made, data.reference))
    tables.append(as_held(candidates.head(0) if exclude is None else exclude, data.reference))
    labels = number_configs(pd.concat(tables, ignore_index=True))
    ends = np.cumsum([len(table) for table in tables])
    own, measured, excluded = np.split(labels, ends[:-1])
    first = np.zeros(len(own), dtype=bool)
    first[np.unique(own, return_index=True)[1]] = True
    seen = first & np.isin(own, measured)
    once = np.unique(measured, return_index=True)[1]
    elsewhere = tables[1].iloc[once[~np.isin(measured[once], own)]]
    return Pool(first, seen, first & ~seen & np.isin(own, excluded), elsewhere)
