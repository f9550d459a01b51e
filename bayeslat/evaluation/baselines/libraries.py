"""Libraries that only some baselines need, imported when one of them does."""

from __future__ import annotations

import importlib
from types import ModuleType

from bayeslat.errors import InputError

__all__ = ["require"]

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}


def require(module: str) -> ModuleType:
    """Import a module of the extra `baselines`.

    Parameters
    ----------
    module : str
        As in ``sklearn.neural_network``.

    Raises
    ------
    InputError
        If its library is not installed.
    """
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or library).partition(".")[0] != library:
            raise
    raise InputError(
        f"{_DISTRIBUTIONS.get(library, library)} is not installed, and this method needs it; "
        "install it with: pip install '.[baselines]'"
    )
