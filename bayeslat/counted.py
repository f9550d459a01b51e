"""Numbers of things in messages, 1 row, 2 rows; and lists of them that stay short."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["counted", "listed", "rows_of_configs"]


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write a number of things, with commas between thousands.

    Parameters
    ----------
    count : int
    noun : str
        Of one.
    plural : str
        Of any other number; the noun and an s by default.

    Examples
    --------
    >>> counted(1, "row"), counted(0, "row"), counted(1000, "row")
    ('1 row', '0 rows', '1,000 rows')
    >>> counted(2, "row of a GPU", "rows of GPUs")
    '2 rows of GPUs'
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def listed(names: Iterable[str], most: int = 6) -> str:
    """Write names, the first ones of many.

    Parameters
    ----------
    names : iterable of str
    most : int
        How many are written before the rest is counted.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(["a", "b", "c"], most=1)
    ('a, b, c', 'a and 2 more')
    """
    every = list(names)
    rest = len(every) - most
    return f"{', '.join(every[:most])} and {rest:,} more" if rest > 0 else ", ".join(every)


def rows_of_configs(rows: int, configs: int) -> str:
    """Write how many rows there are, and of how many configs, where some are repeats.

    Examples
    --------
    >>> rows_of_configs(474, 158), rows_of_configs(60, 60)
    ('474 rows, 158 configs', '60 configs')
    """
    told = counted(configs, "config")
    return told if rows == configs else f"{counted(rows, 'row')}, {told}"
