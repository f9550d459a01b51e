"""The chances that budgets are exceeded, and what follows from them for any max_risk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["ACCEPT", "LEAVES", "MEASURE", "OWN_RUNS", "REJECT", "Exceedance"]

ACCEPT, REJECT, MEASURE = "accept", "reject", "measure"
LEAVES = "leaves the range of the fit"
OWN_RUNS = "its own runs were over"
"""Why a configuration is rejected that the model would accept; other reasons are to measure."""


@dataclass(frozen=True)
class Exceedance:
    """The chances that budgets are exceeded.

    Attributes
    ----------
    p_exceed : ndarray, shape (budget, config)
        P(latency > budget).
    low, high : ndarray, shape (budget, config)
        5 % and 95 % quantile over the posterior of p_exceed given the GPU.
    left_in : ndarray of str, shape (config,)
        What left the range of the fit; empty where nothing did.
    gap : ndarray of str, shape (config,)
        What was not measured of the GPU and stack; empty where all was.
    doubted : ndarray of bool, shape (config,)
        Whether its own measurement was set aside.
    shown : ndarray, shape (config,)
        How often a budget is exceeded at least, by the config's own runs.
    """

    p_exceed: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    left_in: NDArray[np.object_]
    gap: NDArray[np.object_]
    doubted: NDArray[np.bool_]
    shown: NDArray[np.float64]

    @property
    def least_max_risk(self) -> NDArray[np.float64]:
        """The least `max_risk` that accepts each config; 1 where none does. Shape (config,)."""
        needed = np.maximum(np.max(np.maximum(self.p_exceed, self.high), axis=0), self.shown)
        return np.where(self._extrapolates | self._unmeasured | self.doubted, 1.0, needed)

    def decide(self, max_risk: float) -> pd.DataFrame:
        """Decide by the largest p_exceed that is accepted.

        Parameters
        ----------
        max_risk : float

        Returns
        -------
        DataFrame, one row a config
            As `Guard.decide` adds them: `p_exceed`, `p_exceed_low`, `p_exceed_high`, `decision`,
            `reason`, `left_in`.
        """
        worst = np.argmax(self.p_exceed, axis=0)
        p_exceed, low, high = (
            np.choose(worst, list(each)) for each in (self.p_exceed, self.low, self.high)
        )
        # Any budget that is surely exceeded decides, and any that measuring could turn asks for it.
        over = (self.low > max_risk).any(axis=0)
        seen = (self.shown > max_risk) & ~over & ~self.doubted
        over |= seen
        unsure = (self.high > max_risk).any(axis=0) & ~over
        accepted = (p_exceed <= max_risk) & ~over
        decision = np.where(accepted, ACCEPT, REJECT).astype(object)
        reason = np.where(seen, OWN_RUNS, "").astype(object)
        for where, why in (
            (unsure, "measuring could turn the answer"),
            (accepted & self.doubted, "its own measurement was set aside"),
            (accepted & self._extrapolates, LEAVES),
            (accepted & self._unmeasured, self.gap),
        ):
            decision[where], reason[where] = MEASURE, np.broadcast_to(why, where.shape)[where]
        return pd.DataFrame(
            {
                "p_exceed": p_exceed,
                "p_exceed_low": low,
                "p_exceed_high": high,
                "decision": decision,
                "reason": reason,
                "left_in": self.left_in,
            }
        )

    @property
    def _extrapolates(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self.left_in != ""
        return found

    @property
    def _unmeasured(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self.gap != ""
        return found
