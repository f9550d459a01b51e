from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings

from bayeslat.errors import PosteriorFileError
from bayeslat.inference.netcdf_tree import read_tree
from bayeslat.inference.posterior import PosteriorData
from bayeslat.inference.posterior_file import write_posterior
from bayeslat.inference.sealed_file import SealedKind
from tests.random_posteriors import random_posteriors

KIND = SealedKind(
    format="something",
    version=1,
    noun="something",
    told="something is",
    maker="bayeslat make",
    again="make it again",
    error=PosteriorFileError,
)


def assert_read_as_by_xarray(path: Path) -> None:
    with h5py.File(path, "r") as file:
        found = read_tree(file)
    with xr.open_datatree(path, engine="h5netcdf") as expected:
        xr.testing.assert_identical(found, expected.load())
        # What `identical` does not look at: a file that is written again has the same order.
        for mine, theirs in zip(found.subtree, expected.subtree, strict=True):
            assert list(mine.attrs) == list(theirs.attrs)
            assert list(mine.variables) == list(theirs.variables)
            for name, variable in mine.variables.items():
                assert variable.dtype == theirs.variables[name].dtype


@pytest.fixture
def tree() -> xr.DataTree:
    root = xr.Dataset(
        {"level": ("gpu", [1.5, np.nan])},
        coords={"gpu": np.array(["h100", "µ"], dtype=object)},
        attrs={"rows": 3, "share": 0.5, "ends": [1.0, 2.0], "names": "a b"},
    )
    child = xr.Dataset(
        {
            "diverged": (("chain", "draw"), np.array([[True, False, True]])),
            "of_each": (("gpu", "chain"), np.array([[1], [2]], dtype=np.int32), {"unit": "ms"}),
            "alone": ((), 7.0),
            "square": (("draw", "other_draw"), np.arange(9.0, dtype=np.float32).reshape(3, 3)),
        },
        coords={"draw": np.arange(3)},
    )
    return xr.DataTree.from_dict({"/": root, "stages/prefill": child, "stages/decode": child})


def test_every_kind_of_variable_is_read_as_xarray_reads_it(
    tree: xr.DataTree, tmp_path: Path
) -> None:
    KIND.write(tree, tmp_path / "t.nc")
    assert_read_as_by_xarray(tmp_path / "t.nc")
    xr.testing.assert_identical(KIND.read(tmp_path / "t.nc"), tree)


def test_another_value_dimension_or_attribute_is_told(tree: xr.DataTree, tmp_path: Path) -> None:
    KIND.write(tree, tmp_path / "t.nc")
    found = KIND.read(tmp_path / "t.nc")
    prefill = found["stages/prefill"].dataset
    for changed in (
        prefill.assign(diverged=~prefill["diverged"]),
        prefill.assign(alone=8.0),
        prefill.rename(other_draw="another"),
        prefill.assign(of_each=prefill["of_each"].assign_attrs(unit="us")),
    ):
        other = found.copy(deep=True)
        other["stages/prefill"] = xr.DataTree(changed)
        with pytest.raises(AssertionError):
            xr.testing.assert_identical(found, other)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=random_posteriors())
def test_every_posterior_is_read_as_xarray_reads_it(tmp_path: Path, data: PosteriorData) -> None:
    write_posterior(data, tmp_path / "p.nc")
    assert_read_as_by_xarray(tmp_path / "p.nc")
