"""Expressions as a program of array operations: constants folded, shared parts computed once.

The values are those of `Namespace.evaluate` but for rounding: factors are gathered into one, so
that `2 * tokens * blocks * width / (tflops * 1e9)` takes one product of arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from bayeslat.errors import ExpressionError, HardwareError
from bayeslat.features.expression_nodes import (
    OPERATIONS,
    Apply,
    Category,
    Constant,
    Name,
    Node,
    evaluate_node,
)
from bayeslat.features.expressions import Expression
from bayeslat.features.spec_fields import SpecFields, reachable

__all__ = ["Program", "Registers", "Value"]

_PAIRED = {"and": np.logical_and, "or": np.logical_or}

type Array = NDArray[np.float64]
type Value = tuple[Array | None, float]
"""A value of every row as an array times a number; the number alone, if it is the same in all."""


@dataclass(frozen=True)
class _Ref:
    """A value while a program is built: what a step (or input) gives, times a number."""

    slot: int | None
    scale: float


@dataclass(frozen=True)
class _Step:
    """One operation; its arguments are slots, with nothing before them, or numbers."""

    function: Callable[..., object]
    arguments: tuple[_Ref, ...]


class Registers:
    """Arrays that programs write to, one program after the other.

    Parameters
    ----------
    rows : int
        Of each.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._arrays: list[Array] = []

    def __getitem__(self, at: int) -> Array:
        while len(self._arrays) <= at:
            self._arrays.append(np.empty(self._rows))
        return self._arrays[at]


class Program:
    """The expressions of a spec for rows of one GPU and task.

    Parameters
    ----------
    fields : SpecFields
        A valid specification.
    parts : sequence of sequence of Expression
        Values are given part by part; those of a part are overwritten when the next one is asked
        for.
    constants : mapping of str to float or str
        What is the same in every row: hardware fields, the task, knobs.
    registers : Registers
        With room for the rows of a run.
    """

    def __init__(
        self,
        fields: SpecFields,
        parts: Sequence[Sequence[Expression]],
        constants: Mapping[str, float | str],
        registers: Registers,
    ) -> None:
        self._registers = registers
        with np.errstate(all="ignore"):
            builder = _Builder(fields, constants)
            values, ends = [], []
            for part in parts:
                values.append([builder.value(each.tree) for each in part])
                ends.append(len(builder.steps))
        self._inputs = builder.inputs
        self._steps = builder.steps
        self._values, self._ends = values, ends
        self._homes = _place(builder, values, ends)

    def run(self, columns: Mapping[str, Array], count: int) -> Iterator[list[Value]]:
        """Compute the values of some rows.

        Parameters
        ----------
        columns : mapping of str to ndarray, shape (row,)
            The knobs that are no constants.
        count : int
            Number of rows.

        Yields
        ------
        list of Value
            Of one part after the other. Not checked for NaN and inf.
        """
        slots = [columns[name] for name in self._inputs]
        start = 0
        for values, end in zip(self._values, self._ends, strict=True):
            with np.errstate(all="ignore"):
                for at in range(start, end):
                    step, out = self._steps[at], self._registers[self._homes[at]][:count]
                    found = [x.scale if x.slot is None else slots[x.slot] for x in step.arguments]
                    step.function(*found, out=out)
                    slots.append(out)
            start = end
            yield [(None if ref.slot is None else slots[ref.slot], ref.scale) for ref in values]


class _Builder:
    """Turns trees into steps."""

    def __init__(self, fields: SpecFields, constants: Mapping[str, float | str]) -> None:
        self._fields = fields
        self._constants = {**fields.architecture, **constants}
        free = [knob for knob in fields.knobs if knob not in constants]
        self.inputs = {knob: at for at, knob in enumerate(free)}
        self.steps: list[_Step] = []
        self._known: dict[int, _Ref] = {}  # by identity: a tree's hash is as long as the tree
        self._slots: dict[_Step, int] = {}

    def value(self, node: Node) -> _Ref:
        """Return the value of a tree, computed before if it can be."""
        if id(node) not in self._known:
            self._known[id(node)] = self._build(node)
        return self._known[id(node)]

    def _build(self, node: Node) -> _Ref:
        match node:
            case Constant(value):
                return _Ref(None, float(value))
            case Name(name):
                return self._name(name)
            case Category():
                return _Ref(None, float(evaluate_node(node, self._constants)))
            case Apply(operation, arguments):
                return self._apply(operation, [self.value(each) for each in arguments])

    def _name(self, name: str) -> _Ref:
        if name in self._fields.quantities:
            return self._quantity(name)
        if name in self.inputs:
            return _Ref(self.inputs[name], 1.0)
        value = self._constants.get(name)
        if value is None:
            raise HardwareError(f"the hardware has no {name!r}, which the spec needs")
        if isinstance(value, str):
            raise ExpressionError(f"{name!r} does not hold numbers")
        return _Ref(None, float(value))

    def _quantity(self, name: str) -> _Ref:
        """Compute a quantity after those that it needs, in order, so that nothing recurses deep."""
        tree = self._fields.quantities[name].tree
        if id(tree) not in self._known:
            needed = reachable([name], self._fields.quantity_names)
            for each, expression in self._fields.quantities.items():
                if each == name:
                    break
                if each in needed:
                    self.value(expression.tree)
        return self.value(tree)

    def _apply(self, operation: str, values: list[_Ref]) -> _Ref:
        if all(value.slot is None for value in values):
            return _Ref(None, float(OPERATIONS[operation](*(value.scale for value in values))))
        special: Mapping[str, Callable[..., _Ref]] = {
            "*": self._multiply,
            "/": self._divide,
            "+": self._add,
            "-": lambda one, other: self._add(one, _Ref(other.slot, -other.scale)),
            "negative": lambda one: _Ref(one.slot, -one.scale),
            "**": self._power,
        }
        if operation in special:
            return special[operation](*values)
        plain = [self._plain(value) for value in values]
        if operation == "where":
            return self._step(_where, *plain)
        if operation in _PAIRED:
            return reduce(lambda one, other: self._step(_PAIRED[operation], one, other), plain)
        return self._step(OPERATIONS[operation], *plain)

    def _multiply(self, one: _Ref, other: _Ref) -> _Ref:
        scale = one.scale * other.scale
        if one.slot is None or other.slot is None:
            return _Ref(other.slot if one.slot is None else one.slot, scale)
        product = self._step(np.multiply, *_sorted(one.slot, other.slot))
        return _Ref(product.slot, scale)

    def _divide(self, one: _Ref, other: _Ref) -> _Ref:
        scale = float(np.float64(one.scale) / other.scale)
        if other.slot is None:
            return _Ref(one.slot, scale)
        above = _Ref(one.slot, 1.0)  # the number 1 where it is the same in all rows
        ratio = self._step(np.divide, above, _Ref(other.slot, 1.0))
        return _Ref(ratio.slot, scale)

    def _add(self, one: _Ref, other: _Ref) -> _Ref:
        if one.slot is None:
            one, other = other, one
        if one.slot is not None and other.slot is not None and one.scale == other.scale:
            total = self._step(np.add, *_sorted(one.slot, other.slot))
            return _Ref(total.slot, one.scale)
        return self._step(np.add, self._plain(one), self._plain(other))

    def _power(self, base: _Ref, exponent: _Ref) -> _Ref:
        if exponent.slot is None and exponent.scale == 2.0:
            return self._step(np.square, self._plain(base))
        if base.slot is None and base.scale > 0.0:  # an exponential is a quarter of a power's time
            factor = exponent.scale * float(np.log(base.scale))
            return self._step(np.exp, self._plain(_Ref(exponent.slot, factor)))
        if base.slot is not None and exponent.slot is not None:
            return self._step(_power, self._plain(base), self._plain(exponent))
        return self._step(np.power, self._plain(base), self._plain(exponent))

    def _plain(self, value: _Ref) -> _Ref:
        """Return a value as it stands: a slot with nothing before it, or a number."""
        if value.slot is None or value.scale == 1.0:
            return value
        return self._step(np.multiply, _Ref(value.slot, 1.0), _Ref(None, value.scale))

    def _step(self, function: Callable[..., object], *arguments: _Ref) -> _Ref:
        step = _Step(function, arguments)
        if step not in self._slots:
            self._slots[step] = len(self.inputs) + len(self.steps)
            self.steps.append(step)
        return _Ref(self._slots[step], 1.0)


def _sorted(one: int, other: int) -> tuple[_Ref, _Ref]:
    """Return two slots in order: their sum and product are those in the other order."""
    return _Ref(min(one, other), 1.0), _Ref(max(one, other), 1.0)


def _power(base: Array, exponent: Array, *, out: Array) -> None:
    """Raise to a power, by logs where all bases have one; `out` is neither argument.

    Near underflow, `np.power` takes ten times as long.
    """
    if base.min() > 0.0 and base.max() < np.inf:
        np.log(base, out=out)
        out *= exponent
        np.exp(out, out=out)
    else:
        np.power(base, exponent, out=out)


def _where(
    condition: Array | float, one: Array | float, other: Array | float, *, out: Array
) -> None:
    """Choose, row by row."""
    chosen = np.asarray(condition, dtype=bool)
    np.copyto(out, np.where(chosen, one, other))


def _place(builder: _Builder, values: Sequence[Sequence[_Ref]], ends: Sequence[int]) -> list[int]:
    """Give each step's slot a register; one is free again after the slot's last use.

    So no operation writes over its own arguments.
    """
    first = len(builder.inputs)
    last = {first + at: at for at in range(len(builder.steps))}
    for at, step in enumerate(builder.steps):
        for argument in step.arguments:
            if argument.slot is not None:
                last[argument.slot] = at
    for part, end in zip(values, ends, strict=True):
        for ref in part:
            if ref.slot is not None:
                last[ref.slot] = max(last.get(ref.slot, 0), end)
    homes: list[int] = []
    free: list[int] = []
    held: list[tuple[int, int]] = []
    for at in range(len(builder.steps)):
        free += [home for until, home in held if until < at]
        held = [(until, home) for until, home in held if until >= at]
        home = free.pop() if free else len(held)
        homes.append(home)
        held.append((last[first + at], home))
    return homes
