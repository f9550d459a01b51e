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
from bayeslat.inference.posteriors.settings import group_settings, own_settings
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
