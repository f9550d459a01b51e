"""Whether two processes run the same code."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version

__all__ = ["describe_process", "tell_difference"]


def describe_process() -> dict[str, str]:
    """Return the versions that two processes must share to send each other tasks.

    Python by its minor version, as what it sends is not for another; bayeslat, as its results are
    not those of another.
    """
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "bayeslat": version("bayeslat"),
    }


def tell_difference(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """Say in which versions a process differs from ours; empty if in none.

    Parameters
    ----------
    theirs, ours : mapping of str to str
        Of `describe_process`.
    """
    return ", ".join(
        f"{name} {theirs.get(name, 'unknown')} in place of {own}"
        for name, own in ours.items()
        if theirs.get(name) != own
    )
