from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bayeslat.errors import ExpressionError, SpecError
from bayeslat.features.expression_parser import compile_tree
from bayeslat.features.expressions import FUNCTIONS, MAX_DEPTH, MAX_LENGTH, Expression

ROWS = 4
VALUES: dict[str, Any] = {
    "x": np.array([0.5, 1.0, 2.0, 7.0]),
    "y": np.array([3, 1, 4, 1]),
    "z": np.array([-2.0, 0.0, np.inf, 1e300]),
    "n": 5,
}
TASKS: dict[str, Any] = {"task": np.array(["qa", "caption", None, "qa"], dtype=object)}

ATTACKS = [
    "__import__('os')",
    "__import__('os').system('true')",
    "().__class__",
    "().__class__.__bases__[0].__subclasses__()",
    "[].append",
    "[].append(1)",
    "log.__globals__",
    "log.__self__.__class__",
    "x.__class__",
    "x.tofile('/dev/null')",
    "(lambda: 1)()",
    "[i for i in x]",
    "(i for i in x)",
    "{'a': 1}",
    "{1, 2}",
    "x[0]",
    "x[:]",
    "f'{x}'",
    'f"{x.__class__}"',
    "b'x'",
    "(y := 1)",
    "log(*x)",
    "log(**x)",
    "log(x=1)",
    "eval('1')",
    "exec('1')",
    "open('f')",
    "compile('1', '', 'eval')",
    "getattr(x, 'real')",
    "globals()",
    "print(1)",
    "1 if x else 2",
    "await x",
    "(yield x)",
    "*x",
    "x, y",
    "(x, y)",
    "()",
    "...",
    "None",
    "True",
    "1j",
    "0x10",
    "x @ y",
    "x | y",
    "x & y",
    "x ^ y",
    "~x",
    "x << 2",
    "x >> 2",
    "+x",
    "x is y",
    "x is not y",
    "x in y",
    "x not in y",
    "x = 1",
    "x; y",
    "import os",
    "x # comment",
    "x\\\n+ y",
    "'text'",
    "'a' == 'b'",
    "x + 'a'",
    "log('a')",
    "task < 'qa'",
    "1 < x < 3",
    "x == 'a' == 'b'",
    "log",
    "log + 1",
    "log == 'a'",
    "log(log)",
    "2(x)",
    "x(2)",
    "log(1)(2)",
    "'a'()",
    "\x00",
    "x\x00",
    "'\x00' == x",
    "ｌｏｇ(1)",
    "é",
    "\ud800",
    "x == '\ud800'",
    "lambda",
    "class",
    "1__0",
    "007",
    "1if x else 2",
    "1 .real",
    "1..real",
    "1e999",
    "9" * 400,
    "9" * MAX_LENGTH,
    "x" * (MAX_LENGTH + 1),
    "",
    "  \n ",
    "(",
    ")",
    "x +",
    "log(",
    "log()",
    "log(1, 2)",
    "minimum(1)",
    "maximum(1, 2, 3)",
    "where(1, 2)",
    "abs(1, 2)",
]

# Events that Python reports when code runs, a module is imported or the system is touched. Events
# of Hypothesis itself fall outside the watched block.
_FORBIDDEN = ("exec", "import", "open", "os.", "subprocess.", "object.", "code.", "pickle.", "sys.")
_watched: list[str] | None = None


def _hook(event: str, _arguments: tuple[Any, ...]) -> None:
    if _watched is not None and event.startswith(_FORBIDDEN):
        _watched.append(event)


sys.addaudithook(_hook)


@contextmanager
def watch() -> Iterator[list[str]]:
    """Collect the events of running code inside the block."""
    global _watched  # (an audit hook can neither be removed nor take arguments)
    events: list[str] = []
    _watched = events
    try:
        yield events
    finally:
        _watched = None


def evaluate_or_refuse(text: str) -> None:
    """Parse and evaluate: a float array or an ExpressionError is fine, and running code is not."""
    with watch() as events, suppress(ExpressionError):
        assert Expression(text).evaluate({**VALUES, **TASKS}).dtype == np.float64
    assert events == []


def test_the_watch_sees_code_that_runs() -> None:
    with watch() as events:
        eval("1 + 1")  # noqa: S307
        Path(__file__).read_bytes()
    assert "exec" in events
    assert "open" in events


@pytest.mark.parametrize("text", ATTACKS)
def test_an_attack_is_refused_and_runs_nothing(text: str) -> None:
    with watch() as events, pytest.raises(ExpressionError, match="expression"):
        Expression(text)
    assert events == []


@pytest.mark.parametrize(
    "text",
    [
        "x.__class__",
        "x[0]",
        "lambda: 1",
        "[i for i in x]",
        "(i for i in x)",
        "f'{x}'",
        "(y := 1)",
        "log(*x)",
        "log(x=1)",
        "log(**x)",
        "x.log(1)",
        "{'a': 1}",
        "[x]",
        "x | y",
        "1j",
        "...",
        "b'a'",
        "x if y else z",
    ],
)
def test_the_second_wall_stands_without_the_first(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_tree(ast.parse(text, mode="eval").body, text)


TOKENS = [
    *"+-*/%(),<>.:[]{}=!@\\'\"#;~|&^ \n\t",
    *("**", "//", "<=", "==", "!=", "and", "or", "not", "if", "else", "lambda", "in", "is", ":="),
    *("x", "y", "n", "task", "log", "where", "minimum", "1", "2.5", "1e3", "'qa'", "__class__"),
]


@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.sampled_from(TOKENS), max_size=25).map("".join),
        st.lists(st.sampled_from(TOKENS), max_size=25).map(" ".join),
        st.tuples(st.sampled_from(ATTACKS), st.text(max_size=8)).map("".join),
    )
)
@example("2**2**2**2**2**2**2**2")
def test_no_text_ever_runs_code(text: str) -> None:
    evaluate_or_refuse(text)


@given(
    st.sampled_from([*TOKENS, "(x", "-(", "x+", "x**", "log(", "not ", "1<", "x or "]),
    st.integers(0, MAX_LENGTH),
    st.sampled_from(["", "x", "1"]),
)
@example("-", 1999, "1")
@example("(", 1999, "")
@example("x**", 600, "x")
@example("not ", 400, "x")
@example("-", 1000, "1 < 2 < 3")
@example("(", 80, "1")
def test_no_depth_exhausts_the_stack(part: str, times: int, end: str) -> None:
    text = part * times + end + ")" * (times * part.count("("))
    evaluate_or_refuse(text)


def test_depth_up_to_the_limit_is_fine() -> None:
    text = "-" * MAX_DEPTH + "x"
    np.testing.assert_array_equal(Expression(text).evaluate(VALUES), VALUES["x"])
    with pytest.raises(ExpressionError, match=f"more than {MAX_DEPTH} levels"):
        Expression("-" + text)


def test_many_alternatives_are_not_deep() -> None:
    text = " or ".join(f"x == {i}" for i in range(150))
    assert Expression(text).evaluate({"x": [3.0, 200.0]}).tolist() == [1.0, 0.0]


# Expressions with their value computed beside them, by NumPy alone.
type Pair = tuple[str, np.ndarray]


def _binary(sign: str, function: Callable[..., Any]) -> Callable[[Pair, Pair], Pair]:
    def build(left: Pair, right: Pair) -> Pair:
        value = np.asarray(function(left[1], right[1]), dtype=np.float64)
        return f"({left[0]} {sign} {right[0]})", value

    return build


def _call(name: str, function: Callable[..., Any]) -> Callable[..., Pair]:
    def build(*arguments: Pair) -> Pair:
        value = np.asarray(function(*(each[1] for each in arguments)), dtype=np.float64)
        return f"{name}({', '.join(each[0] for each in arguments)})", value

    return build


BINARY = [
    _binary("+", np.add),
    _binary("-", np.subtract),
    _binary("*", np.multiply),
    _binary("/", np.divide),
    _binary("**", np.power),
    _binary("//", np.floor_divide),
    _binary("%", np.remainder),
    _binary("<", np.less),
    _binary("<=", np.less_equal),
    _binary(">", np.greater),
    _binary(">=", np.greater_equal),
    _binary("==", np.equal),
    _binary("!=", np.not_equal),
    _binary("and", np.logical_and),
    _binary("or", np.logical_or),
    _call("minimum", np.minimum),
    _call("maximum", np.maximum),
]
UNARY = [
    _call("-", np.negative),
    _call("not ", np.logical_not),
    _call("log", np.log),
    _call("exp", np.exp),
    _call("sqrt", np.sqrt),
    _call("abs", np.abs),
    _call("ceil", np.ceil),
    _call("floor", np.floor),
]


def _deeper(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    def apply(drawn: tuple[Any, ...]) -> Pair:
        function, *arguments = drawn
        with np.errstate(all="ignore"):
            text, value = function(*arguments)
        return f"({text})", value

    return st.one_of(
        st.tuples(st.sampled_from(BINARY), inner, inner).map(apply),
        st.tuples(st.sampled_from(UNARY), inner).map(apply),
        st.tuples(st.just(_call("where", np.where)), inner, inner, inner).map(apply),
    )


LEAVES: st.SearchStrategy[Pair] = st.one_of(
    st.sampled_from(
        [(name, np.asarray(value, dtype=np.float64)) for name, value in VALUES.items()]
    ),
    st.floats(0, 1e6).map(lambda value: (repr(value), np.float64(value))),
    st.integers(0, 10**20).map(lambda value: (str(value), np.float64(value))),
)


@given(st.recursive(LEAVES, _deeper, max_leaves=12))
def test_a_valid_expression_equals_numpy(pair: Pair) -> None:
    text, expected = pair
    result = Expression(text).evaluate(VALUES)
    np.testing.assert_array_equal(result, expected, strict=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-n ** 2", -25.0),
        ("2 ** 3 ** 2", 512.0),
        ("2 ** -1", 0.5),
        ("10 - 4 - 3", 3.0),
        ("8 / 4 * 2", 4.0),
        ("2 + 3 * 4", 14.0),
        ("-7 // 2", -4.0),
        ("-7 % 3", 2.0),
        ("not n < 3", 1.0),
        ("1 or 0 and 0", 1.0),
        ("not 0 and 0", 0.0),
        ("(n > 3) + (n > 4)", 2.0),
        ("(n > 3) - (n > 9)", 1.0),
        ("1_000 + .5 + 2.", 1002.5),
        ("1E-3", 0.001),
        ("1\n+ 2\t* 3", 7.0),
        ("where(n > 3, 10, 20)", 10.0),
        ("2 ** 5000", np.inf),
        ("1 / 0", np.inf),
        ("(0 - 8) ** (1 / 3)", np.nan),
    ],
)
def test_precedence_and_floats(text: str, expected: float) -> None:
    result = Expression(text).evaluate(VALUES)
    assert result.shape == ()
    np.testing.assert_array_equal(result, expected)


def test_a_category_is_compared_item_by_item() -> None:
    assert Expression('task == "qa"').evaluate(TASKS).tolist() == [1.0, 0.0, 0.0, 1.0]
    assert Expression("'qa' != task").evaluate(TASKS).tolist() == [0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    "task",
    [
        ["qa", "caption"],
        np.array(["qa", "caption"]),
        pd.Series(["qa", "caption"], dtype="category"),
        pd.Series(["qa", pd.NA], dtype="string"),
        np.array(["qa", "x"], dtype=np.dtypes.StringDType()),
    ],
    ids=["list", "fixed width", "categorical", "missing", "variable width"],
)
def test_a_category_may_be_any_kind_of_text(task: Any) -> None:
    assert Expression("task == 'qa'").evaluate({"task": task}).tolist() == [1.0, 0.0]


def test_a_missing_category_equals_nothing() -> None:
    result = Expression('task == "qa"').evaluate({"task": np.array([np.nan, np.nan])})
    assert result.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "values", "fragment"),
    [
        ("task + 1", TASKS, "'task' does not hold numbers"),
        ("task + 1", {"task": np.array(["1", "2"])}, "'task' does not hold numbers"),
        ("x + 1", {"x": np.array(["2026-01-01"], dtype="datetime64[D]")}, "does not hold numbers"),
        ("x + 1", {"x": np.array([1j])}, "does not hold numbers"),
        ("x + 1", {"x": np.array([object()])}, "does not hold numbers"),
        ("x == 'a'", VALUES, "compared with the text 'a' and holds numbers"),
        ("xx + 1", VALUES, r"unknown name 'xx' \(did you mean 'x'\?\); known names: n, x, y, z"),
        ("q", {}, "unknown name 'q'"),
        ("x + y", {"x": [1, 2], "y": [1, 2, 3]}, "same length"),
    ],
)
def test_bad_values_are_named(text: str, values: dict[str, Any], fragment: str) -> None:
    with pytest.raises(ExpressionError, match=fragment):
        Expression(text).evaluate(values)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("lgo(x)", "no function 'lgo' .did you mean 'log'..; the functions are log, exp"),
        ("log(x, 2)", "log takes 1 argument and was given 2"),
        ("minimum(x)", "minimum takes 2 arguments and was given 1"),
        ("log", r"'log' is a function; call it, as in log\(\.\.\.\)"),
        ("x.y", "cannot read '.y' at character 2"),
        ("1 < x < 2", "write a < b and b < c"),
        ("x if y else n", r"write where\(b, a, c\)"),
        ("True", "write 1 for true"),
        ("x + 'a'", "the text 'a' may only be compared with a name"),
        ("x is 1", "'is' is not allowed; write =="),
        ("x +", "near"),
    ],
)
def test_a_message_names_expression_part_and_cure(text: str, fragment: str) -> None:
    with pytest.raises(ExpressionError, match=fragment) as caught:
        Expression(text)
    assert repr(text) in str(caught.value)


def test_a_long_expression_is_shortened_in_its_message() -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression("x" * (MAX_LENGTH + 1))
    assert f"{MAX_LENGTH + 1} characters" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_names_are_told_apart_from_categories_and_functions() -> None:
    expression = Expression('where(task == "qa", log(x), y) + minimum(x, 2)')
    assert expression.names == {"task", "x", "y"}
    assert expression.categories == {"task"}
    assert expression.numeric_names == {"x", "y"}


def test_only_names_used_are_looked_up() -> None:
    class Lazy(dict[str, float]):
        def __missing__(self, name: str) -> float:
            looked_up.append(name)
            return 2.0

    looked_up: list[str] = []
    assert Expression("a * b + a").evaluate(Lazy()) == 6.0
    assert set(looked_up) == {"a", "b"}


def test_values_are_neither_changed_nor_shared() -> None:
    values = {"x": np.array([1.0, 2.0])}
    result = Expression("x").evaluate(values)
    result[:] = 0.0
    assert values["x"].tolist() == [1.0, 2.0]


def test_spelling_with_other_blanks_is_canonically_the_same() -> None:
    assert Expression(" 2*x\n+1 ").canonical == Expression("2 * x + 1").canonical == "2 * x + 1"
    assert Expression("x == 'a  b'").canonical == "x == 'a  b'"


def test_an_expression_is_frozen_and_an_error_is_a_spec_error() -> None:
    expression = Expression("x")
    with pytest.raises(AttributeError):
        expression.text = "y"  # type: ignore[misc]
    assert expression == Expression("x")
    assert hash(expression) == hash(Expression("x"))
    assert issubclass(ExpressionError, SpecError)


@pytest.mark.parametrize("value", [None, 3, b"x", ["x"]])
def test_what_is_not_text_is_refused(value: Any) -> None:
    with pytest.raises(ExpressionError, match="must be a text"):
        Expression(value)


def test_the_functions_are_those_of_the_language() -> None:
    assert dict(FUNCTIONS) == {
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
