"""From the text of an expression to its tree; nothing is executed on the way.

Two walls stand between a text and its evaluation. The first, in `expression_tokens`, lets only
numbers, names, quoted words and a short list of operators through. The second walks the syntax tree
and knows only the nodes listed here. What passes becomes a tree of `expression_nodes`.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from bayeslat.errors import ExpressionError
from bayeslat.features.expression_nodes import FUNCTIONS, Apply, Category, Constant, Name, Node
from bayeslat.features.expression_tokens import LANGUAGE, quote, tokenize
from bayeslat.features.names import did_you_mean

__all__ = ["MAX_DEPTH", "compile_tree", "parse"]

MAX_DEPTH = 100
"""The deepest tree; far below Python's recursion limit, so that no input can reach that."""

_BINARY: Mapping[type[ast.operator], str] = MappingProxyType(
    {
        ast.Add: "+",
        ast.Sub: "-",
        ast.Mult: "*",
        ast.Div: "/",
        ast.Pow: "**",
        ast.FloorDiv: "//",
        ast.Mod: "%",
    }
)
_UNARY: Mapping[type[ast.unaryop], str] = MappingProxyType({ast.USub: "negative", ast.Not: "not"})
_COMPARE: Mapping[type[ast.cmpop], str] = MappingProxyType(
    {
        ast.Eq: "==",
        ast.NotEq: "!=",
        ast.Lt: "<",
        ast.LtE: "<=",
        ast.Gt: ">",
        ast.GtE: ">=",
    }
)
_CURES: Mapping[type[ast.AST], str] = MappingProxyType(
    {
        ast.IfExp: "'a if b else c' is not allowed; write where(b, a, c)",
        ast.Tuple: "a comma may only stand between the arguments of a function",
        ast.UAdd: "a sign + is not allowed; leave it out",
        ast.Is: "'is' is not allowed; write ==",
        ast.IsNot: "'is not' is not allowed; write !=",
        ast.In: "'in' is not allowed; write x == a or x == b",
        ast.NotIn: "'not in' is not allowed; write x != a and x != b",
    }
)


@lru_cache(maxsize=4096)
def parse(text: str) -> tuple[Node, str]:
    """Parse an expression.

    Parameters
    ----------
    text : str
        The expression.

    Returns
    -------
    tree : Node
        What `evaluate_node` takes.
    canonical : str
        The tokens with one blank between them, so that two spellings that differ in blanks
        compare equal.

    Raises
    ------
    ExpressionError
        If the text is not an expression of the language; the message names the part and the rule.
    """
    canonical = " ".join(tokenize(text))
    try:
        tree = ast.parse(canonical, mode="eval")
    except SyntaxError as error:
        raise ExpressionError(
            f"expression {quote(text)}: {error.msg} near {_near(canonical, error)!r}; check "
            "brackets, commas and operators there"
        ) from None
    except (MemoryError, RecursionError):
        raise ExpressionError(_too_deep(text)) from None
    except ValueError as error:
        raise ExpressionError(f"expression {quote(text)}: {error}; {LANGUAGE}") from None
    return compile_tree(tree.body, text), canonical


def _near(canonical: str, error: SyntaxError) -> str:
    start = max((error.offset or 1) - 1, 0)
    return canonical[max(start - 6, 0) : start + 12]


def _too_deep(text: str) -> str:
    return (
        f"expression {quote(text)}: is nested more than {MAX_DEPTH} levels deep; name parts of it "
        "under [quantities]"
    )


def compile_tree(tree: ast.expr, text: str, depth: int = 0) -> Node:
    """Turn a syntax tree into a tree of known operations.

    Parameters
    ----------
    tree : ast.expr
        What Python's parser made of the expression.
    text : str
        The expression, for error messages.
    depth : int
        Levels above this one.

    Raises
    ------
    ExpressionError
        If a node is not on the list, or the tree is deeper than `MAX_DEPTH`.
    """
    if depth > MAX_DEPTH:
        raise ExpressionError(_too_deep(text))
    match tree:
        case ast.Constant(value=value):
            return _constant(value, text)
        case ast.Name(id=name):
            return _name(name, text)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _apply(_BINARY[type(op)], (left, right), text, depth)
        case ast.UnaryOp(op=unary, operand=operand):
            if type(unary) not in _UNARY:
                raise _rejected(unary, text)
            return _apply(_UNARY[type(unary)], (operand,), text, depth)
        case ast.BoolOp(op=boolean, values=values):
            word = "and" if isinstance(boolean, ast.And) else "or"
            return _apply(word, tuple(values), text, depth)
        case ast.Compare():
            return _comparison(tree, text, depth)
        case ast.Call():
            return _call(tree, text, depth)
        case _:
            raise _rejected(tree, text)


def _apply(operation: str, arguments: tuple[ast.expr, ...], text: str, depth: int) -> Apply:
    return Apply(operation, tuple(compile_tree(each, text, depth + 1) for each in arguments))


def _constant(value: object, text: str) -> Constant:
    if isinstance(value, str):
        raise ExpressionError(
            f"expression {quote(text)}: the text {value!r} may only be compared with a name, as "
            f"in task == {value!r}"
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionError(
            f"expression {quote(text)}: {value!r} is not a number; write 1 for true and 0 for false"
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ExpressionError(
            f"expression {quote(text)}: a number is too large for a 64-bit float; the largest is "
            "1.797e308"
        )
    return Constant(number)


def _name(name: str, text: str) -> Name:
    if name in FUNCTIONS:
        raise ExpressionError(
            f"expression {quote(text)}: {name!r} is a function; call it, as in {name}(...)"
        )
    return Name(name)


def _comparison(tree: ast.Compare, text: str, depth: int) -> Node:
    if len(tree.ops) > 1:
        raise ExpressionError(
            f"expression {quote(text)}: comparisons may not be chained; write a < b and b < c"
        )
    operation = _COMPARE.get(type(tree.ops[0]))
    if operation is None:
        raise _rejected(tree.ops[0], text)
    left, right = tree.left, tree.comparators[0]
    if isinstance(left, ast.Constant) and isinstance(left.value, str):
        left, right = right, left
    if not (isinstance(right, ast.Constant) and isinstance(right.value, str)):
        return _apply(operation, (left, right), text, depth)
    if not isinstance(left, ast.Name) or operation not in ("==", "!="):
        raise ExpressionError(
            f"expression {quote(text)}: the text {right.value!r} may only be compared with a name "
            f"by == or !=, as in task == {right.value!r}"
        )
    return Category(_name(left.id, text).name, right.value, operation == "==")


def _call(tree: ast.Call, text: str, depth: int) -> Apply:
    if not isinstance(tree.func, ast.Name):
        raise ExpressionError(
            f"expression {quote(text)}: brackets follow something that is not a function; write * "
            f"to multiply; the functions are {', '.join(FUNCTIONS)}"
        )
    function = tree.func.id
    arity = FUNCTIONS.get(function)
    if arity is None:
        raise ExpressionError(
            f"expression {quote(text)}: no function {function!r}"
            f"{did_you_mean(function, FUNCTIONS)}; the functions are {', '.join(FUNCTIONS)}"
        )
    if tree.keywords or any(isinstance(each, ast.Starred) for each in tree.args):
        raise ExpressionError(
            f"expression {quote(text)}: {function} takes plain arguments; no name=value and no *"
        )
    if len(tree.args) != arity:
        raise ExpressionError(
            f"expression {quote(text)}: {function} takes {arity} "
            f"argument{'s' if arity > 1 else ''} and was given {len(tree.args)}"
        )
    return _apply(function, tuple(tree.args), text, depth)


def _rejected(node: ast.AST, text: str) -> ExpressionError:
    rule = _CURES.get(type(node), f"{type(node).__name__} is not allowed; {LANGUAGE}")
    return ExpressionError(f"expression {quote(text)}: {rule}")
