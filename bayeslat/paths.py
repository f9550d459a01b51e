"""Paths of files: what is easily given in their place."""

from __future__ import annotations

import os
from pathlib import Path

from bayeslat.errors import InputError

__all__ = ["as_path"]


def as_path(path: object, like: str) -> Path:
    """Return the path of a file, if it is one.

    Parameters
    ----------
    path : object
    like : str
        What such a path may look like.

    Raises
    ------
    InputError
        If it is no text and no path.

    Examples
    --------
    >>> as_path("a/fit.nc", "fit.nc").name
    'fit.nc'
    """
    if isinstance(path, str | os.PathLike):
        return Path(path)
    raise InputError(f"path is a {type(path).__name__}; give the path of a file, as in {like!r}")
