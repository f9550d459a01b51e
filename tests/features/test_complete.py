"""Knobs that rows leave out, and what makes a stack."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import SpecError
from bayeslat.features.complete import complete_rows
from bayeslat.features.spec import Spec

SPEC = """
name = "small"
stack_columns = ["model"]
knobs = ["tokens", "waiting"]
[defaults]
waiting = 2
[stages.step.physics]
launch = "0.1 + waiting"
compute = "tokens / bf16_tflops"
"""


def rows(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"tokens": [1.0, 2.0, 3.0], **columns})


def test_a_knob_without_a_column_gets_its_default() -> None:
    assert Spec.from_text(SPEC).complete(rows())["waiting"].tolist() == [2.0, 2.0, 2.0]


def test_a_knob_without_a_value_gets_its_default_and_others_stay() -> None:
    found = complete_rows(rows(waiting=[0.0, np.nan, 7.0]), {"waiting": 2.0}, ())
    assert found["waiting"].tolist() == [0.0, 2.0, 7.0]


def test_a_knob_without_a_default_is_left_as_it_is() -> None:
    frame = rows(tokens=[1.0, np.nan, 3.0])
    assert complete_rows(frame, {"waiting": 2.0}, ())["tokens"].isna().tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("stack", "model", "expected"),
    [
        ("vllm_1", "qwen", "vllm_1/qwen"),
        (None, "qwen", "/qwen"),
        ("vllm_1", None, "vllm_1"),
        (None, None, None),
    ],
)
def test_a_stack_is_the_software_and_the_further_columns(
    stack: str | None, model: str | None, expected: str | None
) -> None:
    frame = rows(stack=[stack] * 3, model=[model] * 3)
    found = complete_rows(frame, {}, ["model"])["stack"].astype(object)
    assert found.where(found.notna(), None).tolist() == [expected] * 3


def test_the_software_of_a_call_is_that_of_rows_that_name_none() -> None:
    frame = rows(stack=["vllm_2", None, np.nan], model="qwen")
    for software in ("vllm_1", "vllm_1/qwen"):
        completed = complete_rows(frame, {}, ["model"], software)
        assert completed["stack"].tolist() == ["vllm_2/qwen", "vllm_1/qwen", "vllm_1/qwen"]
    assert "stack" not in complete_rows(rows(), {}, ["model"], "vllm_1")
    completed = complete_rows(rows(model="qwen"), {}, ["model"], "vllm_1")
    assert completed["stack"].tolist() == ["vllm_1/qwen"] * 3


def test_completing_twice_is_completing_once() -> None:
    spec = Spec.from_text(SPEC)
    once = spec.complete(rows(stack="vllm_1", model=["a", "b", None]))
    pd.testing.assert_frame_equal(spec.complete(once), once)


def test_the_rows_given_stay_as_they_are() -> None:
    frame = rows(stack="vllm_1", model="a")
    Spec.from_text(SPEC).complete(frame)
    assert list(frame) == ["tokens", "stack", "model"]
    assert frame["stack"][0] == "vllm_1"


def test_a_spec_without_either_gives_the_rows_back() -> None:
    frame = rows()
    assert complete_rows(frame, {}, ()) is frame


FOLLOWING = (
    SPEC.replace('knobs = ["tokens", "waiting"]', 'knobs = ["tokens", "waiting", "rows"]')
    .replace("waiting = 2", 'rows = "ceil(tokens / tile)"\nwaiting = "2 * rows"')
    .replace("[stages.step.physics]", "[architecture]\ntile = 2\n[stages.step.physics]")
)


def test_a_default_may_follow_from_other_knobs_and_from_defaults_before_it() -> None:
    spec = Spec.from_text(FOLLOWING)
    found = spec.complete(rows())
    assert found["rows"].tolist() == [1.0, 1.0, 2.0]
    assert found["waiting"].tolist() == [2.0, 2.0, 4.0]
    some = spec.complete(rows(rows=[7.0, np.nan, np.nan]))
    assert some["rows"].tolist() == [7.0, 1.0, 2.0]
    assert some["waiting"].tolist() == [14.0, 2.0, 4.0]
    pd.testing.assert_frame_equal(spec.complete(some), some)


def test_a_default_without_what_it_follows_from_is_left_out() -> None:
    spec = Spec.from_text(FOLLOWING)
    assert list(spec.complete(pd.DataFrame({"waiting": [1.0]}))) == ["waiting"]
    odd = spec.complete(pd.DataFrame({"tokens": ["many", 3]}))
    assert np.isnan(odd["rows"][0])
    assert odd["rows"][1] == 2.0


def test_defaults_that_follow_are_stored_and_tell_specs_apart() -> None:
    spec = Spec.from_text(FOLLOWING)
    assert Spec.loads(spec.dumps()) == spec
    spaced = FOLLOWING.replace("2 * rows", "2*rows")
    others = [FOLLOWING.replace("2 * rows", "3 * rows"), FOLLOWING.replace("tile = 2", "tile = 3")]
    assert Spec.from_text(spaced).hash == spec.hash
    assert len({spec.hash, *(Spec.from_text(text).hash for text in others)}) == 3


@pytest.mark.parametrize("default", ["2 * later", "2 * rows", "2 * mem_bw_GBps", "2 * nothing"])
def test_a_default_follows_from_what_is_known_before_it(default: str) -> None:
    text = FOLLOWING.replace('"ceil(tokens / tile)"', f'"{default}"')
    text = text.replace('waiting = "2 * rows"', 'waiting = "2 * rows"\nlater = 1')
    text = text.replace('"rows"]', '"rows", "later"]')
    name = default.split()[-1]
    with pytest.raises(SpecError, match=f"defaults.rows.*unknown name '{name}'; a default may"):
        Spec.from_text(text)


def test_defaults_and_stack_columns_are_stored_and_tell_specs_apart() -> None:
    spec = Spec.from_text(SPEC)
    assert Spec.loads(spec.dumps()) == spec
    others = [SPEC.replace("waiting = 2", "waiting = 3"), SPEC.replace('["model"]', "[]")]
    assert len({spec.hash, *(Spec.from_text(text).hash for text in others)}) == 3


def test_every_wrong_default_is_told() -> None:
    text = SPEC.replace("waiting = 2", "wating = 2\ntokens = inf").replace('"model"', '"gpu"')
    with pytest.raises(SpecError) as caught:
        Spec.from_text(text)
    for part in ("no knob (did you mean 'waiting'?)", "defaults.tokens", "'gpu' has a"):
        assert part in str(caught.value)


def test_names_lose_the_spaces_around_them() -> None:
    frame = rows(stack=["v1", " v1 ", None], task=pd.Categorical(["chat\n", "chat", " "]))
    found = complete_rows(frame, {}, ())
    assert found["stack"].tolist()[:2] == ["v1", "v1"]
    assert found["stack"].isna().tolist() == [False, False, True]
    assert found["task"].tolist() == ["chat", "chat", ""]
    assert frame["stack"].tolist()[1] == " v1 "
    assert complete_rows(found, {}, ()) is found
    odd = rows(stack=[3, ["v1 "], " v1"])
    assert complete_rows(odd, {}, ())["stack"].tolist() == [3, ["v1 "], "v1"]


def test_a_column_that_follows_the_software_loses_them_too() -> None:
    frame = rows(stack="v1 ", model=" qwen ")
    once = complete_rows(frame, {}, ["model"])
    assert once["stack"].tolist() == ["v1/qwen"] * 3
    assert complete_rows(once, {}, ["model"])["stack"].tolist() == ["v1/qwen"] * 3
