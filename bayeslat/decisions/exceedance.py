"""The chances that budgets are exceeded, and what follows from them for any max_risk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["ACCEPT", "MEASURE", "REJECT", "Exceedance"]

ACCEPT, REJECT, MEASURE = "accept", "reject", "measure"


@dataclass(frozen=True)
class Exceedance:
    """The chances that budgets are exceeded.

    Attributes
    ----------
    p_exceed : ndarray, shape (budget, config)
        P(latency > budget).
    low, high : ndarray, shape (budget, config)
        5 % and 95 % quantile over the posterior of p_exceed given the GPU.
    extrapolates : ndarray of bool, shape (config,)
    zero_shot : ndarray of bool, shape (config,)
    gap : str
        What was not measured where `zero_shot`.
    doubted : ndarray of bool, shape (config,), optional
        Whether its own measurement was set aside.
    """

    p_exceed: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    extrapolates: NDArray[np.bool_]
    zero_shot: NDArray[np.bool_]
    gap: str = "the GPU was not measured"
    doubted: NDArray[np.bool_] | None = None

    @property
    def least_max_risk(self) -> NDArray[np.float64]:
        """The least `max_risk` that accepts each config; 1 where none does. Shape (config,)."""
        needed = np.max(np.maximum(self.p_exceed, self.high), axis=0)
        return np.where(self.extrapolates | self.zero_shot | self._doubted, 1.0, needed)

    def decide(self, max_risk: float) -> pd.DataFrame:
        """Decide by the largest p_exceed that is accepted.

        Parameters
        ----------
        max_risk : float

        Returns
        -------
        DataFrame, one row a config
            As `Guard.decide` adds them: `p_exceed`, `p_exceed_low`, `p_exceed_high`, `decision`,
            `reason`.
        """
        worst = np.argmax(self.p_exceed, axis=0)
        p_exceed, low, high = (
            np.choose(worst, list(each)) for each in (self.p_exceed, self.low, self.high)
        )
        # Any budget that is surely exceeded decides, and any that measuring could turn asks for it.
        over = (self.low > max_risk).any(axis=0)
        unsure = (self.high > max_risk).any(axis=0) & ~over
        accepted = (p_exceed <= max_risk) & ~over
        decision = np.where(accepted, ACCEPT, REJECT).astype(object)
        reason = np.full(len(decision), "", dtype=object)
        for where, told in (
            (unsure, "measuring could turn the answer"),
            (accepted & self._doubted, "its own measurement was set aside"),
            (accepted & self.extrapolates, "leaves the range of the fit"),
            (accepted & self.zero_shot, self.gap),
        ):
            decision[where], reason[where] = MEASURE, told
        return pd.DataFrame(
            {
                "p_exceed": p_exceed,
                "p_exceed_low": low,
                "p_exceed_high": high,
                "decision": decision,
                "reason": reason,
            }
        )

    @property
    def _doubted(self) -> NDArray[np.bool_]:
        return np.zeros(self.zero_shot.shape, bool) if self.doubted is None else self.doubted
