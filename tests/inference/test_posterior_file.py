from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayeslat.decisions.predict import predict
from bayeslat.errors import InputError, PosteriorFileError
from bayeslat.features.hardware import load_hardware
from bayeslat.inference import posterior_file
from bayeslat.inference.posterior import PosteriorData
from bayeslat.inference.posterior_file import read_posterior, write_posterior
from tests.posteriors import GPUS, make_configs, make_data

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


def test_everything_comes_back(data: PosteriorData, path: Path) -> None:
    again = read_posterior(path)
    for name in ("spec", "hardware", "groups", "families", "chains", "attrs"):
        assert getattr(again, name) == getattr(data, name), name
    assert str(again.diagnostics) == str(data.diagnostics)  # NaN is not equal to itself
    pd.testing.assert_frame_equal(again.reference, data.reference)
    for stage, part in data.stages.items():
        for name in ("shared_efficiency", "departure", "projection", "scales", "effects"):
            np.testing.assert_array_equal(getattr(again.stages[stage], name), getattr(part, name))
        for name in ("gram", "moment", "square", "rows"):
            np.testing.assert_array_equal(
                getattr(again.stages[stage].problem.statistics, name),
                getattr(part.problem.statistics, name),
            )


def test_the_file_reads_by_name_and_dimension(data: PosteriorData, path: Path) -> None:
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        posterior = tree["posterior"].dataset
        assert posterior["coefficient"].dims == ("chain", "draw", "gpu", "term")
        assert posterior["noise"].dims == ("chain", "draw", "stage")
        assert posterior["family_effect"].coords["family"].to_numpy().tolist() == ["hopper"]
        part = data.stages["prefill"]
        node = part.problem.tree.index("h100_sxm")
        offset = part.effects[:, node, 1] - part.effects[:, -1, 1]
        found = posterior.sel(gpu="h100_sxm", term="prefill/memory")
        np.testing.assert_allclose(found["offset"].to_numpy()[0], offset)
        np.testing.assert_allclose(
            found["coefficient"].to_numpy()[0],
            np.exp(part.shared_efficiency[1] + part.effects[:, node, 1]),
        )
        assert tree.attrs["spec_hash"] == data.spec.hash
        assert {"engine", "seed", "rows", "fingerprint", "hardware"} <= set(tree.attrs)


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
def test_every_flipped_bit_is_detected(path: Path, tmp_path: Path, place: float, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    other = tmp_path / "flipped.nc"
    other.write_bytes(content)
    with pytest.raises(PosteriorFileError, match=r"flipped\.nc: "):
        read_posterior(other)


def test_a_file_that_was_saved_again_by_others_is_detected(path: Path, tmp_path: Path) -> None:
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        tree.load()
    tree.to_netcdf(tmp_path / "again.nc", engine="h5netcdf")
    with pytest.raises(PosteriorFileError, match="damaged"):
        read_posterior(tmp_path / "again.nc")


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
    return target


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file; .*bayeslat fit"),
        ("empty", "is empty"),
        ("text", "is not a NetCDF file"),
        ("folder", "is a folder"),
        ("netcdf", "no posterior of bayeslat"),
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

    tree = xr.open_datatree(path, engine="h5netcdf")
    summary = arviz.summary(tree, var_names=["noise", "coefficient"])
    assert "noise[prefill]" in summary.index
    assert np.isfinite(summary.iloc[:, 0].astype(float)).all()
