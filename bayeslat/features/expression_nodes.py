"""The tree that an expression becomes, and its evaluation with NumPy functions only."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from bayeslat.errors import ExpressionError
from bayeslat.features.names import did_you_mean

__all__ = [
    "FUNCTIONS",
    "OPERATIONS",
    "Apply",
    "Category",
    "Constant",
    "FloatArray",
    "Name",
    "Node",
    "evaluate_node",
]

type FloatArray = npt.NDArray[np.float64]
type Values = Mapping[str, npt.ArrayLike]


@dataclass(frozen=True, slots=True)
class Constant:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Name:
    """A numeric value that the caller gives by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Category:
    """Whether the text column `name` equals `value` (or differs from it)."""

    name: str
    value: str
    equal: bool


@dataclass(frozen=True, slots=True)
class Apply:
    """An operation of `OPERATIONS` applied to its arguments."""

    operation: str
    arguments: tuple[Node, ...]


type Node = Constant | Name | Category | Apply

FUNCTIONS: Mapping[str, int] = MappingProxyType(
    {
        "log": 1,
        "exp": 1,
        "sqrt": 1,
        "minimum": 2,
        "maximum": 2,
        "where": 3,
        "abs": 1,
        "ceil": 1,
        "floor": 1,
    }
)
"""The functions that an expression may call, each with its number of arguments."""


def _all(*arguments: FloatArray) -> npt.NDArray[np.bool_]:
    return functools.reduce(np.logical_and, arguments, np.asarray(True))


def _any(*arguments: FloatArray) -> npt.NDArray[np.bool_]:
    return functools.reduce(np.logical_or, arguments, np.asarray(False))


OPERATIONS: Mapping[str, Callable[..., npt.NDArray[np.generic]]] = MappingProxyType(
    {
        "+": np.add,
        "-": np.subtract,
        "*": np.multiply,
        "/": np.divide,
        "**": np.power,
        "//": np.floor_divide,
        "%": np.remainder,
        "negative": np.negative,
        "==": np.equal,
        "!=": np.not_equal,
        "<": np.less,
        "<=": np.less_equal,
        ">": np.greater,
        ">=": np.greater_equal,
        "and": _all,
        "or": _any,
        "not": np.logical_not,
        "log": np.log,
        "exp": np.exp,
        "sqrt": np.sqrt,
        "minimum": np.minimum,
        "maximum": np.maximum,
        "where": np.where,
        "abs": np.abs,
        "ceil": np.ceil,
        "floor": np.floor,
    }
)


def evaluate_node(node: Node, values: Values) -> FloatArray:
    """Evaluate a tree; truth values are 1.0 and 0.0.

    Parameters
    ----------
    node : Node
        The tree, as deep as the parser lets it be.
    values : Mapping of str to array_like
        Value of each name: a number or an array of shape (config,).

    Returns
    -------
    ndarray of float64
        Broadcast shape of the values used; 0-d when all are numbers. It may share memory with
        one of them.

    Raises
    ------
    ExpressionError
        If a name has no value, or text stands where a number is needed, or the reverse.
    """
    match node:
        case Constant(value):
            return np.asarray(value, dtype=np.float64)
        case Name(name):
            return _as_numbers(name, _look_up(name, values))
        case Category(name, text, equal):
            matches = _equals(name, _look_up(name, values), text)
            return (matches if equal else ~matches).astype(np.float64)
        case Apply(operation, arguments):
            evaluated = [evaluate_node(argument, values) for argument in arguments]
            return np.asarray(OPERATIONS[operation](*evaluated), dtype=np.float64)


def _look_up(name: str, values: Values) -> npt.ArrayLike:
    try:
        return values[name]
    except KeyError:
        known = sorted(values)
        raise ExpressionError(
            f"unknown name {name!r}{did_you_mean(name, known)}; known names: {', '.join(known)}"
        ) from None


def _as_numbers(name: str, value: npt.ArrayLike) -> FloatArray:
    array = np.asarray(value)
    is_text = array.dtype.kind == "O" and any(isinstance(item, str) for item in array.flat)
    if array.dtype.kind not in "biufO" or is_text:
        raise ExpressionError(
            f"{name!r} does not hold numbers (dtype {array.dtype}); text can only be compared "
            f'with == and !=, as in {name} == "..."'
        )
    try:
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise ExpressionError(f"{name!r} does not hold numbers: {error}") from None


def _equals(name: str, value: npt.ArrayLike, text: str) -> npt.NDArray[np.bool_]:
    """Compare item by item, since missing values (None, NaN, pandas.NA) equal no text."""
    array = np.asarray(value)
    if array.dtype.kind not in "OUT" and not _all_missing(array):
        raise ExpressionError(
            f"{name!r} is compared with the text {text!r} and holds numbers (dtype {array.dtype})"
        )
    flags = [isinstance(item, str) and item == text for item in array.flat]
    return np.array(flags, dtype=np.bool_).reshape(array.shape)


def _all_missing(array: npt.NDArray[np.generic]) -> bool:
    return array.dtype.kind == "f" and bool(np.isnan(array).all())
