"""Rules for the names in a specification, and the nearest known name to a mistyped one."""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Iterable

__all__ = ["did_you_mean", "is_plain_name"]

_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)


def is_plain_name(text: str) -> bool:
    """Tell whether `text` can stand as a name in an expression.

    Parameters
    ----------
    text : str
        The candidate, for instance ``"batch_size"``.

    Returns
    -------
    bool
        True for an ASCII letter followed by letters, digits and underscores, unless it is a word
        of the expression language or of Python (``and``, ``not``, ``in``).
    """
    return _PLAIN_NAME.fullmatch(text) is not None and not keyword.iskeyword(text)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` with the nearest known name, or an empty string.

    Parameters
    ----------
    name : str
        The name that was not found.
    known : iterable of str
        The names that could have been meant.
    """
    nearest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""
