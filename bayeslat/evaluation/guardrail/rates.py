"""A rate that was counted, with its exact interval."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import betaincinv

__all__ = ["Rate", "count_rate", "upper_bound"]

_LEVEL = 0.95


@dataclass(frozen=True)
class Rate:
    """Some of many.

    Attributes
    ----------
    count, of : int
    low, high : float
        95 % interval of Clopper and Pearson (1934, Biometrika 26): of independent trials it holds
        the true rate at least as often.
    """

    count: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The rate; NaN of none."""
        return self.count / self.of if self.of else float("nan")


def count_rate(count: int, of: int, independent: int | None = None) -> Rate:
    """Return a rate with its interval; of none, anything between 0 and 1.

    Parameters
    ----------
    count, of : int
    independent : int, optional
        How many of them are: the interval is that of the same rate of so many; all by default.
    """
    tail = (1.0 - _LEVEL) / 2.0
    trials = of if independent is None else independent
    seen = count * trials / of if of else 0.0
    low = float(betaincinv(seen, trials - seen + 1, tail)) if seen else 0.0
    return Rate(count, of, low, upper_bound(seen, trials, 1.0 - tail))


def upper_bound(count: float, of: int, confidence: float) -> float:
    """Bound a rate from above.

    The largest rate with which so few of so many still have the chance 1 - confidence (Clopper and
    Pearson 1934): over repetitions the bound holds with the confidence at least.

    Parameters
    ----------
    count : float
        A whole number, but for a rate of fewer.
    of : int
    confidence : float
    """
    return float(betaincinv(count + 1, of - count, confidence)) if count < of else 1.0
