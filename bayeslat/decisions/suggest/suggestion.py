"""What to measure next, and what it will buy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.suggest.outlook import Outlook
from bayeslat.decisions.suggest.pool import Pool
from bayeslat.decisions.suggest.strata import Strata

__all__ = ["Suggestion"]


@dataclass(frozen=True, eq=False, repr=False)
class Suggestion:
    """Configurations to measure next, best first.

    Attributes
    ----------
    candidates : DataFrame, one row a candidate
    chosen : ndarray of int, shape (rank,)
        Positions of candidates.
    cost_ms : ndarray, shape (rank,)
        Of one measurement: the column that was named, or the expected total latency.
    outlook : Outlook
        Error and width to expect before, and after each.
    pool : Pool
        Which candidates could have been chosen.
    stack : str or None
        That the choice is for; None for a new one.
    strata : Strata or None
        That the choice covers, with what was measured in each before.
    near : int or None
        How many of those that could have been chosen may lie on either side of the budget; None
        without one.
    """

    candidates: pd.DataFrame
    chosen: NDArray[np.int64]
    cost_ms: NDArray[np.float64]
    outlook: Outlook
    pool: Pool
    stack: str | None
    strata: Strata | None = None
    near: int | None = None

    def __repr__(self) -> str:
        first, last = self.outlook.mape[[0, -1]]
        return (
            f"<Suggestion of {len(self.chosen):,} from {self.pool}"
            f"{f' with {self.stack}' if self.stack else ''}: "
            f"expected MAPE {first:.1%} before, {last:.1%} after>"
        )

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The chosen candidates with all their columns, best first.

        Further columns, in place of any of these names: `rank` from 1, `gain` (what the measurement
        takes off the mean sd of the log total, given those before) and `cost_ms`.
        """
        rows = self.candidates.iloc[self.chosen]
        new = {
            "rank": np.arange(1, len(rows) + 1),
            "gain": self.outlook.gain,
            "cost_ms": self.cost_ms,
        }
        kept = rows.drop(columns=[name for name in new if name in rows])
        return pd.concat([kept, pd.DataFrame(new, index=rows.index)], axis=1)

    @property
    def stops_paying_at(self) -> int | None:
        """The rank from which on no measurement lowers the expected error by 1 % of itself."""
        return self.outlook.stops_paying_at
