"""The file of a compressed trace: read back to the last bit, or refused with a cure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayeslat.errors import InputError, PosteriorFileError, StatisticsFileError
from bayeslat.inference.compression import compressed_file
from bayeslat.inference.compression.compress import compress_files
from bayeslat.inference.compression.compressed import Compressed
from bayeslat.inference.compression.compressed_file import read_compressed, write_compressed
from bayeslat.inference.storage.posterior_file import read_posterior, write_posterior
from bayeslat.traces import write_traces
from tests.posteriors import make_data, make_frame, small_spec


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Compressed:
    folder = tmp_path_factory.mktemp("traces")
    frame = make_frame(2, rows=30, stacks=("", "b"), tasks=("ocr", "qa"))
    frame = frame.assign(stack=frame["stack"].replace("", None))
    write_traces(frame.iloc[::2], folder / "a.parquet")
    write_traces(frame.iloc[1::2], folder / "größer.parquet")
    return compress_files(small_spec(), [folder])


@pytest.fixture(scope="module")
def path(data: Compressed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "new folder" / "s.nc"
    write_compressed(data, path)
    return path


def test_it_comes_back_to_the_last_bit(data: Compressed, path: Path) -> None:
    again = read_compressed(path)
    assert again.point.hash == data.point.hash
    assert again.point.spec == data.point.spec
    assert list(again.windows) == list(data.windows) == ["a.parquet", "größer.parquet"]
    assert again.rows == data.rows == len(make_frame(2, rows=30, stacks=("", "b")))
    assert again.attrs == data.attrs
    for name, window in data.windows.items():
        for stage, part in window.stages.items():
            twin = again.windows[name].stages[stage]
            np.testing.assert_array_equal(twin.measured, part.measured)
            assert twin.beyond == part.beyond
            for each in ("gram", "moment", "square", "rows"):
                np.testing.assert_array_equal(
                    getattr(twin.statistics, each), getattr(part.statistics, each)
                )
    pd.testing.assert_frame_equal(again.point.reference, data.point.reference, check_dtype=False)
    assert again.sample.drop(columns="stack").equals(data.sample.drop(columns="stack"))


def test_equal_ones_make_equal_files(data: Compressed, path: Path, tmp_path: Path) -> None:
    write_compressed(data, tmp_path / "t.nc")
    assert (tmp_path / "t.nc").read_bytes() == path.read_bytes()


def test_any_netcdf_reader_opens_it(path: Path) -> None:
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        assert tree.attrs["format"] == "bayeslat statistics"
        dimensions = tree["windows/decode"]["gram"].dims
        assert dimensions == ("window", "group", "feature", "other_feature")
        assert tree["stages/decode"]["departure"].attrs["description"]


def test_what_is_cut_short_or_changed_is_refused(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    broken = tmp_path / "s.nc"
    for changed in (content[:-1000], content[:-10], content[:5000] + b"?" + content[5001:]):
        broken.write_bytes(changed)
        with pytest.raises(StatisticsFileError, match=r"s\.nc: .*compress the traces again"):
            read_compressed(broken)
    broken.write_bytes(b"")
    with pytest.raises(StatisticsFileError, match=r"is empty.*`bayeslat compress`"):
        read_compressed(broken)
    with pytest.raises(StatisticsFileError, match=r"no such file.*bayeslat compress"):
        read_compressed(tmp_path / "none.nc")


def test_posteriors_and_statistics_are_told_apart(path: Path, tmp_path: Path) -> None:
    write_posterior(make_data(), tmp_path / "p.nc")
    with pytest.raises(StatisticsFileError, match="bayeslat posterior, and no statistics"):
        read_compressed(tmp_path / "p.nc")
    with pytest.raises(PosteriorFileError, match="bayeslat statistics, and no posterior"):
        read_posterior(path)


def test_other_format_versions(
    data: Compressed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(compressed_file, "_KIND", replace(compressed_file._KIND, version=99))
        write_compressed(data, tmp_path / "s.nc")
    with pytest.raises(StatisticsFileError, match=r"version 99.*update bayeslat"):
        read_compressed(tmp_path / "s.nc")


def test_names_that_are_no_netcdf(data: Compressed, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"kept in a NetCDF file; name one that ends in \.nc"):
        write_compressed(data, tmp_path / "s.parquet")


def test_a_failed_write_leaves_the_old_file(data: Compressed, path: Path, tmp_path: Path) -> None:
    target = tmp_path / "s.nc"
    target.write_bytes(path.read_bytes())
    unwritable = replace(data, attrs={"no": object()})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_compressed(unwritable, target)
    assert target.read_bytes() == path.read_bytes()
    assert list(tmp_path.iterdir()) == [target]
