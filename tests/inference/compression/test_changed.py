"""Groups that have changed: what sums at a settled point cannot follow is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import InputError
from bayeslat.inference.compression.changed import find_changes, refuse_changed
from bayeslat.inference.compression.compress import compress_files
from bayeslat.inference.compression.stream.settle import point_of
from bayeslat.inference.compression.update import update_posterior
from bayeslat.inference.engines.engine import EngineOptions
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.traces import write_traces
from tests.posteriors import make_frame, small_spec

GPU = "h100_sxm"
ROWS = 200


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_frame(5, rows=2 * ROWS)


@pytest.fixture(scope="module")
def fitted(frame: pd.DataFrame) -> PosteriorData:
    return fit_posterior(small_spec(), frame.iloc[::2], engine="laplace")


def slower(frame: pd.DataFrame, factor: float, part: float = 1.0) -> pd.DataFrame:
    """Return the rows that were not fitted, a part of those of one GPU slower in the decode."""
    rows = frame.iloc[1::2].reset_index(drop=True)
    moved = (rows["gpu"] == GPU) & (np.arange(len(rows)) % 100 < 100 * part)
    return rows.assign(t_decode_ms=rows["t_decode_ms"] * np.where(moved, factor, 1.0))


def noise_of(data: PosteriorData) -> float:
    pilots = point_of(data).stages["decode"].pilots
    return float(pilots.sd[data.groups.index((GPU, ""))])


def test_rows_as_before_are_no_change(frame: pd.DataFrame, fitted: PosteriorData) -> None:
    assert find_changes(point_of(fitted), slower(frame, 1.0)) == ()
    assert find_changes(point_of(fitted), frame.iloc[:0]) == ()


@pytest.mark.parametrize("scales", [-5.0, -2.0, 2.0, 5.0, 100.0])
def test_a_shift_of_more_than_the_noise_is_found(
    frame: pd.DataFrame, fitted: PosteriorData, scales: float
) -> None:
    noise = noise_of(fitted)
    (found,) = find_changes(point_of(fitted), slower(frame, np.exp(scales * noise)))
    assert (found.gpu, found.stage, found.noise) == (GPU, "decode", noise)
    # The median of so many configurations; what the fit knows of this GPU is as sure.
    assert found.shift == pytest.approx(scales * noise, abs=4 * 1.2533 * noise * np.sqrt(2 / ROWS))


def test_less_than_the_noise_joins_without_much_harm(
    frame: pd.DataFrame, fitted: PosteriorData
) -> None:
    assert find_changes(point_of(fitted), slower(frame, np.exp(0.7 * noise_of(fitted)))) == ()


def test_a_third_of_the_rows_far_off_is_a_change_and_single_ones_are_not(
    frame: pd.DataFrame, fitted: PosteriorData
) -> None:
    point, factor = point_of(fitted), float(np.exp(8 * noise_of(fitted)))
    (found,) = find_changes(point, slower(frame, factor, part=0.35))
    assert found.stage == "decode"
    assert find_changes(point, slower(frame, factor, part=0.1)) == ()


def test_few_rows_are_not_sure(frame: pd.DataFrame, fitted: PosteriorData) -> None:
    moved = slower(frame, np.exp(1.3 * noise_of(fitted)))
    few = moved[moved["gpu"] == GPU].head(4)
    assert find_changes(point_of(fitted), few) == ()
    assert find_changes(point_of(fitted), moved) != ()


def test_rows_as_before_are_seldom_refused_however_few(
    frame: pd.DataFrame, fitted: PosteriorData
) -> None:
    held, rng = slower(frame, 1.0), np.random.default_rng(0)
    refused = 0
    for _ in range(40):
        few = held.loc[
            [each for _, own in held.groupby("gpu") for each in rng.choice(own.index, 3)]
        ]
        refused += bool(find_changes(point_of(fitted), few))
    assert refused <= 1


def test_rows_beyond_the_range_are_no_change(frame: pd.DataFrame) -> None:
    near = fit_posterior(small_spec(), frame[frame["context"] < 800], engine="laplace")
    far = frame[frame["context"] > 1600]
    assert not [each for each in find_changes(point_of(near), far) if each.stage == "prefill"]


def test_repeats_of_one_configuration_are_one(frame: pd.DataFrame, fitted: PosteriorData) -> None:
    """What a configuration has of its own, all of its repeats have."""
    moved = slower(frame, np.exp(3 * noise_of(fitted)))
    one = pd.concat([moved[moved["gpu"] == GPU].head(1)] * 50, ignore_index=True)
    assert find_changes(point_of(fitted), one) == ()


def test_all_changes_are_told_at_once(frame: pd.DataFrame, fitted: PosteriorData) -> None:
    moved = slower(frame, 1.5)
    other = moved["gpu"] == "a100_sxm"
    moved["t_prefill_ms"] *= np.where(other, 0.5, 1.0)
    with pytest.raises(InputError, match=r"a100_sxm: prefill .* faster .*; h100_sxm: decode .* sl"):
        refuse_changed(point_of(fitted), moved)


def test_sums_of_a_change_would_be_surer_and_stay_where_they_were(
    frame: pd.DataFrame, fitted: PosteriorData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin without the refusal: why there is one."""
    write_traces(slower(frame, 1.3), tmp_path / "slower.parquet")
    new = compress_files(small_spec(), [tmp_path / "slower.parquet"], like=point_of(fitted))
    options = EngineOptions("laplace")
    with pytest.raises(InputError, match="fit anew"):
        update_posterior(fitted, new, options, retire=["fit"])
    monkeypatch.setattr("bayeslat.inference.compression.update.refuse_changed", lambda *_: None)
    updated = update_posterior(fitted, new, options, retire=["fit"])
    node = updated.stages["decode"].problem.tree.index(GPU)
    moved = np.mean(
        updated.stages["decode"].effects[:, node, 0] - fitted.stages["decode"].effects[:, node, 0]
    )
    assert abs(moved) < 0.5 * np.log(1.3)
