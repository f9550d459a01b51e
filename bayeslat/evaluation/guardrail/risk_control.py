"""A bound on false accepts that holds whatever the model: from rows that it did not see.

The guard accepts more as max_risk grows, and so accepts wrongly more often. "Learn then test"
(Angelopoulos, Bates, Candes, Jordan and Lei 2021, arXiv:2110.01052) picks max_risk from held-out
rows so that, with the stated confidence over these rows, the rate of false accepts is within a
limit: the hypotheses "the rate at this max_risk is above the limit" are tested by the exact
binomial test, from the least max_risk up, and testing stops at the first that is not rejected
(fixed sequence testing keeps the family-wise error). The rows must be exchangeable with the
requests to come; nothing is asked of the model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import bdtr

from bayeslat.counted import counted
from bayeslat.errors import InputError
from bayeslat.evaluation.guardrail.rates import upper_bound
from bayeslat.finite import tell, wrong_share

__all__ = ["LEVELS", "RiskControl", "control_risk", "limit_problems", "rows_needed"]

LEVELS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Values of max_risk that are tested."""


@dataclass(frozen=True, eq=False, repr=False)
class RiskControl:
    """What held-out rows say of the guard's false accepts.

    Attributes
    ----------
    limit : float
        Of the false accepts, as a part of all configurations.
    confidence : float
    configs : int
        Held out, each counted once.
    fitted : bool
        Whether the fit may have seen them: then nothing is sure.
    unmeasured : int
        Further ones that do not count: not measured in all stages that the budgets are of.
    table : DataFrame, one row a max_risk
        `max_risk`, `accepts`, `false_accepts` (configurations), `rate` (of false accepts, of all),
        `bound` (that holds with the confidence, for each max_risk by itself), `expected` (the
        rate that the model's own p_exceed has), and `passes` the sequence of tests.
    """

    limit: float
    confidence: float
    configs: int
    fitted: bool
    table: pd.DataFrame
    unmeasured: int = 0

    @property
    def largest(self) -> float | None:
        """The largest that keeps the limit; None if none is shown to."""
        passed = self.table.loc[self.table["passes"], "max_risk"]
        return None if passed.empty else float(passed.iloc[-1])

    def at(self, max_risk: float) -> pd.Series:
        """Return the row of a max_risk.

        Raises
        ------
        InputError
            If the table has none.
        """
        found = self.table.loc[self.table["max_risk"] == max_risk]
        if found.empty:
            tested = ", ".join(map(tell, self.table["max_risk"]))
            raise InputError(
                f"max_risk is {tell(max_risk)}, which was not tested; take one of {tested}, or "
                "control a guard that has it"
            )
        return found.iloc[0]

    def __repr__(self) -> str:
        return f"<RiskControl: {self}>"

    def __str__(self) -> str:
        """Say what holds."""
        promise = (
            f"false accepts within {100 * self.limit:g}% of all, with {100 * self.confidence:g}% "
            "confidence"
        )
        if self.largest is not None:
            unseen = ", if the fit did not see them" if self.fitted else ""
            return (
                f"max_risk up to {self.largest:g} keeps {promise} ("
                f"{counted(self.configs, 'held-out config')}{unseen})"
            )
        needed = rows_needed(self.limit, self.confidence)
        if self.configs < needed:
            return (
                f"{counted(self.configs, 'held-out config')} cannot show {promise}; {needed:,} "
                "can, if none is accepted wrongly"
            )
        return f"no max_risk is shown to keep {promise}: too many were accepted wrongly"


def rows_needed(limit: float, confidence: float) -> int:
    """Return how many configurations, none of them accepted wrongly, show a limit."""
    return math.ceil(math.log1p(-confidence) / math.log1p(-limit))


def limit_problems(limit: float, confidence: float) -> list[str]:
    """Say which of both has an impossible value."""
    problems = (
        wrong_share("false_accepts", limit, "0.01 for 1 %"),
        wrong_share("confidence", confidence, "0.95 for 95 %"),
    )
    return [problem for problem in problems if problem]


def control_risk(
    least_max_risk: NDArray[np.float64],
    p_exceed: NDArray[np.float64],
    over: NDArray[np.bool_],
    *,
    limit: float = 0.01,
    confidence: float = 0.95,
    max_risk: float | None = None,
    fitted: bool = False,
) -> RiskControl:
    """Bound the false accepts at every max_risk, and find the largest that keeps a limit.

    Parameters
    ----------
    least_max_risk : ndarray, shape (config,)
        Of `Exceedance`: from which max_risk on a config is accepted.
    p_exceed : ndarray, shape (config,)
    over : ndarray of bool, shape (config,)
        Whether the measured run exceeded the budget.
    limit : float
        Of the false accepts, as a part of all configurations.
    confidence : float
    max_risk : float, optional
        To be tested beside `LEVELS`.
    fitted : bool
        Whether the fit may have seen the configs.

    Returns
    -------
    RiskControl

    Raises
    ------
    InputError
        With every argument that has an impossible value; or if no config is given.
    """
    problems = limit_problems(limit, confidence)
    if not len(over):
        problems.append("no held-out config is left; give rows that calibrated nothing")
    if problems:
        raise InputError("; ".join(problems))
    rows = []
    passes = True
    for level in sorted({*LEVELS, *(() if max_risk is None else (max_risk,))}):
        accepted = least_max_risk <= level
        wrong, count = int((accepted & over).sum()), len(over)
        # P(so few false accepts, were the rate at the limit).
        passes = passes and bool(bdtr(wrong, count, limit) <= 1.0 - confidence)
        rows.append(
            {
                "max_risk": level,
                "accepts": int(accepted.sum()),
                "false_accepts": wrong,
                "rate": wrong / count,
                "bound": upper_bound(wrong, count, confidence),
                "expected": float(np.mean(p_exceed * accepted)),
                "passes": passes,
            }
        )
    return RiskControl(limit, confidence, len(over), fitted, pd.DataFrame(rows))
