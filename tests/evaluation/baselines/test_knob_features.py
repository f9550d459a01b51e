from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import InputError
from bayeslat.evaluation.baselines.knob_features import knob_features, knobs_of
from bayeslat.features.spec import load_spec
from tests.evaluation.baselines.problem import SPEC

CONFIGS = pd.DataFrame(
    {
        "size": [1.0, 10.0, 100.0],  # logs 0, 1, 2 times log 10: mean 1, sd sqrt(2/3)
        "cached": [0, 3, 0],
        "offset": [-1.0, 0.0, 1.0],
        "blocks": [48, 48, 48],
    }
)


def test_positive_knobs_enter_as_standardised_logs() -> None:
    found = knob_features(CONFIGS, ["size"]).columns(CONFIGS)
    np.testing.assert_allclose(found[:, 0], np.array([-1, 0, 1]) / np.sqrt(2 / 3), atol=1e-12)


def test_a_knob_that_may_be_zero_enters_as_log_of_one_more() -> None:
    features = knob_features(CONFIGS, ["cached"])
    assert features.shifts == (1.0,)
    raw = features.columns(CONFIGS)[:, 0] * features.scale + features.centre
    np.testing.assert_allclose(raw, np.log([1, 4, 1]), atol=1e-12)


def test_a_negative_knob_enters_as_it_is() -> None:
    features = knob_features(CONFIGS, ["offset"])
    raw = features.columns(CONFIGS)[:, 0] * features.scale + features.centre
    np.testing.assert_allclose(raw, CONFIGS["offset"], atol=1e-12)


def test_a_knob_that_never_changes_keeps_its_unit() -> None:
    features = knob_features(CONFIGS, ["blocks"])
    np.testing.assert_array_equal(features.columns(CONFIGS)[:, 0], 0.0)
    half = features.columns(CONFIGS.assign(blocks=24))
    np.testing.assert_allclose(half[:, 0], -np.log(2))


def test_tasks_have_a_column_each_once_there_are_several() -> None:
    several = CONFIGS.assign(task=["qa", "captioning", "qa"])
    features = knob_features(several, ["size"])
    assert features.tasks == ("captioning", "qa")
    columns = features.columns(several.assign(task=pd.Series(["qa", "new", None], dtype="str")))
    raw = columns * features.scale + features.centre
    np.testing.assert_allclose(raw[:, 1:], [[0, 1], [0, 0], [0, 0]], atol=1e-12)
    assert knob_features(CONFIGS.assign(task="qa"), ["size"]).tasks == ()


def test_a_value_without_a_log_is_named() -> None:
    with pytest.raises(InputError, match=r"knob 'size' is 0 in row 2; every donor row"):
        knob_features(CONFIGS, ["size"]).columns(CONFIGS.assign(size=[1, 0, 1]))
    with pytest.raises(InputError, match=r"knob 'cached' is -2 in row 1; no donor row"):
        knob_features(CONFIGS, ["cached"]).columns(CONFIGS.assign(cached=-2))


def test_a_missing_knob_is_named() -> None:
    with pytest.raises(InputError, match=r"no column 'size', .* \(columns: cached"):
        knob_features(CONFIGS, ["size"]).columns(CONFIGS.drop(columns="size"))


def test_a_stage_is_given_the_knobs_that_its_expressions_name() -> None:
    assert knobs_of(SPEC, "prefill") == ("batch_size", "context")
    assert knobs_of(SPEC, "total") == ("batch_size", "context", "output_tokens")
    vlm = load_spec(Path(__file__).parents[3] / "models" / "vlm.toml")
    assert knobs_of(vlm, "vision_encoder") == ("image_crops", "batch_size")
    assert "output_tokens" in knobs_of(vlm, "llm_decode_per_token")
    assert knobs_of(vlm, "total") == vlm.knobs
