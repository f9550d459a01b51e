"""The expressions of a spec as one list of steps, for one GPU: each part is computed once.

Constants (architecture, data sheet) are folded, and factors and offsets travel outwards, so that
`2 * tokens * hidden / peak` costs nothing beyond `tokens`. Where a value decides about a step, as
in comparisons and `ceil`, it is computed in the order in which the spec has it, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bayeslat.errors import SpecError
from bayeslat.features.expression_nodes import Apply, Category, Constant, Name, Node, evaluate_node
from bayeslat.features.expressions import Expression
from bayeslat.features.gpu import Gpu
from bayeslat.features.spec import Spec

__all__ = ["Graph", "Step", "Value"]

type Step = tuple[str | float | bool, ...]
"""An operation, then the positions of its arguments, then its constants."""

_EXACT = frozenset({"==", "!=", "<", "<=", ">", ">=", "//", "%", "ceil", "floor"})
_WORDS = {
    "**": "power",
    "//": "floor_divide",
    "%": "remainder",
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}


@dataclass(frozen=True)
class Value:
    """offset + factor x a step's result.

    Attributes
    ----------
    offset, factor : float
    step : int or None
        Its position; None for a constant, whose factor is 0.
    """

    offset: float
    factor: float = 0.0
    step: int | None = None

    def scaled(self, by: float) -> Value:
        """Return it times a number."""
        return Value(self.offset * by, self.factor * by, self.step)

    def plus(self, offset: float) -> Value:
        """Return it plus a number."""
        return Value(self.offset + offset, self.factor, self.step)

    @property
    def record(self) -> tuple[float, float, int]:
        """What a file holds of it; step 0 with the factor 0 for a constant."""
        return (self.offset, self.factor, self.step or 0)


@dataclass
class Graph:
    """Steps under construction. Those of the knobs come first, then that of `task`.

    Attributes
    ----------
    spec : Spec
    gpu : Gpu
    steps : list of Step
        After the knobs and `task`: the position of the first is their number.
    """

    spec: Spec
    gpu: Gpu
    steps: list[Step] = field(default_factory=list)
    _known: dict[Step, int] = field(default_factory=dict)
    _quantities: dict[str, Value] = field(default_factory=dict)
    _exact_quantities: dict[str, int] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """Number of values that are given: the knobs, and `task`."""
        return len(self.spec.knobs) + 1

    def value(self, expression: Expression) -> Value:
        """Add an expression.

        Raises
        ------
        SpecError
            If it has a constant part that is no finite number on this GPU.
        """
        return self._value(expression.tree)

    def used(self, values: Iterable[Value]) -> tuple[list[Step], Mapping[int, int]]:
        """Return the steps that some values need, and the position of each among them."""
        needed = {each.step for each in values if each.step is not None}
        for at in range(len(self.steps) - 1, -1, -1):
            if at + self.inputs in needed:
                needed |= set(_arguments(self.steps[at]))
        kept = [at for at in range(len(self.steps)) if at + self.inputs in needed]
        places = {at: at for at in range(self.inputs)}
        places |= {at + self.inputs: new + self.inputs for new, at in enumerate(kept)}
        return [_moved(self.steps[at], places) for at in kept], places

    def _value(self, node: Node) -> Value:
        match node:
            case Constant(value):
                return Value(value)
            case Category(_, text, equal):
                return self._step("task_is", text, equal)
            case Name(name):
                return self._named(name)
            case Apply(operation, arguments):
                if operation in _EXACT:
                    return self._apply_exact(operation, arguments)
                values = [self._value(each) for each in arguments]
                if all(each.step is None for each in values):
                    return Value(_folded(operation, [each.offset for each in values]))
                return self._apply(operation, values)

    def _named(self, name: str) -> Value:
        if name in self.spec.quantities:
            if name not in self._quantities:
                self._quantities[name] = self._value(self.spec.quantities[name].tree)
            return self._quantities[name]
        return self._given(name)

    def _given(self, name: str) -> Value:
        """Return a knob, a constant of the architecture, or a field of the data sheet."""
        if name in self.spec.knobs:
            return Value(0.0, 1.0, self.spec.knobs.index(name))
        if name in self.spec.architecture:
            return Value(float(self.spec.architecture[name]))
        return Value(self.gpu.fields()[name])

    def _apply(self, operation: str, values: list[Value]) -> Value:
        match operation, values:
            case "+", [one, other]:
                return self._sum(one, other)
            case "-", [one, other]:
                return self._sum(one, other.scaled(-1.0))
            case "negative", [one]:
                return one.scaled(-1.0)
            case "*", [one, other]:
                return self._product(one, other)
            case "/", [one, other]:
                return self._ratio(one, other)
            case "log", [one] if one.offset == 0 and one.factor > 0:
                step = self._step("log", one.step)
                return step.plus(math.log(one.factor))
        return self._step(_WORDS.get(operation, operation), *map(self._place, values))

    def _sum(self, one: Value, other: Value) -> Value:
        if one.step is None:
            return other.plus(one.offset)
        if other.step is None:
            return one.plus(other.offset)
        offset = one.offset + other.offset
        if one.step == other.step:
            factor = one.factor + other.factor
            return Value(offset, factor, one.step) if factor else Value(offset)
        step = self._step("add", one.step, other.step, other.factor / one.factor)
        return Value(offset, one.factor, step.step)

    def _product(self, one: Value, other: Value) -> Value:
        if one.step is None:
            return other.scaled(one.offset) if one.offset else Value(0.0)
        if other.step is None:
            return one.scaled(other.offset) if other.offset else Value(0.0)
        places = sorted([self._without_factor(one), self._without_factor(other)])
        return self._step("multiply", *places).scaled(one.factor * other.factor)

    def _ratio(self, one: Value, other: Value) -> Value:
        if other.step is None:
            return one.scaled(_folded("/", [1.0, other.offset]))
        if one.step is None:
            over = self._step("divide", self._constant(1.0), self._without_factor(other))
            return over.scaled(one.offset / other.factor)
        step = self._step("divide", self._without_factor(one), self._without_factor(other))
        return step.scaled(one.factor / other.factor)

    def _without_factor(self, value: Value) -> int:
        """Position of value / factor."""
        assert value.step is not None
        if value.offset == 0:
            return value.step
        return self._at("shift", value.step, value.offset / value.factor)

    def _place(self, value: Value) -> int:
        """Position of a value as it is."""
        if value.step is None:
            return self._constant(value.offset)
        at = value.step
        if value.factor != 1:
            at = self._at("scale", at, value.factor)
        return self._at("shift", at, value.offset) if value.offset else at

    def _constant(self, value: float) -> int:
        return self._at("constant", value)

    def _apply_exact(self, operation: str, arguments: tuple[Node, ...]) -> Value:
        values = [self._value(each) for each in arguments]
        if all(each.step is None for each in values):
            return Value(_folded(operation, [each.offset for each in values]))
        return self._step(_WORDS.get(operation, operation), *map(self._exact, arguments))

    def _exact(self, node: Node) -> int:
        """Position of a value, computed in the order of the spec."""
        match node:
            case Name(name) if name in self.spec.quantities:
                if name not in self._exact_quantities:
                    tree = self.spec.quantities[name].tree
                    self._exact_quantities[name] = self._exact(tree)
                return self._exact_quantities[name]
            case Apply(operation, arguments):
                value = self._value(node)
                if value.step is None:
                    return self._constant(value.offset)
                return self._exact_step(operation, [self._exact(each) for each in arguments])
            case _:
                return self._place(self._value(node))

    def _exact_step(self, operation: str, places: list[int]) -> int:
        match operation:
            case "+":
                return self._at("add", *places, 1.0)
            case "-":
                return self._at("add", *places, -1.0)
            case "negative":
                return self._at("scale", *places, -1.0)
            case "*":
                return self._at("multiply", *sorted(places))
            case "/":
                return self._at("divide", *places)
        return self._at(_WORDS.get(operation, operation), *places)

    def _step(self, *step: str | float | bool | None) -> Value:
        return Value(0.0, 1.0, self._at(*step))

    def _at(self, *step: str | float | bool | None) -> int:
        """Position of a step, which is added if it is new."""
        whole: Step = tuple(each for each in step if each is not None)
        if whole not in self._known:
            self._known[whole] = len(self.steps) + self.inputs
            self.steps.append(whole)
        return self._known[whole]


def _folded(operation: str, values: list[float]) -> float:
    """Compute an operation on constants as the spec's own evaluator does."""
    result = float(evaluate_node(Apply(operation, tuple(map(Constant, values))), {}))
    if not math.isfinite(result):
        raise SpecError(
            f"{operation!r} of the constants {', '.join(f'{each:g}' for each in values)} is "
            f"{result}; correct the spec's expression or the GPU's data sheet"
        )
    return result


def _arguments(step: Step) -> tuple[int, ...]:
    """Positions that a step reads."""
    return tuple(int(each) for each in step[1 : 1 + _arity(step)])


def _moved(step: Step, places: Mapping[int, int]) -> Step:
    """Return a step that reads from other positions."""
    end = 1 + _arity(step)
    return (step[0], *(places[each] for each in _arguments(step)), *step[end:])


def _arity(step: Step) -> int:
    """How many positions a step reads; constants follow them."""
    name = str(step[0])
    if name in ("constant", "task_is"):
        return 0
    return len(step) - 1 - (name in ("scale", "shift", "add"))
