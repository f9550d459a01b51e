"""Settings of a group: knobs that stand still in it, and in no group move."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pandas as pd
import pytest

from bayeslat.evaluation.expected_error import ErrorOutlook
from bayeslat.inference.calibration.calibrate import calibrate_group
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.settings import group_settings, knob_values, own_settings
from tests.posteriors import GPUS, make_frame, small_spec
from tests.targets import stranger

pytestmark = pytest.mark.xdist_group("settings")

BATCH = dict(zip(GPUS, (2.0, 4.0, 8.0), strict=True))  # each GPU has one of its own
TARGET = stranger()


@lru_cache(maxsize=1)
def make_data() -> PosteriorData:
    frame = make_frame()
    frame = frame.assign(batch_size=frame["gpu"].map(BATCH))
    return fit_posterior(small_spec(), frame, engine="laplace")


def calibrated(batch_size: float | None) -> PosteriorData:
    """The target with rows of one output length, of one batch size or of several."""
    rows = make_frame().head(12).assign(gpu=TARGET.key, output_tokens=9)
    rows = rows if batch_size is None else rows.assign(batch_size=batch_size)
    return calibrate_group(make_data(), rows, TARGET, "")


def test_what_stands_still_in_a_group() -> None:
    data = calibrated(16.0)
    assert [group_settings(data, (gpu, ""))["batch_size"] for gpu in GPUS] == [2, 4, 8]
    assert group_settings(data, (TARGET.key, "")) == {"batch_size": 16, "output_tokens": 9}
    assert group_settings(data, ("l4", "")) == {}
    assert own_settings(data, (TARGET.key, "")) == {"batch_size": 16}  # donors move the other
    assert own_settings(calibrated(None), (TARGET.key, "")) == {}


def test_what_stands_still_where_a_knob_has_one_value() -> None:
    frame = make_frame()
    low = frame["batch_size"] <= frame["batch_size"].median()
    data = fit_posterior(
        small_spec(),
        frame.assign(batch_size=low + 1.0, output_tokens=low * 4.0 + 2),
        engine="laplace",
    )
    group = data.groups[0]
    assert {"batch_size", "output_tokens"}.isdisjoint(group_settings(data, group))
    assert knob_values(data, group, "batch_size") == [1, 2]
    for value, tokens in ((1.0, 2), (2.0, 6)):
        found = group_settings(data, group, ("batch_size", value))
        assert found == {"batch_size": value, "output_tokens": tokens}
    assert group_settings(data, group, ("batch_size", 3.0)) == {}
    rows = frame.head(12).assign(gpu=TARGET.key, batch_size=5.0)
    known = calibrate_group(data, rows, TARGET, "")
    assert knob_values(known, (TARGET.key, ""), "batch_size") == [5]
    assert group_settings(known, (TARGET.key, ""), ("batch_size", 5.0))["batch_size"] == 5
    assert group_settings(known, (TARGET.key, ""), ("batch_size", 1.0)) == {}


def test_nothing_is_a_setting_where_the_fit_does_not_tell() -> None:
    data = calibrated(16.0)
    old = replace(
        data, attrs={name: data.attrs[name] for name in data.attrs if name != "constants"}
    )
    assert own_settings(old, (TARGET.key, "")) == {}


def test_a_verdict_is_of_the_settings_that_the_gpu_has() -> None:
    """It was of those of donors, too: other models, other types of values."""

    def configs(data: PosteriorData) -> pd.DataFrame:
        return ErrorOutlook.of(data, TARGET, "", seed=0).configs

    assert set(configs(calibrated(16.0))["batch_size"]) == {16}
    assert set(configs(calibrated(None))["batch_size"]) == {2, 4, 8}
    assert configs(calibrated(16.0))["output_tokens"].nunique() > 1
