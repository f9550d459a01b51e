"""Where the brackets and strings of JSON text are, found without parsing it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Structure", "find_structure"]

_QUOTE, _BACKSLASH = ord('"'), ord("\\")
# Upper and lower case of ASCII differ in one bit, and so do [ and {, ] and }.
_ONE_BIT = 0xDF
_OPEN, _CLOSE = ord("["), ord("]")


@dataclass(frozen=True, slots=True)
class Structure:
    """What a piece of JSON text is made of.

    Attributes
    ----------
    brackets : ndarray of int, shape (bracket,)
        Where brackets and braces outside of strings are, counted from the start of the piece.
    depth : ndarray of int, shape (bracket,)
        How many are open after each, relative to the start of the piece.
    quotes : ndarray of int, shape (quote,)
        Where strings start and end.
    in_string : bool
        Whether the piece ends inside a string.
    """

    brackets: NDArray[np.intp]
    depth: NDArray[np.intp]
    quotes: NDArray[np.intp]
    in_string: bool


def find_structure(text: bytes | memoryview, in_string: bool = False) -> Structure:
    """Find the brackets and strings of a piece of JSON text.

    A whole parser makes an object of each value; most values of a benchmark's file are not needed.
    Comparing bytes as arrays passes over them ten times faster.

    Parameters
    ----------
    text : bytes or memoryview
        The piece. It must not end between a backslash and what that escapes.
    in_string : bool
        Whether it starts inside a string.

    Returns
    -------
    Structure
    """
    codes = np.frombuffer(text, dtype=np.uint8)
    quotes = _unescaped(codes, np.flatnonzero(codes == _QUOTE))
    bare = codes & _ONE_BIT
    brackets = np.flatnonzero((bare == _OPEN) | (bare == _CLOSE))
    if len(quotes) or in_string:
        outside = (np.searchsorted(quotes, brackets) + in_string) % 2 == 0
        brackets = brackets[outside]
    depth = np.cumsum(np.where(bare[brackets] == _OPEN, 1, -1), dtype=np.intp)
    return Structure(brackets, depth, quotes, bool((len(quotes) + in_string) % 2))


def _unescaped(codes: NDArray[np.uint8], quotes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the quotes that an even number of backslashes precedes."""
    before = quotes - 1
    suspects = np.flatnonzero((before >= 0) & (codes[before] == _BACKSLASH))
    if not len(suspects):
        return quotes
    escaped = np.zeros(len(quotes), dtype=bool)
    before = before[suspects]
    while len(suspects):  # as often as the longest run of backslashes
        escaped[suspects] ^= True
        before = before - 1
        go_on = (before >= 0) & (codes[before] == _BACKSLASH)
        suspects, before = suspects[go_on], before[go_on]
    return quotes[~escaped]
