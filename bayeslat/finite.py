"""Numbers in what others wrote: finite ones, and nothing else."""

from __future__ import annotations

import math

__all__ = ["finite_number"]


def finite_number(value: object) -> float | None:
    """Return a value as a number; None if it is none, or is not finite.

    Parameters
    ----------
    value : object
        Of a JSON or TOML file, whose whole numbers may be too large for a float.

    Examples
    --------
    >>> finite_number(3), finite_number("3"), finite_number(10**400)
    (3.0, None, None)
    """
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
