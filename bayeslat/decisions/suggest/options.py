"""What to choose measurements for, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bayeslat.decisions.suggest.registry import DEFAULT_METHOD

__all__ = ["FREE", "LATENCY", "Objective", "SuggestOptions"]

type Objective = Literal["total", "guardrail"]

FREE, LATENCY = "none", "latency"
"""Costs that no column of the candidates gives."""


@dataclass(frozen=True)
class SuggestOptions:
    """What to choose for.

    Attributes
    ----------
    objective : {"total", "guardrail"}
        Uncertainty of the total over all candidates alike, or where it decides about a budget.
    budget_ms : float, optional
        Of the total; for the guardrail.
    cost : str
        `none`: all measurements cost the same; `latency`: the expected total latency; or the name
        of a column of the candidates, in ms.
    method : str
        A name of `METHODS`.
    seed : int
    strata : str, optional
        Operating regions to cover: `latency`, bands of the expected total; or the name of a column
        of the candidates, a stratum for each value (bands of a number with many).
    """

    objective: Objective = "total"
    budget_ms: float | None = None
    cost: str = FREE
    method: str = DEFAULT_METHOD
    seed: int = 0
    strata: str | None = None
