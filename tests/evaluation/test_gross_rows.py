"""Gross errors among rows that a posterior does not hold: found, located, and no others."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from bayeslat.evaluation import gross_rows
from bayeslat.evaluation.gross_rows import GrossRow, find_gross_rows
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.posterior import Posterior
from tests.posteriors import make_data, make_frame, small_spec

pytestmark = pytest.mark.xdist_group("small posterior")

GPU = "l40s"


@lru_cache(maxsize=1)
def sound() -> pd.DataFrame:
    return make_frame(5, (GPU,), rows=40)


def spoilt(*rows: int, factor: float = 30.0) -> pd.DataFrame:
    """Return the GPU's rows, of which some are too slow in prefill."""
    wrong = np.isin(np.arange(len(sound())), rows)
    return sound().assign(t_prefill_ms=sound()["t_prefill_ms"] * np.where(wrong, factor, 1.0))


def find(
    rows: pd.DataFrame, data: PosteriorData | None = None, gpu: str = GPU
) -> tuple[GrossRow, ...]:
    return find_gross_rows(data or make_data(), rows, load_hardware().resolve(gpu), "")


@pytest.mark.parametrize("factor", [30.0, 0.001])
def test_a_row_of_a_gpu_that_the_posterior_lacks(factor: float) -> None:
    (found,) = find(spoilt(4, factor=factor))
    assert (found.error.gpu, found.error.row, found.error.donor) == (GPU, 5, False)
    assert found.error.ratio["prefill"] == pytest.approx(factor, rel=0.3)
    assert found.measured_ms == {"prefill": factor * sound()["t_prefill_ms"].iloc[4]}
    assert dict(found.error.repeats) == {"prefill": "none"}


def test_none_among_sound_rows() -> None:
    assert find(sound()) == find(sound().head(0)) == ()


def test_a_gpu_that_is_slow_as_a_whole_has_none() -> None:
    assert find(spoilt(*range(40), factor=3.0)) == ()


def test_rows_beside_the_calibrated_ones() -> None:
    wrong = spoilt(2, 20)
    data = Posterior(make_data()).calibrate(wrong.head(10), GPU).data
    (found,) = find(wrong, data)  # the third row is known
    assert found.measured_ms == {"prefill": wrong["t_prefill_ms"].iloc[20]}
    assert found.error.row == 21


def test_a_row_that_was_measured_anew_is_sound() -> None:
    data = Posterior(make_data()).calibrate(spoilt(2).head(10), GPU).data
    assert find(sound(), data) == ()


def test_rows_of_a_donor_that_were_not_fitted() -> None:
    frame = make_frame()
    own = frame[frame["gpu"] == "h100_sxm"]
    data = fit_posterior(small_spec(), frame.drop(own.index[:12]), engine="laplace")
    assert find(own, data, gpu="h100_sxm") == ()
    wrong = own["t_decode_ms"] * np.where(np.arange(len(own)) == 3, 40.0, 1.0)
    (found,) = find(own.assign(t_decode_ms=wrong), data, gpu="h100_sxm")
    assert (found.error.row, *found.error.ratio) == (44, "decode")  # of the whole trace


def test_many_rows_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = spoilt(4, 31)
    wrong = pd.concat([wrong, wrong.iloc[[4]].assign(repeat=1)]).fillna({"repeat": 0})
    whole = find(wrong)
    monkeypatch.setattr(gross_rows, "_MOST_ROWS", 20)
    parts = find(wrong)
    assert [each.error.row for each in parts] == [each.error.row for each in whole] == [5, 32, 41]
    assert [each.measured_ms for each in parts] == [each.measured_ms for each in whole]
    assert dict(parts[0].error.repeats) == {"prefill": "alike"}


def test_a_posterior_without_numbers_finds_none() -> None:
    part = make_data().stages["prefill"]
    lost = replace(part, effects=np.full_like(part.effects, np.nan))
    data = replace(make_data(), stages={**make_data().stages, "prefill": lost})
    further = make_frame(7, ("h100_sxm",), rows=12)
    assert find(further, data, gpu="h100_sxm") == ()
