from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bayeslat.errors import ExpressionError, SpecError
from bayeslat.features.expressions import Expression
from bayeslat.features.spec import Residual, Spec, Stage, Term, load_spec
from bayeslat.features.terms import DEFAULT_PRIORS, TermKind

TEXT = """
name = "tiny"
description = "two stages"
knobs = ["batch_size", "prompt_tokens", "output_tokens"]

[architecture]
hidden = 64
gated = true

[quantities]
tokens = "batch_size * prompt_tokens"
peak = "bf16_tflops * 1e9"
weights = "hidden * hidden"

[stages.prefill]
times = 1
[stages.prefill.physics]
compute = "2 * tokens * weights / peak"
memory = "2 * weights / (mem_bw_GBps * 1e6)"
hot = "weights / l2_MB"
launch = 0.01
sequences = { ms = "0.01 * batch_size", kind = "per_sequence" }
[stages.prefill.residual]
features = ["log(tokens)", "log(batch_size)"]
degree = 2

[stages.decode]
column = "t_step_ms"
times = "output_tokens"
physics.launch = 'where(task == "qa", 0.01, 0.02)'

[priors.launch]
slowdown = 2
"""
HARDWARE = {"bf16_tflops": 1.0, "mem_bw_GBps": 2.0, "l2_MB": 50.0}
COLUMNS = {
    "batch_size": np.array([1, 2, 4]),
    "prompt_tokens": np.array([10.0, 20.0, 30.0]),
    "output_tokens": np.array([5, 5, 5]),
    "task": np.array(["qa", "caption", "qa"]),
}


def spec_with(old: str, new: str) -> str:
    """Return the text of the good spec with one part changed."""
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


@pytest.fixture
def spec() -> Spec:
    return Spec.from_text(TEXT)


def test_a_spec_is_read_whole(spec: Spec) -> None:
    assert spec.name == "tiny"
    assert spec.description == "two stages"
    assert spec.knobs == ("batch_size", "prompt_tokens", "output_tokens")
    assert dict(spec.architecture) == {"hidden": 64.0, "gated": 1.0}
    assert list(spec.quantities) == ["tokens", "peak", "weights"]
    assert spec.quantities["tokens"] == Expression("batch_size * prompt_tokens")
    assert list(spec.stages) == ["prefill", "decode"]
    prefill, decode = spec.stages["prefill"], spec.stages["decode"]
    assert prefill.column == "t_prefill_ms"
    assert prefill.times == Expression("1")
    assert decode.column == "t_step_ms"
    assert decode.residual is None
    assert prefill.residual == Residual(features=("log(tokens)", "log(batch_size)"), degree=2)
    assert prefill.physics["launch"] == Term(name="launch", expression="0.01", kind="launch")
    assert spec.text == TEXT
    assert spec.uses_task


def test_kinds_are_inferred_through_quantities(spec: Spec) -> None:
    kinds = {name: term.kind for name, term in spec.stages["prefill"].physics.items()}
    assert kinds == {
        "compute": TermKind.flops,
        "memory": TermKind.bytes,
        "hot": TermKind.cache,
        "launch": TermKind.launch,
        "sequences": TermKind.per_sequence,
    }


def test_priors_lie_over_the_defaults(spec: Spec) -> None:
    assert spec.priors[TermKind.launch].slowdown == 2.0
    assert spec.priors[TermKind.launch].offset_scale == (
        DEFAULT_PRIORS[TermKind.launch].offset_scale
    )
    assert spec.priors[TermKind.bytes] == DEFAULT_PRIORS[TermKind.bytes]


def test_dependencies_pass_through_quantities(spec: Spec) -> None:
    assert spec.dependencies(spec.stages["prefill"].physics["compute"].expression) == {
        "tokens",
        "weights",
        "peak",
        "batch_size",
        "prompt_tokens",
        "hidden",
        "bf16_tflops",
    }


def test_expressions_are_evaluated_for_every_row(spec: Spec) -> None:
    physics = spec.stages["prefill"].physics
    compute = spec.evaluate(physics["compute"].expression, COLUMNS, HARDWARE)
    np.testing.assert_allclose(compute, 2 * np.array([10.0, 40.0, 120.0]) * 64**2 / 1e9)
    launch = spec.evaluate(physics["launch"].expression, COLUMNS, HARDWARE)
    assert launch.tolist() == [0.01, 0.01, 0.01]
    task = spec.evaluate('where(task == "qa", 1, 2)', COLUMNS, {})
    assert task.tolist() == [1.0, 2.0, 1.0]


def test_evaluating_an_unknown_name_lists_the_known_ones(spec: Spec) -> None:
    with pytest.raises(ExpressionError, match=r"unknown name 'token' .did you mean 'tokens'"):
        spec.evaluate("token", COLUMNS, HARDWARE)


def test_values_are_frozen(spec: Spec) -> None:
    with pytest.raises(ValidationError):
        spec.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        spec.stages["new"] = spec.stages["decode"]  # type: ignore[index]
    with pytest.raises(TypeError):
        spec.architecture["hidden"] = 1.0  # type: ignore[index]
    assert spec in {spec}


def test_a_spec_built_in_python_keeps_the_same_rules(spec: Spec) -> None:
    stage = Stage(
        name="only",
        column="t_only_ms",
        physics={"a": Term(name="a", expression="nope", kind=TermKind.launch)},
    )
    with pytest.raises(SpecError, match=r"stages\.only\.physics\.a: unknown name 'nope'"):
        Spec(name="x", knobs=("k",), stages={"only": stage})


# Each text breaks one rule; the message has exactly one problem, at that place.
MALFORMED: dict[str, tuple[str, str, str]] = {
    "no name": (spec_with('name = "tiny"\n', ""), "name:", 'add name = "..."'),
    "empty name": (spec_with('name = "tiny"', 'name = " "'), "name:", "is missing or empty"),
    "name of wrong type": (spec_with('name = "tiny"', "name = 3"), "name:", "must be a string"),
    "unknown key": (spec_with("description", "descripton"), "descripton:", "did you mean"),
    "unknown table": (spec_with("[priors.launch]", "[prior.launch]"), "prior:", "unknown key"),
    "unknown stage key": (
        spec_with('column = "t_step_ms"', 'colum = "t_step_ms"'),
        "stages.decode.colum:",
        "the keys here are column, times, physics, residual",
    ),
    "unknown term key": (
        spec_with('kind = "per_sequence" }', 'knd = "per_sequence" }'),
        "stages.prefill.physics.sequences.knd:",
        "the keys here are ms, kind",
    ),
    "unknown residual key": (
        spec_with("degree = 2", "degree = 2\ndegre = 3"),
        "stages.prefill.residual.degre:",
        "the keys here are features, degree",
    ),
    "knobs not a list": (
        spec_with('knobs = ["batch_size", "prompt_tokens", "output_tokens"]', 'knobs = "a"'),
        "knobs:",
        "must be a list",
    ),
    "knob not a text": (
        spec_with('"prompt_tokens", "output_tokens"]', '"prompt_tokens", "output_tokens", 3]'),
        "knobs[3]:",
        "must be a string; it is 3",
    ),
    "knob twice": (
        spec_with('"output_tokens"]', '"output_tokens", "batch_size"]'),
        "knobs[3]:",
        "'batch_size' is already a knob",
    ),
    "knob not a plain name": (
        spec_with('"output_tokens"]', '"output_tokens", "a b"]'),
        "knobs[3]:",
        "rename it",
    ),
    "knob is a word of Python": (
        spec_with('"output_tokens"]', '"output_tokens", "lambda"]'),
        "knobs[3]:",
        "no word of Python",
    ),
    "knob is a function": (
        spec_with('"output_tokens"]', '"output_tokens", "log"]'),
        "knobs[3]:",
        "'log' is already a function",
    ),
    "knob is a hardware field": (
        spec_with('"output_tokens"]', '"output_tokens", "l2_MB"]'),
        "knobs[3]:",
        "'l2_MB' is already a field of the hardware table",
    ),
    "knob is a trace column": (
        spec_with('"output_tokens"]', '"output_tokens", "gpu"]'),
        "knobs[3]:",
        "'gpu' is already a column of the trace table",
    ),
    "knob is what became of a measurement": (
        spec_with('"output_tokens"]', '"output_tokens", "outcome"]'),
        "knobs[3]:",
        "'outcome' is already a column of the trace table",
    ),
    "constant is a knob": (
        spec_with("gated = true", "batch_size = 1"),
        "architecture.batch_size:",
        "is already a knob",
    ),
    "constant is a text": (
        spec_with("gated = true", 'gated = "yes"'),
        "architecture.gated:",
        "must be a finite number; it is 'yes'",
    ),
    "constant is infinite": (
        spec_with("gated = true", "gated = inf"),
        "architecture.gated:",
        "must be a finite number; it is inf",
    ),
    "constant is too large": (
        spec_with("gated = true", "gated = 1" + "0" * 400),
        "architecture.gated:",
        "must be a finite number",
    ),
    "file without a folder": (
        spec_with("gated = true", 'file = "config.json"'),
        "architecture.file:",
        "the spec has no folder",
    ),
    "file of wrong type": (
        spec_with("gated = true", "file = 3"),
        "architecture.file:",
        "must be the path",
    ),
    "file with a null byte": (
        spec_with("gated = true", 'file = "a\\u0000b"'),
        "architecture.file:",
        "must be the path",
    ),
    "quantity is a constant": (
        spec_with('weights = "hidden * hidden"', 'weights = "2"\nhidden = "3"'),
        "quantities.hidden:",
        "is already an architecture constant",
    ),
    "quantity names itself": (
        spec_with('weights = "hidden * hidden"', 'weights = "weights + 1"'),
        "quantities.weights:",
        "names itself",
    ),
    "quantity too early": (
        spec_with('tokens = "batch', 'tokens = "0 * weights + batch'),
        "quantities.tokens:",
        "move 'weights' above 'tokens'",
    ),
    "circle of quantities": (
        spec_with('peak = "bf16_tflops', 'loop = "knot"\nknot = "loop"\npeak = "bf16_tflops'),
        "quantities.loop:",
        "break the circle",
    ),
    "quantity names an unknown": (
        spec_with('weights = "hidden * hidden"', 'weights = "hiden * hidden"'),
        "quantities.weights:",
        "unknown name 'hiden' (did you mean 'hidden'?)",
    ),
    "quantity does not parse": (
        spec_with('weights = "hidden * hidden"', 'weights = "hidden *"'),
        "quantities.weights:",
        "expression 'hidden *'",
    ),
    "quantity of wrong type": (
        spec_with('weights = "hidden * hidden"', "weights = []"),
        "quantities.weights:",
        "must be a string; it is []",
    ),
    "code in a term": (
        spec_with('"weights / l2_MB"', "\"__import__('os').getpid()\""),
        "stages.prefill.physics.hot:",
        "cannot read",
    ),
    "term names an unknown": (
        spec_with('"weights / l2_MB"', '"wieghts / l2_MB"'),
        "stages.prefill.physics.hot:",
        "unknown name 'wieghts' (did you mean 'weights'?)",
    ),
    "term names a latency": (
        spec_with('"weights / l2_MB"', '"t_step_ms / l2_MB"'),
        "stages.prefill.physics.hot:",
        "not open to expressions",
    ),
    "term names the GPU": (
        spec_with('"weights / l2_MB"', "\"where(gpu == 'h100', 1, 2)\""),
        "stages.prefill.physics.hot:",
        "unknown name 'gpu'",
    ),
    "knob compared with a text": (
        spec_with('"weights / l2_MB"', "\"where(batch_size == 'a', 1, 2)\""),
        "stages.prefill.physics.hot:",
        "only 'task' may be",
    ),
    "task as a number": (
        spec_with('"weights / l2_MB"', '"task * 2"'),
        "stages.prefill.physics.hot:",
        "'task' is a text",
    ),
    "two peaks without a kind": (
        spec_with('"weights / l2_MB"', '"1 / peak + 1 / mem_bw_GBps"'),
        "stages.prefill.physics.hot:",
        'kind = "flops"',
    ),
    "unknown kind": (
        spec_with('kind = "per_sequence"', 'kind = "flop"'),
        "stages.prefill.physics.sequences.kind:",
        "must be 'launch', 'flops', 'bytes', 'cache' or 'per_sequence'; it is 'flop'",
    ),
    "term without its expression": (
        spec_with('{ ms = "0.01 * batch_size", kind', "{ kind"),
        "stages.prefill.physics.sequences.ms:",
        "is missing",
    ),
    "term of wrong type": (
        spec_with("launch = 0.01", "launch = [0.01]"),
        "stages.prefill.physics.launch:",
        "must be an expression or a table",
    ),
    "term name not plain": (
        spec_with("launch = 0.01", '"a-b" = 0.01'),
        "stages.prefill.physics.a-b:",
        "rename the term",
    ),
    "no stage": (TEXT[: TEXT.index("[stages")], "stages:", "add a table [stages.NAME.physics]"),
    "stage without physics": (
        spec_with("physics.launch = 'where(task == \"qa\", 0.01, 0.02)'", ""),
        "stages.decode.physics:",
        "there is no term",
    ),
    "stage called total": (TEXT.replace("stages.decode", "stages.total"), "stages.total:", "sum"),
    "stage name not plain": (
        TEXT.replace("stages.decode", 'stages."de code"'),
        "stages.de code:",
        "rename the stage",
    ),
    "stage of wrong type": (
        TEXT.replace("[stages.prefill]", "[stages]\nextra = 3\n[stages.prefill]"),
        "stages.extra:",
        "must be a table; it is 3",
    ),
    "same column twice": (
        spec_with('"t_step_ms"', '"t_prefill_ms"'),
        "stages.decode.column:",
        "is the column of stage 'prefill' already",
    ),
    "column is a knob": (
        spec_with('"t_step_ms"', '"batch_size"'),
        "stages.decode.column:",
        "is not a latency",
    ),
    "empty column": (spec_with('"t_step_ms"', '""'), "stages.decode.column:", "is empty"),
    "times depends on hardware": (
        spec_with('times = "output_tokens"', 'times = "output_tokens * peak"'),
        "stages.decode.times:",
        "depends on the hardware field 'bf16_tflops'",
    ),
    "times names an unknown": (
        spec_with('times = "output_tokens"', 'times = "outputs"'),
        "stages.decode.times:",
        "unknown name 'outputs'",
    ),
    "times is a truth value": (
        spec_with('times = "output_tokens"', "times = true"),
        "stages.decode.times:",
        "must be a string; it is True",
    ),
    "degree too high": (
        spec_with("degree = 2", "degree = 5"),
        "stages.prefill.residual.degree:",
        "must be less than or equal to 4; it is 5",
    ),
    "degree negative": (
        spec_with("degree = 2", "degree = -1"),
        "stages.prefill.residual.degree:",
        "must be greater than or equal to 0; it is -1",
    ),
    "degree not whole": (
        spec_with("degree = 2", "degree = 2.5"),
        "stages.prefill.residual.degree:",
        "must be a",
    ),
    "no degree": (
        spec_with("degree = 2", ""),
        "stages.prefill.residual.degree:",
        "is missing",
    ),
    "no features": (
        spec_with('features = ["log(tokens)", "log(batch_size)"]', ""),
        "stages.prefill.residual.features:",
        "is missing",
    ),
    "empty features": (
        spec_with('["log(tokens)", "log(batch_size)"]', "[]"),
        "stages.prefill.residual.features:",
        "lists no feature",
    ),
    "feature twice": (
        spec_with('"log(batch_size)"]', '"log( tokens )"]'),
        "stages.prefill.residual.features[1]:",
        "is listed twice",
    ),
    "feature does not parse": (
        spec_with('"log(batch_size)"]', '"log(batch_size"]'),
        "stages.prefill.residual.features[1]:",
        "expression 'log(batch_size'",
    ),
    "prior of an unknown kind": (
        spec_with("[priors.launch]", "[priors.lunch]"),
        "priors.lunch:",
        "did you mean 'launch'?",
    ),
    "unknown field of a prior": (
        spec_with("slowdown = 2", "slowness = 2"),
        "priors.launch.slowness:",
        "the keys here are slowdown, slowdown_log_sd, offset_scale, shared_sd",
    ),
    "prior not positive": (
        spec_with("slowdown = 2", "slowdown = 0.0"),
        "priors.launch.slowdown:",
        "must be greater than 0; it is 0.0",
    ),
    "prior not a number": (
        spec_with("slowdown = 2", 'slowdown = "2"'),
        "priors.launch.slowdown:",
        "must be a number; it is '2'",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_spec_gets_one_clear_error(case: str, tmp_path: Path) -> None:
    text, location, fragment = MALFORMED[case]
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    # From text, where there is no folder; a file spec with a folder says that it is missing.
    with pytest.raises(SpecError) as caught:
        Spec.from_text(text)
    message = str(caught.value)
    assert message.startswith("specification text: 1 problem in the specification\n")
    assert f"  {location} " in message
    assert fragment in message
    assert ("known names:" in message) == ("unknown name" in message)
    with pytest.raises(SpecError) as from_file:
        load_spec(path)
    assert str(from_file.value).startswith(f"{path}: 1 problem")


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("name = ", "not TOML"),
        ("name = 'a'\nname = 'b'", "not TOML"),
        ("a = " + "[" * 100_000, "not TOML"),
        ("a = 1" + "0" * 5000, "not TOML"),
        ("\x00", "not TOML"),
    ],
)
def test_what_is_not_toml_is_named(text: str, fragment: str) -> None:
    with pytest.raises(SpecError, match=fragment):
        Spec.from_text(text)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "spec.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpecError, match=r"spec\.toml"):
        load_spec(path)
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path)


def test_all_violations_come_in_one_error() -> None:
    text = (
        TEXT.replace('name = "tiny"', 'nme = "tiny"')
        .replace("hidden = 64", 'hidden = "wide"')
        .replace("degree = 2", "degree = 9")
        .replace('"output_tokens"\nphysics', '"l2_MB"\nphysics')
        .replace("bf16_tflops * 1e9", "bf17_tflops * 1e9")
    )
    with pytest.raises(SpecError) as caught:
        Spec.from_text(text)
    lines = str(caught.value).splitlines()
    assert lines[0] == "specification text: 6 problems in the specification"
    locations = {line.split(":")[0].strip() for line in lines[1:7]}
    assert locations == {
        "nme",
        "name",
        "architecture.hidden",
        "stages.prefill.residual.degree",
        "stages.decode.times",
        "quantities.peak",
    }
    assert lines[7] == "known names:"
    assert "  knobs: batch_size, prompt_tokens, output_tokens" in lines


def test_what_was_left_out_does_not_make_others_unknown() -> None:
    with pytest.raises(SpecError, match="1 problem in") as caught:
        Spec.from_text(spec_with("knobs = [", "knobs = [3, ").replace("gated", "gated"))
    assert "knobs[0]: must be a string" in str(caught.value)


def test_a_model_file_gives_constants(tmp_path: Path) -> None:
    config = {"hidden_size": 32, "num_attention_heads": 4, "batch_size": 7, "log": 3, "task": 1}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    text = spec_with("gated = true", 'file = "config.json"')
    path = tmp_path / "spec.toml"
    path.write_text(text, encoding="utf-8")
    spec = load_spec(path)
    assert spec.architecture["hidden"] == 64.0, "what is given inline wins"
    assert spec.architecture["head_dim"] == 8.0
    assert not {"batch_size", "log", "task", "file"} & set(spec.architecture)
    assert Spec.from_text(text, base=tmp_path) == spec
    (tmp_path / "config.json").unlink()
    assert Spec.loads(spec.dumps()) == spec
    with pytest.raises(SpecError, match=r"architecture\.file: cannot read"):
        load_spec(path)


def test_some_stages_alone(spec: Spec) -> None:
    first, *others = spec.stages
    assert others
    assert spec.hash  # worked out before, and not taken over
    alone = spec.only([first])
    assert list(alone.stages) == [first]
    assert alone.stages[first] == spec.stages[first]
    assert alone.hash != spec.hash
    assert Spec.loads(alone.dumps()) == alone
    assert spec.only(reversed(list(spec.stages))) == spec
    with pytest.raises(SpecError, match=rf"has no stage 'queue', 'wait'; choose of {first}, "):
        spec.only([first, "wait", "queue"])
    with pytest.raises(SpecError, match=r"no stage of spec .* is chosen"):
        spec.only([])


def test_the_hash_is_the_same_whether_a_constant_is_inline_or_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 64}), encoding="utf-8")
    text = spec_with("hidden = 64\ngated = true", 'file = "config.json"')
    assert Spec.from_text(text, base=tmp_path).hash == Spec.from_text(TEXT).hash


SAME_MEANING: dict[str, str] = {
    "comment": TEXT + "\n# a comment\n",
    "blank lines": TEXT.replace("\n", "\n\n"),
    "blanks in an expression": spec_with("2 * tokens * weights / peak", "2*tokens *weights/peak"),
    "key order": spec_with("[architecture]\nhidden = 64\ngated = true", "").replace(
        "[priors.launch]", "[architecture]\ngated = true\nhidden = 64\n[priors.launch]"
    ),
    "term order": spec_with("launch = 0.01\n", "").replace("compute =", "launch = 0.01\ncompute ="),
    "unused constant": spec_with("gated = true", "gated = 3"),
    "description": spec_with("two stages", "a pair of stages"),
    "explicit kind": spec_with('"weights / l2_MB"', '{ ms = "weights / l2_MB", kind = "cache" }'),
    "explicit column": spec_with("times = 1\n", 'times = 1\ncolumn = "t_prefill_ms"\n'),
    "whole number as a float": spec_with("hidden = 64", "hidden = 64.0"),
    "another spelling of TOML": spec_with("[stages.prefill]\ntimes = 1", "[stages.prefill]"),
}
OTHER_MEANING: dict[str, str] = {
    "name": spec_with('"tiny"', '"other"'),
    "constant": spec_with("hidden = 64", "hidden = 65"),
    "knobs": spec_with('"prompt_tokens", "output_tokens"]', '"output_tokens", "prompt_tokens"]'),
    "expression": spec_with("weights / l2_MB", "weights * l2_MB"),
    "order of quantities": spec_with('weights = "hidden * hidden"\n', "").replace(
        "tokens =", 'weights = "hidden * hidden"\ntokens =', 1
    ),
    "kind": spec_with("per_sequence", "launch"),
    "column": spec_with("t_step_ms", "t_other_ms"),
    "times": spec_with('times = "output_tokens"', 'times = "output_tokens + 1"'),
    "features": spec_with('"log(tokens)", "log(batch_size)"', '"log(batch_size)", "log(tokens)"'),
    "degree": spec_with("degree = 2", "degree = 3"),
    "prior": spec_with("slowdown = 2", "slowdown = 2.1"),
    "stage": TEXT.replace("stages.decode", "stages.step"),
}


@pytest.mark.parametrize("case", SAME_MEANING)
def test_the_hash_is_stable(case: str, spec: Spec) -> None:
    assert Spec.from_text(SAME_MEANING[case]).hash == spec.hash


@pytest.mark.parametrize("case", OTHER_MEANING)
def test_the_hash_sees_what_changes_the_model(case: str, spec: Spec) -> None:
    assert Spec.from_text(OTHER_MEANING[case]).hash != spec.hash


def test_the_hash_does_not_change_between_versions(spec: Spec) -> None:
    # Posterior files carry it. A change here (of the defaults of priors, for instance) makes every
    # older posterior one of another model: say so in the change log.
    assert spec.hash == "4def10c30233cb007ea5939ae51ab3d2797efa2109449d96b94282ee950f9b57"


def test_stored_specs_come_back_equal(spec: Spec) -> None:
    again = Spec.loads(spec.dumps())
    assert again == spec
    assert again.hash == spec.hash
    assert list(again.stages) == list(spec.stages)
    assert spec.dumps().isascii()


def cut(text: str) -> str:
    return text[:-1]


def of_another_format(text: str) -> str:
    return text.replace("bayeslat-spec-1", "bayeslat-spec-9")


def without_content(text: str) -> str:
    return json.dumps({"format": json.loads(text)["format"]})


def with_a_bad_expression(text: str) -> str:
    return text.replace("weights / l2_MB", "weights / l3_MB")


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (cut, "not JSON"),
        (of_another_format, "bayeslat-spec-9"),
        (without_content, "are missing"),
        (with_a_bad_expression, "unknown name 'l3_MB'"),
        (lambda _text: "[]", "format None"),
        (lambda _text: "[" * 100_000, "not JSON"),
    ],
)
def test_a_stored_spec_that_was_changed_is_refused(
    spec: Spec, change: Callable[[str], str], fragment: str
) -> None:
    with pytest.raises(SpecError, match=fragment):
        Spec.loads(change(spec.dumps()))


# Hypothesis: any valid spec survives storing, and nothing but SpecError comes of an invalid one.
NAMES = st.from_regex(r"[a-z]{2}_[a-z0-9]{0,3}", fullmatch=True)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JUNK = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def toml_value(value: Any) -> str:
    """Write a value in TOML, whose strings, numbers and lists of them are JSON's."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml_value(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a valid specification as tables."""
    names = draw(st.lists(NAMES, min_size=4, max_size=8, unique=True))
    known = [names[0], names[1], "l2_MB"]
    quantities: dict[str, str] = {}
    for name in names[3:]:
        quantities[name] = " + ".join(draw(st.lists(st.sampled_from(known), min_size=1)))
        known.append(name)
    expressions = st.sampled_from(known).map(lambda name: f"log({name}) * 2")
    stage = st.fixed_dictionaries(
        {"physics": st.dictionaries(NAMES, expressions, min_size=1, max_size=3)},
        optional={
            "times": st.sampled_from([1, names[0]]),
            "residual": st.fixed_dictionaries(
                {
                    "features": st.lists(expressions, min_size=1, max_size=3, unique=True),
                    "degree": st.integers(0, 4),
                }
            ),
        },
    )
    return {
        "name": draw(st.text(min_size=1).map(lambda text: "m" + text.replace("\x7f", ""))),
        "knobs": [names[0]],
        "architecture": {names[1]: draw(st.floats(allow_nan=False, allow_infinity=False))},
        "quantities": quantities,
        "stages": draw(st.dictionaries(NAMES, stage, min_size=1, max_size=3)),
        "priors": {"flops": {"slowdown": draw(st.floats(0.1, 10.0))}},
    }


@given(contents())
def test_any_valid_spec_survives_storing(content: dict[str, Any]) -> None:
    text = "\n".join(f"{key} = {toml_value(value)}" for key, value in content.items())
    spec = Spec.from_text(text)
    again = Spec.loads(spec.dumps())
    assert again == spec
    assert again.hash == spec.hash
    for name, stage in content["stages"].items():
        assert list(again.stages[name].physics) == list(stage["physics"])


@given(st.text(max_size=80) | st.text(max_size=20).map(lambda junk: TEXT.replace("tokens", junk)))
def test_any_text_is_a_spec_or_a_spec_error(text: str) -> None:
    read_or_refuse(lambda: Spec.from_text(text))


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every entry inside a tree of tables and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, item in items:
        found.append((*path, key))
        if isinstance(item, dict | list):
            found += paths(item, (*path, key))
    return found


GOOD = tomllib.loads(TEXT)


@given(st.lists(st.tuples(st.sampled_from(paths(GOOD)), JUNK), min_size=1, max_size=3))
def test_any_damaged_spec_is_a_spec_or_a_spec_error(changes: list[tuple[Any, Any]]) -> None:
    content = copy.deepcopy(GOOD)
    for path, junk in changes:
        replace(content, path, junk)
    stored = {"format": "bayeslat-spec-1", "text": "", "spec": content}
    read_or_refuse(lambda: Spec.loads(json.dumps(stored)))


def replace(content: Any, path: tuple[Any, ...], junk: Any) -> None:
    """Put junk at a path, unless an earlier change has removed what leads there."""
    *parents, last = path
    with suppress(KeyError, IndexError, TypeError):
        for key in parents:
            content = content[key]
        content[last] = junk


def read_or_refuse(read: Callable[[], Spec]) -> None:
    """Read; a spec that equals itself after storing is fine, and so is a SpecError with a place."""
    try:
        spec = read()
    except SpecError as error:
        message = str(error)
    else:
        message = "" if Spec.loads(spec.dumps()) == spec else "not equal"
    assert message == "" or ": " in message
    assert message != "not equal"
