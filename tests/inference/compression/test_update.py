"""Updates: new rows join and old windows go, as if the posterior had been fitted so."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from bayeslat.compression import compress, fit_statistics, update
from bayeslat.errors import InputError
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.calibration.calibrate import calibrate
from bayeslat.inference.compression.compress import compress_files
from bayeslat.inference.compression.compressed import Compressed
from bayeslat.inference.compression.fit_compressed import fit_compressed
from bayeslat.inference.compression.stream.settle import point_of
from bayeslat.inference.compression.update import update_posterior
from bayeslat.inference.engines.engine import EngineOptions
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.storage.posterior_file import read_posterior, write_posterior
from bayeslat.posterior import Posterior
from bayeslat.traces import read_traces, write_traces
from tests.posteriors import GPUS, make_frame, small_spec

LAPLACE = EngineOptions("laplace", seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files of one trace."""
    place = tmp_path_factory.mktemp("days")
    frame = make_frame(8, rows=120)
    for number, name in enumerate(("monday", "tuesday", "wednesday")):
        write_traces(frame.iloc[number::3], place / f"{name}.parquet")
    return place


@pytest.fixture(scope="module")
def first(folder: Path) -> Compressed:
    days = [folder / "monday.parquet", folder / "tuesday.parquet"]
    return compress_files(small_spec(), days)


@pytest.fixture(scope="module")
def fitted(first: Compressed) -> PosteriorData:
    return fit_compressed(first, LAPLACE)


def day(folder: Path, name: str, like: PosteriorData) -> Compressed:
    return compress_files(small_spec(), [folder / f"{name}.parquet"], like=point_of(like))


def assert_same(one: PosteriorData, other: PosteriorData) -> None:
    """The draws of two posteriors; a rounding error may move one that is resampled."""
    for stage, part in one.stages.items():
        twin = other.stages[stage]
        assert part.measured == twin.measured
        sd = part.effects.std(axis=0)
        gap = (part.effects.mean(axis=0) - twin.effects.mean(axis=0)) / sd
        np.testing.assert_allclose(gap, 0.0, atol=0.02)


def test_an_updated_posterior_is_one_of_all_rows(
    folder: Path, first: Compressed, fitted: PosteriorData
) -> None:
    new = day(folder, "wednesday", fitted)
    updated = update_posterior(fitted, new, LAPLACE)
    assert_same(updated, fit_compressed(first.merged(new), LAPLACE))
    assert updated.attrs["rows"] == 360
    assert list(updated.windows) == ["monday.parquet", "tuesday.parquet", "wednesday.parquet"]
    # The broken twin: without the new rows, it is another.
    with pytest.raises(AssertionError):
        assert_same(updated, fitted)


def test_a_retired_window_leaves_no_trace(
    folder: Path, first: Compressed, fitted: PosteriorData
) -> None:
    new = day(folder, "wednesday", fitted)
    updated = update_posterior(fitted, new, LAPLACE, retire=["monday.parquet"])
    kept = first.retired(["monday.parquet"]).merged(new)
    assert_same(updated, fit_compressed(kept, LAPLACE))
    assert updated.attrs["rows"] == 240
    back = update_posterior(updated, None, LAPLACE, retire=["wednesday.parquet"])
    assert_same(back, fit_compressed(first.retired(["monday.parquet"]), LAPLACE))


def test_a_fit_of_rows_can_be_updated(folder: Path, tmp_path: Path) -> None:
    """Its rows are a window of their own; as a file it keeps all that this needs."""
    frame = read_traces(folder / "monday.parquet")
    write_posterior(fit_posterior(small_spec(), frame, engine="laplace", seed=3), tmp_path / "p.nc")
    rows = read_posterior(tmp_path / "p.nc")
    updated = update_posterior(rows, day(folder, "tuesday", rows), LAPLACE)
    monday = compress_files(small_spec(), [folder / "monday.parquet"])
    tuesday = compress_files(small_spec(), [folder / "tuesday.parquet"], like=monday.point)
    # Statistics do not know their rows; a fit of rows does, for as long as they count.
    assert updated.fitted_latencies == rows.fitted_latencies
    expected = fit_compressed(monday.merged(tuesday), LAPLACE)
    assert expected.fitted_latencies == {}
    assert_same(updated, expected)
    assert update_posterior(updated, None, LAPLACE, retire=["fit"]).fitted_latencies == {}
    assert list(updated.windows) == ["fit", "tuesday.parquet"]
    write_posterior(updated, tmp_path / "u.nc")
    again = read_posterior(tmp_path / "u.nc")
    assert_same(again, updated)
    assert list(again.windows) == list(updated.windows)
    for stage in small_spec().stages:
        np.testing.assert_array_equal(
            again.windows["fit"].stages[stage].statistics.gram,
            rows.stages[stage].problem.statistics.gram,
        )


def test_what_cannot_be_updated_says_why(folder: Path, fitted: PosteriorData) -> None:
    with pytest.raises(InputError, match=r"no window friday to retire; there are monday.parquet"):
        update_posterior(fitted, None, LAPLACE, retire=["friday"])
    with pytest.raises(InputError, match="no window is left"):
        update_posterior(fitted, None, LAPLACE, retire=list(fitted.windows))
    with pytest.raises(InputError, match=r"tuesday.parquet is there already.*twice"):
        update_posterior(fitted, day(folder, "tuesday", fitted), LAPLACE)
    other = compress_files(small_spec(), [folder / "wednesday.parquet"])
    with pytest.raises(InputError, match=r"settled at another point.*--like POSTERIOR"):
        update_posterior(fitted, other, LAPLACE)


@pytest.mark.parametrize(
    ("data", "told"),
    [("a.parquet", "data is the text 'a.parquet'"), (make_frame(), "data is a DataFrame")],
)
def test_rows_in_place_of_statistics_are_told(data: Any, told: str, fitted: PosteriorData) -> None:
    given = f"{told}; give the statistics of the rows, by compress"
    with pytest.raises(InputError, match=rf"^{given}\(spec, files, like=posterior\)$"):
        update(Posterior(fitted), data, engine="laplace")
    with pytest.raises(InputError, match=rf"^{given}\(spec, files\) or read_statistics\(path\)$"):
        fit_statistics(data, engine="laplace")
    with pytest.raises(InputError, match=rf"^posterior is a PosteriorData; load .*; {told}"):
        update(cast("Posterior", fitted), data)
    with pytest.raises(InputError, match=r"^like is the text 'a\.nc'; load it with load_post"):
        compress(small_spec(), "a.parquet", like=cast("Posterior", "a.nc"))


def test_calibrated_gpus_are_calibrated_again_not_kept(fitted: PosteriorData) -> None:
    table = load_hardware()
    rows = make_frame(8, ("l40s",), rows=10)
    with_target = calibrate(fitted, rows, table.resolve("l40s"), None, table, 0)
    with pytest.raises(InputError, match=r"holds l40s, calibrated.*calibrate them again"):
        update_posterior(with_target, None, LAPLACE, retire=["monday.parquet"])


def test_a_gpu_without_rows_left_is_not_fitted(folder: Path, tmp_path: Path) -> None:
    """Its place stays, as that of a GPU that was not measured."""
    (gone, *_, kept), frame = GPUS, read_traces(folder / "monday.parquet")
    rows = fit_posterior(small_spec(), frame, engine="laplace")
    later = read_traces(folder / "tuesday.parquet")
    write_traces(later[later["gpu"] == kept], tmp_path / "tuesday.parquet")
    updated = Posterior(
        update_posterior(rows, day(tmp_path, "tuesday", rows), LAPLACE, retire=["fit"])
    )
    assert updated.gpus == (kept,)
    assert gone not in repr(updated)
    assert any(caveat.startswith(f"One GPU ({kept})") for caveat in updated.caveats)
    assert updated.predict(frame, gone).zero_shot.all()
    own = frame[frame["gpu"] == gone]
    with pytest.raises(InputError, match=f"does not hold {gone}; it holds {kept}. Compare"):
        updated.find_drift(own)
    assert Posterior(rows).find_drift(own).drifted == ()
