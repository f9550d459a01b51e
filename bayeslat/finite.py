"""Numbers in what others wrote: finite ones, and nothing else."""

from __future__ import annotations

import math
from numbers import Integral, Real

__all__ = [
    "finite_number",
    "is_between",
    "is_count",
    "tell",
    "tell_count",
    "wrong_budget",
    "wrong_seed",
    "wrong_share",
]


def finite_number(value: object) -> float | None:
    """Return a value as a number; None if it is none, or is not finite.

    Parameters
    ----------
    value : object
        Of a JSON or TOML file, whose whole numbers may be too large for a float; or an argument.

    Examples
    --------
    >>> finite_number(3), finite_number("3"), finite_number(10**400)
    (3.0, None, None)
    """
    if not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def is_between(value: object, low: float, high: float = math.inf) -> bool:
    """Tell whether a value is a finite number between two others, and neither of them.

    Examples
    --------
    >>> is_between(0.5, 0), is_between(0, 0), is_between("0.5", 0), is_between(True, 0)
    (True, False, False, False)
    """
    number = None if isinstance(value, bool) else finite_number(value)
    return number is not None and low < number < high


def is_count(value: object, least: float) -> bool:
    """Tell whether a value is a whole number from `least` on.

    Examples
    --------
    >>> is_count(2, 1), is_count(0, 1), is_count(2.0, 1), is_count("2", 1)
    (True, False, False, False)
    """
    if isinstance(value, bool):
        return False
    return isinstance(value, Integral) and int(value) >= least


def tell(value: object) -> str:
    """Write a value that is no such number: a text in quotes.

    Examples
    --------
    >>> tell(-1.0), tell("1"), tell(None)
    ('-1', "'1'", 'None')
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            return f"{float(value):g}"
        except OverflowError:
            return "a number too large to compute with"
    return repr(value)


def tell_count(value: object) -> str:
    """Write a value that is no such whole number: a float that looks like one with its point.

    Examples
    --------
    >>> tell_count(3.0), tell_count(-1), tell_count("1")
    ('3.0', '-1', "'1'")
    """
    if isinstance(value, bool) or finite_number(value) is None:
        return tell(value)
    return str(value)


def wrong_seed(seed: object) -> str:
    """Say that a seed is none; nothing if it is one."""
    if is_count(seed, 0):
        return ""
    return f"seed is {tell_count(seed)}; it must be a whole number from 0 on"


def wrong_share(name: str, value: object, like: str) -> str:
    """Say that a value is no part of a whole; nothing if it is one.

    Examples
    --------
    >>> wrong_share("max_risk", 5, "0.05 for 5 %")
    'max_risk is 5; it must be between 0 and 1, as 0.05 for 5 %'
    """
    if is_between(value, 0, 1):
        return ""
    return f"{name} is {tell(value)}; it must be between 0 and 1, as {like}"


def wrong_budget(name: str, value: object) -> str:
    """Say that a value is no budget of latency; nothing if it is one."""
    if is_between(value, 0):
        return ""
    return f"{name} is {tell(value)}; it must be a positive number of ms"
