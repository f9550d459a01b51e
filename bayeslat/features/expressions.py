"""Arithmetic that a specification writes down, evaluated safely."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bayeslat.errors import ExpressionError
from bayeslat.features.expression_nodes import (
    FUNCTIONS,
    Apply,
    Category,
    FloatArray,
    Name,
    Node,
    evaluate_node,
)
from bayeslat.features.expression_parser import MAX_DEPTH, parse
from bayeslat.features.expression_tokens import MAX_LENGTH, quote

__all__ = ["FUNCTIONS", "MAX_DEPTH", "MAX_LENGTH", "Expression", "FloatArray"]


@dataclass(frozen=True, slots=True)
class Expression:
    """An arithmetic expression over names, parsed when built and never run as code.

    The language: numbers, names, ``+ - * / // % **``, the sign ``-``, one comparison at a time
    (``== != < <= > >=``), ``and or not`` (element by element, 1.0 or 0.0), the functions of
    `FUNCTIONS`, and ``name == "text"`` for categories. All arithmetic is in 64-bit floats.

    Parameters
    ----------
    text : str
        The expression; line breaks count as blanks.

    Attributes
    ----------
    names : frozenset of str
        Every name that `evaluate` looks up.
    categories : frozenset of str
        Those names that are compared with a text.
    numeric_names : frozenset of str
        Those names that stand where a number is needed.
    canonical : str
        The expression with one blank between its tokens.

    Raises
    ------
    ExpressionError
        If `text` is not an expression of this language.

    Examples
    --------
    >>> Expression("2 * batch_size + 1").evaluate({"batch_size": [1, 2]}).tolist()
    [3.0, 5.0]
    """

    text: str
    canonical: str = field(init=False, repr=False, compare=False)
    categories: frozenset[str] = field(init=False, repr=False, compare=False)
    numeric_names: frozenset[str] = field(init=False, repr=False, compare=False)
    _tree: Node = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise ExpressionError(f"expression {self.text!r}: must be a text")
        tree, canonical = parse(self.text)
        nodes = tuple(_walk(tree))
        categories = frozenset(each.name for each in nodes if isinstance(each, Category))
        numeric = frozenset(each.name for each in nodes if isinstance(each, Name))
        # A frozen dataclass sets its derived fields in no other way.
        object.__setattr__(self, "_tree", tree)
        object.__setattr__(self, "canonical", canonical)
        object.__setattr__(self, "categories", categories)
        object.__setattr__(self, "numeric_names", numeric)

    @property
    def tree(self) -> Node:
        """What the text says, as operations on numbers and names."""
        return self._tree

    @property
    def names(self) -> frozenset[str]:
        """Every name that `evaluate` looks up."""
        return self.numeric_names | self.categories

    def evaluate(self, values: Mapping[str, npt.ArrayLike]) -> FloatArray:
        """Evaluate the expression, vectorised.

        Parameters
        ----------
        values : Mapping of str to array_like
            Value of each name: a number, or an array of shape (config,). Names that the
            expression does not use are not looked up.

        Returns
        -------
        ndarray of float64
            Broadcast shape of the values used, 0-d when all are numbers; a new array. Overflow,
            division by zero and the like give inf and NaN without a warning: checking for them is
            the caller's part, who knows the row.

        Raises
        ------
        ExpressionError
            If a name has no value, or holds text where a number is needed (or the reverse), or
            the shapes do not fit together.
        """
        try:
            with np.errstate(all="ignore"):
                return np.array(evaluate_node(self._tree, values), dtype=np.float64)
        except ExpressionError as error:
            raise ExpressionError(f"expression {quote(self.text)}: {error}") from None
        except ValueError as error:
            raise ExpressionError(
                f"expression {quote(self.text)}: {error}; give every value the same length"
            ) from None


def _walk(node: Node) -> Iterator[Node]:
    """Yield the node and all below it; the parser bounds the depth."""
    yield node
    if isinstance(node, Apply):
        for argument in node.arguments:
            yield from _walk(argument)
