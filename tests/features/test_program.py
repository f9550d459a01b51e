"""Programs against the evaluation of each expression by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bayeslat.errors import HardwareError
from bayeslat.features.expressions import Expression
from bayeslat.features.hardware import load_hardware
from bayeslat.features.program import Program, Registers, Value
from bayeslat.features.spec import Spec, load_spec

MODELS = sorted((Path(__file__).parents[2] / "models").glob("*.toml"))
ROWS = 50


def value_of(value: Value) -> np.ndarray:
    array, scale = value
    return np.full(ROWS, scale) if array is None else scale * array


def knobs_of(spec: Spec, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {knob: np.exp(rng.uniform(0, 6, ROWS)).round() for knob in spec.knobs}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
@pytest.mark.parametrize("gpu", ["h100_sxm", "l40s"])
def test_every_shipped_expression_has_the_value_of_its_own_evaluation(path: Path, gpu: str) -> None:
    """Part by part, with registers that are used again and again."""
    spec, fields = load_spec(path), load_hardware().resolve(gpu).fields()
    parts = []
    for stage in spec.stages.values():
        features = stage.residual.features if stage.residual else ()
        terms = [term.expression for term in stage.physics.values()]
        parts.append([*terms, *features, stage.times])
    constants: dict[str, float | str] = {**fields, "task": "qa"}
    program = Program(spec, parts, constants, Registers(ROWS))
    for seed in (1, 2):
        columns = knobs_of(spec, seed)
        names = spec.namespace({**columns, "task": np.full(ROWS, "qa", object)}, fields)
        for part, values in zip(parts, program.run(columns, ROWS), strict=True):
            for expression, value in zip(part, values, strict=True):
                expected = names.evaluate(expression)
                np.testing.assert_allclose(
                    value_of(value), expected, rtol=1e-12, err_msg=expression.text
                )


TEXTS = (
    "1", "a", "-a", "a + 1", "1 - a", "a - b", "a + a", "2 * a + 2 * b", "2 * a - 3 * b",
    "a * b / c", "1 / a", "6 / (2 * a)", "a / 2", "a ** 2", "2 ** a", "0.5 ** (3 * a)", "a ** b",
    "(a - 2) ** b", "(a / 9) ** (9 * b)",
    "(0 - 2) ** a", "a // 3", "a % 3", "log(3 * a)", "exp(-a / 9)", "sqrt(a)", "abs(1 - a)",
    "minimum(a, 2 * b)", "maximum(3, a)", "where(a > b, 2 * a, 5)", "where(2 * a < b, a, -b)",
    "a > 1 and b > 2 and c > 3", "a > 9 or b > 9", "not a > 3", "a == 1", "a != b",
    'where(task == "qa", a, b)', 'where(task != "qa", a, b)', "0 * a", "a + 0 * b", "a - a",
    "q", "r * a", "width * a + width", "a + b + c + q * r",
)  # fmt: skip


def small_spec() -> Spec:
    return Spec.from_text(
        """
name = "p"
knobs = ["a", "b", "c"]
[architecture]
width = 7
[quantities]
q = "2 * a * width"
r = "q + log(b)"
[stages.s.physics]
work = "1"
"""
    )


@pytest.mark.parametrize("text", TEXTS)
def test_every_operation_has_its_value(text: str) -> None:
    spec, columns = small_spec(), knobs_of(small_spec(), 3)
    columns = {name: 1 + np.arange(ROWS) % (5 + at) for at, (name) in enumerate(columns)}
    columns = {name: column.astype(float) for name, column in columns.items()}
    program = Program(spec, [[Expression(text)]], {"task": "qa"}, Registers(ROWS))
    expected = spec.evaluate(text, {**columns, "task": np.full(ROWS, "qa", object)}, {})
    found = value_of(next(program.run(columns, ROWS))[0])
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    # The broken twin: rows in another order have other values, but for constants.
    if len(np.unique(expected)) > 1:
        turned = {name: column[::-1].copy() for name, column in columns.items()}
        other = value_of(next(program.run(turned, ROWS))[0])
        assert not np.allclose(other, expected)


def test_shared_parts_and_factors_are_computed_once() -> None:
    spec = small_spec()
    parts = [[Expression("3 * a * b / 4"), Expression("b * a * 5")], [Expression("log(a * b)")]]
    program = Program(spec, parts, {}, Registers(ROWS))
    assert len(program._steps) == 2  # a * b and its log


def test_fewer_rows_than_registers_hold() -> None:
    program = Program(small_spec(), [[Expression("log(a) + b")]], {"c": 2.0}, Registers(ROWS))
    array, scale = next(program.run({"a": np.ones(3), "b": np.arange(3.0)}, 3))[0]
    assert array is not None
    np.testing.assert_array_equal(scale * array, [0, 1, 2])


def test_a_name_without_a_value_is_told() -> None:
    with pytest.raises(HardwareError, match="no 'bf16_tflops'"):
        Program(small_spec(), [[Expression("a / bf16_tflops")]], {}, Registers(ROWS))


def test_a_chain_of_quantities_is_no_depth() -> None:
    chain = "\n".join(f'q{n} = "q{n - 1} + 1"' for n in range(1, 3000))
    text = f'name="p"\nknobs=["a"]\n[quantities]\nq0 = "a"\n{chain}\n[stages.s.physics]\nw="q2999"'
    spec = Spec.from_text(text)
    program = Program(spec, [[Expression("q2999")]], {}, Registers(1))
    assert value_of_one(program) == 3000.0


def value_of_one(program: Program) -> float:
    array, scale = next(program.run({"a": np.ones(1)}, 1))[0]
    return float(scale * (1.0 if array is None else array[0]))
