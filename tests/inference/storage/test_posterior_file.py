from __future__ import annotations

import resource
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bayeslat.decisions.predict import predict
from bayeslat.errors import InputError, PosteriorFileError
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.storage import posterior_file, sealed_file
from bayeslat.inference.storage.posterior_file import read_posterior, write_posterior
from bayeslat.inference.storage.posterior_tree import to_tree
from tests.posteriors import GPUS, make_configs, make_data
from tests.random_posteriors import assert_same, random_posteriors

pytestmark = pytest.mark.xdist_group("small posterior")

CASES: dict[str, dict[str, Any]] = {
    "family": {},
    "lone": {"gpus": ("a100_sxm", "l40s")},
    "one GPU": {"gpus": ("l40s",)},
    "stacks": {"stacks": ("v1", "v2")},
    "tasks": {"tasks": ("qa", "captioning")},
}


@pytest.fixture(scope="module")
def data() -> PosteriorData:
    return make_data()


@pytest.fixture(scope="module")
def path(data: PosteriorData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("posterior") / "posterior.nc"
    write_posterior(data, target)
    return target


@pytest.mark.parametrize("case", CASES)
def test_predictions_do_not_change_by_a_bit(case: str, tmp_path: Path) -> None:
    data = make_data(**CASES[case])
    write_posterior(data, tmp_path / "p.nc")
    again = read_posterior(tmp_path / "p.nc")
    configs = make_configs(20, seed=5)
    for name in (*data.gpus, "b200_sxm"):
        gpu = load_hardware().resolve(name)
        expected = predict(data, configs, gpu).frame
        pd.testing.assert_frame_equal(
            predict(again, configs, gpu).frame, expected, check_exact=True
        )


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=random_posteriors())
def test_every_posterior_comes_back_to_the_bit(tmp_path: Path, data: PosteriorData) -> None:
    write_posterior(data, tmp_path / "p.nc")
    assert_same(read_posterior(tmp_path / "p.nc"), data)


def test_equal_posteriors_make_equal_files(data: PosteriorData, path: Path, tmp_path: Path) -> None:
    time.sleep(1.1)  # netCDF may write down the second
    write_posterior(read_posterior(path), tmp_path / "again.nc")
    assert (tmp_path / "again.nc").read_bytes() == path.read_bytes()


def test_a_system_without_a_temporary_folder_can_write(
    data: PosteriorData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_here() -> TemporaryDirectory[str]:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(sealed_file, "TemporaryDirectory", none_here)
    write_posterior(data, tmp_path / "p.nc")
    assert_same(read_posterior(tmp_path / "p.nc"), data)


def test_xarray_opens_the_file(data: PosteriorData, path: Path) -> None:
    with xr.open_datatree(path) as tree:
        xr.testing.assert_identical(tree["posterior"].load(), to_tree(data)["posterior"])
        assert {"posterior", "sample_stats", "stages", "reference"} <= set(tree.children)
        assert tree.attrs["format"] == "bayeslat posterior"
        assert tree.attrs["creation_library_version"] == version("bayeslat")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True))
def test_every_truncation_is_detected(path: Path, tmp_path: Path, place: float) -> None:
    content = path.read_bytes()
    short = tmp_path / "short.nc"
    short.write_bytes(content[: int(place * len(content))])
    with pytest.raises(PosteriorFileError, match=r"short\.nc: .*(cut short|is empty|not a NetCDF)"):
        read_posterior(short)


@pytest.mark.parametrize("lost", [1, 2, 7, 8, 64, 512])
def test_a_few_lost_bytes_are_detected(path: Path, tmp_path: Path, lost: int) -> None:
    short = tmp_path / "short.nc"
    short.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(PosteriorFileError, match="cut short or damaged"):
        read_posterior(short)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@example(place=1 - 1e-9, bit=0)  # the last byte
def test_every_flipped_bit_is_detected(path: Path, tmp_path: Path, place: float, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    other = tmp_path / "flipped.nc"
    other.write_bytes(content)
    with pytest.raises(PosteriorFileError, match=r"flipped\.nc: "):
        read_posterior(other)


@pytest.mark.parametrize(
    ("engine", "error", "told"),
    [
        ("h5netcdf", OSError, "filter returned failure"),
        ("netcdf4", RuntimeError, "HDF error"),
    ],
)
def test_other_readers_notice_a_changed_draw(
    data: PosteriorData,
    path: Path,
    tmp_path: Path,
    engine: str,
    error: type[Exception],
    told: str,
) -> None:
    content = bytearray(path.read_bytes())
    draws = to_tree(data)["posterior"]["gpu_effect"].to_numpy().tobytes()
    content[content.index(draws) + len(draws) // 2] ^= 1
    (tmp_path / "flipped.nc").write_bytes(content)
    with (
        xr.open_datatree(tmp_path / "flipped.nc", engine=engine) as tree,
        pytest.raises(error, match=told),
    ):
        tree["posterior"]["gpu_effect"].load()


def save_again(path: Path, target: Path, by: str, **attrs: Any) -> None:
    """Let another program store a posterior, with some attributes changed."""
    if by == "xarray":
        with xr.open_datatree(path) as tree:
            tree.load()
        tree.attrs |= attrs
        tree.to_netcdf(target, engine="h5netcdf")
    else:
        target.write_bytes(path.read_bytes())
        with h5py.File(target, "r+") as file:
            file.attrs.update(attrs)


@pytest.mark.parametrize("by", ["xarray", "h5py"])
def test_a_file_that_was_saved_again_by_others_is_detected(
    path: Path, tmp_path: Path, by: str
) -> None:
    save_again(path, tmp_path / "again.nc", by, note="saved again")
    with pytest.raises(PosteriorFileError, match=r"again\.nc: .*saved again by another program"):
        read_posterior(tmp_path / "again.nc")


@pytest.mark.parametrize("by", ["xarray", "h5py"])
@pytest.mark.parametrize("found", [posterior_file.FORMAT_VERSION + 1, 999, 0, "next"])
def test_a_version_that_was_changed_by_others_is_told(
    path: Path, tmp_path: Path, by: str, found: int | str
) -> None:
    save_again(path, tmp_path / "again.nc", by, format_version=found)
    with pytest.raises(PosteriorFileError, match=f"version {found}; this bayeslat reads version"):
        read_posterior(tmp_path / "again.nc")


def test_a_specification_that_does_not_match_its_hash_is_detected(
    data: PosteriorData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sealed file, as of a version of bayeslat that understands specifications otherwise."""

    def forge(data: PosteriorData) -> xr.DataTree:
        tree = to_tree(data)
        tree.attrs["spec_hash"] = "0" * 64
        return tree

    monkeypatch.setattr(posterior_file, "to_tree", forge)
    write_posterior(data, tmp_path / "p.nc")
    with pytest.raises(PosteriorFileError, match=r"p\.nc: its specification means something else"):
        read_posterior(tmp_path / "p.nc")


def test_a_sealed_file_that_lacks_a_part_is_detected(
    data: PosteriorData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        posterior_file, "to_tree", lambda data: to_tree(data).drop_nodes("reference")
    )
    write_posterior(data, tmp_path / "p.nc")
    with pytest.raises(PosteriorFileError, match=r"p\.nc: .*cannot be rebuilt.*reference"):
        read_posterior(tmp_path / "p.nc")


def write_other(path: Path, kind: str) -> Path:
    """Write something that is no posterior."""
    target = path / "other.nc"
    if kind == "empty":
        target.touch()
    elif kind == "text":
        target.write_text("gpu,t_step_ms\n")
    elif kind == "folder":
        target.mkdir()
    elif kind == "netcdf":
        xr.Dataset({"x": ("y", [1.0])}).to_netcdf(target, engine="h5netcdf")
    elif kind == "classic netcdf":
        xr.Dataset({"x": ("y", [1.0])}).to_netcdf(target, engine="scipy")
    return target


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file; .*bayeslat fit"),
        ("empty", "is empty"),
        ("text", "is not a NetCDF file"),
        ("folder", "is a folder"),
        ("netcdf", "no posterior of bayeslat"),
        ("classic netcdf", "no posterior of bayeslat"),
    ],
)
def test_what_is_no_posterior(kind: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PosteriorFileError, match=rf"other\.nc: .*{message}"):
        read_posterior(write_other(tmp_path, kind))


@pytest.mark.parametrize(("shift", "cure"), [(1, "update bayeslat"), (-1, "fit again")])
def test_other_format_versions(
    data: PosteriorData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: int, cure: str
) -> None:
    ours = posterior_file.FORMAT_VERSION
    with monkeypatch.context() as patch:
        patch.setattr(posterior_file, "FORMAT_VERSION", ours + shift)
        write_posterior(data, tmp_path / "p.nc")
    with pytest.raises(
        PosteriorFileError,
        match=f"version {ours + shift}; this bayeslat reads version {ours}.*{cure}",
    ):
        read_posterior(tmp_path / "p.nc")


def test_a_full_disk_is_an_error_and_leaves_nothing(data: PosteriorData, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # of a file, in bytes
    try:
        with pytest.raises(OSError, match="File too large"):
            write_posterior(data, tmp_path / "big.nc")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_a_link_stays_one(data: PosteriorData, tmp_path: Path) -> None:
    (tmp_path / "link.nc").symlink_to(tmp_path / "shelf" / "real.nc")
    write_posterior(data, tmp_path / "link.nc")
    assert (tmp_path / "link.nc").is_symlink()
    assert read_posterior(tmp_path / "shelf" / "real.nc").stages.keys() == data.stages.keys()


def test_a_failed_write_leaves_the_old_file(
    data: PosteriorData, path: Path, tmp_path: Path
) -> None:
    target = tmp_path / "p.nc"
    target.write_bytes(path.read_bytes())
    unwritable = replace(data, attrs={**data.attrs, "engine": {"no": "attribute"}})
    with pytest.raises(TypeError):
        write_posterior(unwritable, target)
    assert target.read_bytes() == path.read_bytes()
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["posterior.h5", "posterior"])
def test_a_posterior_ends_in_nc(data: PosteriorData, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"name one that ends in \.nc"):
        write_posterior(data, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_reading_and_predicting_load_no_sampler(path: Path, tmp_path: Path) -> None:
    make_configs(3).to_parquet(tmp_path / "configs.parquet")
    code = (
        "import sys, bayeslat as bl\n"
        f"posterior = bl.load_posterior({str(path)!r})\n"
        f"configs = bl.read_configs({str(tmp_path / 'configs.parquet')!r})\n"
        f"assert len(posterior.predict(configs, gpu={GPUS[0]!r}).frame) == 3\n"
        "heavy = {'pymc', 'pytensor', 'nutpie', 'arviz', 'numba', 'matplotlib', 'torch'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_arviz_reads_the_file(path: Path) -> None:
    import arviz
    import matplotlib

    matplotlib.use("Agg")
    tree = xr.open_datatree(path)
    summary = arviz.summary(tree)
    assert {"noise[prefill]", "coefficient[h100_sxm, decode/memory]"} <= set(summary.index)
    assert np.isfinite(summary["mean"].astype(float)).all()
    for plot in (arviz.plot_forest, arviz.plot_trace_dist, arviz.plot_pair):
        plot(tree, var_names=["noise", "family_share"])


@pytest.mark.parametrize("what", ["stack", "task"])
def test_names_with_spaces_around_them_are_refused(what: str, tmp_path: Path) -> None:
    data = make_data(**CASES["tasks"])
    changed = (
        replace(data, groups=tuple((gpu, "v1 ") for gpu, _ in data.groups))
        if what == "stack"
        else replace(data, reference=data.reference.assign(task=" qa"))
    )
    write_posterior(changed, tmp_path / "p.nc")
    with pytest.raises(PosteriorFileError, match=r"'(v1 | qa)' has spaces around it.*fit again"):
        read_posterior(tmp_path / "p.nc")
