"""Loading torch and transformers only when a model is measured."""

from __future__ import annotations

from typing import Any

from bayeslat.errors import InputError

__all__ = ["load_torch", "load_transformers"]


def load_torch() -> Any:
    """Return the torch module.

    Raises
    ------
    InputError
        If torch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise _explained("torch", error) from error
    return torch


def load_transformers() -> Any:
    """Return the transformers module.

    Raises
    ------
    InputError
        If transformers is not installed.
    """
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise _explained("transformers", error) from error
    return transformers


def _explained(library: str, error: ModuleNotFoundError) -> Exception:
    """Return what to raise: a missing part of an installed library is shown as it is."""
    if error.name != library:
        return error
    return InputError(
        f"{library} is not installed, and measuring a model needs it: "
        "install the extra with `pip install '.[collect]'`"
    )
