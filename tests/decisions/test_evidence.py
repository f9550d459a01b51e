from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from bayeslat.decisions.evidence import Evidence, find_evidence, stack_used
from bayeslat.decisions.predict import predict
from bayeslat.features.spec import Spec
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from tests.posteriors import SPEC_TEXT, make_configs, make_data, make_frame, small_spec

pytestmark = pytest.mark.xdist_group("small posterior")

STAGES = ("prefill", "decode")


@lru_cache(maxsize=1)
def partly_measured() -> PosteriorData:
    """Fit a trace in which nobody measured how the A100 decodes."""
    frame = make_frame()
    held = frame["t_decode_ms"].where(frame["gpu"] != "a100_sxm")
    return fit_posterior(small_spec(), frame.assign(t_decode_ms=held), engine="laplace")


@pytest.mark.parametrize(
    ("stacks", "gpu", "stack", "unmeasured", "told"),
    [
        ((), "h100_sxm", None, (), ""),
        ((), "l40s", None, STAGES, "l40s was not measured: from its data sheet"),
        ((), "l40s", "v1", STAGES, "l40s was not measured: from its data sheet"),
        ((), "h100_sxm", "v1", STAGES, "stack 'v1' was not measured on h100_sxm (measured without"),
        (("v1", "v2"), "h100_sxm", "v1", (), ""),
        (("v1", "v2"), "h100_sxm", None, STAGES, "measured with v1, v2, and no stack is named"),
        (("v1", "v2"), "h100_sxm", "v3", STAGES, "stack 'v3' was not measured on h100_sxm"),
        (("v1",), "h100_sxm", None, (), ""),
    ],
)
def test_what_was_measured(
    stacks: tuple[str, ...], gpu: str, stack: str | None, unmeasured: tuple[str, ...], told: str
) -> None:
    found = find_evidence(make_data(stacks=stacks), gpu, stack)
    assert found.unmeasured == unmeasured
    assert found.zero_shot == bool(unmeasured)
    assert told in str(found)
    assert bool(str(found)) == found.zero_shot


def test_a_stack_without_the_column_that_ends_its_name_is_told() -> None:
    spec = Spec.from_text('stack_columns = ["model"]\n' + SPEC_TEXT)
    data = replace(make_data(stacks=("v1/qwen",)), spec=spec)
    entry = data.hardware["h100_sxm"]
    configs = make_configs(3).assign(stack="v1")
    [found] = predict(data, configs, entry).evidence
    cure = "; column 'model', which is a part of a stack's name, is missing: add it"
    assert found.gap == f"stack 'v1' was not measured (measured with v1/qwen){cure}"
    assert str(found).endswith(cure)
    [found] = predict(data, configs.assign(model="llama"), entry).evidence
    assert found.gap == "stack 'v1/llama' was not measured"
    [found] = predict(data, configs.assign(model="qwen"), entry).evidence
    assert str(found) == ""


@pytest.mark.parametrize(
    ("stacks", "gpu", "stack", "gap"),
    [
        ((), "l40s", None, "the GPU was not measured"),
        ((), "l40s", "v1", "the GPU was not measured"),
        (("v1", "v2"), "h100_sxm", None, "no stack is named (measured with v1, v2)"),
        (("v1", "v2"), "h100_sxm", "v3", "stack 'v3' was not measured"),
        ((), "h100_sxm", "v3", "stack 'v3' was not measured"),
    ],
)
def test_the_gap_is_told(stacks: tuple[str, ...], gpu: str, stack: str | None, gap: str) -> None:
    assert find_evidence(make_data(stacks=stacks), gpu, stack).gap == gap


@pytest.mark.parametrize(
    ("stacks", "gpu", "stack", "lacks"),
    [
        ((), "h100_sxm", None, ""),
        ((), "l40s", "v1", "gpu"),
        (("v1", "v2"), "h100_sxm", "v3", "stack"),
        (("v1", "v2"), "h100_sxm", None, "name"),
    ],
)
def test_what_has_no_row_is_told_in_a_word(
    stacks: tuple[str, ...], gpu: str, stack: str | None, lacks: str
) -> None:
    found = find_evidence(make_data(stacks=stacks), gpu, stack)
    assert (found.lacks(), found.lacks("decode")) == (lacks, lacks)


def test_a_stage_alone_may_have_no_row() -> None:
    found = find_evidence(partly_measured(), "a100_sxm", None)
    assert (found.lacks("prefill"), found.lacks("decode"), found.lacks()) == ("", "stage", "stage")


def test_a_stage_without_rows_makes_a_prediction_zero_shot() -> None:
    data = partly_measured()
    found = find_evidence(data, "a100_sxm", None)
    assert found.unmeasured == ("decode",)
    assert str(found).startswith("nothing was measured of decode on a100_sxm: from the data sheet")
    assert replace(found, stack="v1").zero_shot
    configs = make_configs(3)
    for gpu, zero_shot in (("a100_sxm", True), ("h100_sxm", False)):
        prediction = predict(data, configs, data.hardware[gpu])
        assert prediction.frame["zero_shot"].tolist() == [zero_shot] * 3
        assert prediction.evidence == (find_evidence(data, gpu, None),)


def test_the_stack_that_a_prediction_is_for_is_the_only_one_or_the_one_that_was_asked_for() -> None:
    one, other, none = (Evidence("h100_sxm", stack, (), ()) for stack in ("v1", "v2", ""))
    assert stack_used([one], None) == "v1"
    assert stack_used([one, replace(one, unmeasured=STAGES)], "v2") == "v1"
    assert stack_used([none], None) == ""
    assert stack_used([one, other], None) is None
    assert stack_used([one, other, none], "v2") == "v2"


def test_each_stack_of_the_configs_is_told() -> None:
    data = make_data(stacks=("v1", "v2"))
    configs = make_configs(4).assign(stack=["v3", "v1", "v3", "v2"])
    prediction = predict(data, configs, data.hardware["h100_sxm"])
    assert [each.stack for each in prediction.evidence] == ["v3", "v1", "v2"]
    np.testing.assert_array_equal(prediction.zero_shot, [True, False, True, False])
