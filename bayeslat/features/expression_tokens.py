"""The words of the expression language: the first wall between a text and its evaluation.

Brackets, dots, colons, backslashes and the like never reach Python's parser, nor does anything
that it would warn about.
"""

from __future__ import annotations

import re

from bayeslat.errors import ExpressionError
from bayeslat.features.expression_nodes import FUNCTIONS

__all__ = ["LANGUAGE", "MAX_LENGTH", "quote", "tokenize"]

MAX_LENGTH = 2000
"""The longest expression, in characters."""
LANGUAGE = (
    "use numbers, names, + - * / // % ** and one comparison, and, or, not, and the functions "
    + ", ".join(FUNCTIONS)
)
"""What an expression may hold, for error messages."""

# A number must not touch a word, a dot or a quote (`1if`, `1.real`, `1j`, `0x1`), and a word must
# not touch a quote (`f"..."`, `b"..."`). Quoted words hold no backslash and no control character.
_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<number>(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?(?![\w."']))
    | (?P<name>[A-Za-z_]\w*(?!["']))
    | (?P<text>"[^"\\\x00-\x1f\x7f]*"|'[^'\\\x00-\x1f\x7f]*')
    | (?P<operator>\*\*|//|[<>=!]=|[-+*/%(),<>])
    """,
    re.VERBOSE | re.ASCII,
)


def quote(text: str) -> str:
    """Return the expression as error messages show it: quoted, on one line, not too long."""
    return repr(text if len(text) <= 120 else text[:117] + "...")


def tokenize(text: str) -> tuple[str, ...]:
    """Split an expression into numbers, names, quoted words and operators.

    Parameters
    ----------
    text : str
        The expression; line breaks count as blanks.

    Returns
    -------
    tuple of str
        The tokens, without blanks.

    Raises
    ------
    ExpressionError
        If the text is empty, too long, or has a character outside the expression language.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"expression {quote(text)}: has {len(text)} characters and at most {MAX_LENGTH} are "
            "allowed; name parts of it under [quantities]"
        )
    tokens: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(_unreadable(text, position))
        if match.lastgroup != "space":
            tokens.append(match.group())
        position = match.end()
    if not tokens:
        raise ExpressionError("expression '': is empty; write a number or a formula")
    return tuple(tokens)


def _unreadable(text: str, position: int) -> str:
    part = text[position : position + 12]
    return f"expression {quote(text)}: cannot read {part!r} at character {position + 1}; {LANGUAGE}"
