"""The posterior file: one NetCDF file, written whole, and read only if nothing in it changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeslat.atomic import atomic_path
from bayeslat.errors import InputError, PosteriorFileError, SpecError
from bayeslat.inference.posterior import PosteriorData
from bayeslat.inference.posterior_tree import from_tree, to_tree

__all__ = ["FORMAT_VERSION", "check_posterior_path", "read_posterior", "write_posterior"]

FORMAT = "bayeslat posterior"
FORMAT_VERSION = 1
_HDF5 = b"\x89HDF\r\n\x1a\n"
_DIGEST = "sha256"


def write_posterior(data: PosteriorData, path: str | Path) -> None:
    """Write a posterior file, whole or not at all.

    Parameters
    ----------
    data : PosteriorData
    path : str or Path
        Ends in .nc. Missing folders are made.

    Raises
    ------
    InputError
        If the name does not end in .nc, or is a folder's.
    """
    target = check_posterior_path(path)
    tree = to_tree(data)
    tree.attrs = {"format": FORMAT, "format_version": FORMAT_VERSION, **tree.attrs}
    tree.attrs[_DIGEST] = _digest(tree)
    with atomic_path(target) as temporary:
        tree.to_netcdf(temporary, engine="h5netcdf")


def read_posterior(path: str | Path) -> PosteriorData:
    """Read a posterior file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    PosteriorData

    Raises
    ------
    PosteriorFileError
        If the file is missing, cut short, changed, of another format version, or no posterior.
    """
    source = Path(path)
    _check_signature(source)
    damaged = PosteriorFileError(
        f"{source}: cut short or damaged; copy it again from where it was made, or fit again"
    )
    try:
        with xr.open_datatree(source, engine="h5netcdf") as tree:
            _check_format(source, tree.attrs)
            tree.load()
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, UnicodeError) as error:
        raise damaged from error
    if tree.attrs.get(_DIGEST) != _digest(tree):
        raise damaged
    try:
        data = from_tree(tree)
    except (KeyError, ValueError, TypeError, SpecError) as error:
        raise PosteriorFileError(
            f"{source}: holds a posterior that cannot be rebuilt ({error}); fit again"
        ) from error
    if data.spec.hash != tree.attrs["spec_hash"]:
        raise PosteriorFileError(
            f"{source}: its specification means something else to this version of bayeslat; "
            "fit again, or use the version that wrote it"
        )
    return data


def check_posterior_path(path: str | Path) -> Path:
    """Return the path of a posterior to be written, if it can be one.

    Raises
    ------
    InputError
        If the name does not end in .nc, or is a folder's.
    """
    target = Path(path)
    if target.suffix != ".nc":
        raise InputError(f"{target}: a posterior is a NetCDF file; name one that ends in .nc")
    if target.is_dir():
        raise InputError(f"{target}: is a folder; name a file that ends in .nc")
    return target


def _check_signature(path: Path) -> None:
    """Refuse what is not even an HDF5 file."""
    if not path.exists():
        raise PosteriorFileError(f"{path}: no such file; `bayeslat fit ... -o {path}` makes one")
    if path.is_dir():
        raise PosteriorFileError(f"{path}: is a folder; name the .nc file in it")
    try:
        with path.open("rb") as file:
            start = file.read(len(_HDF5))
    except OSError as error:
        raise PosteriorFileError(f"{path}: cannot be read ({error.strerror})") from error
    if start != _HDF5:
        what = "is empty" if not start else "is not a NetCDF file"
        raise PosteriorFileError(f"{path}: {what}; name a file that `bayeslat fit` wrote")


def _check_format(path: Path, attrs: Mapping[Any, Any]) -> None:
    """Refuse other NetCDF files, and other versions of this format."""
    if attrs.get("format") != FORMAT:
        raise PosteriorFileError(
            f"{path}: a NetCDF file, but no posterior of bayeslat; name a file that "
            "`bayeslat fit` wrote"
        )
    found = int(attrs["format_version"])
    if found != FORMAT_VERSION:
        cure = "update bayeslat" if found > FORMAT_VERSION else "fit again"
        raise PosteriorFileError(
            f"{path}: of format version {found}; this bayeslat reads version {FORMAT_VERSION}. "
            f"To go on, {cure}"
        )


def _digest(tree: xr.DataTree) -> str:
    """SHA-256 (hex) of every array, label and attribute but the digest itself."""
    total = hashlib.sha256()
    for node in sorted(tree.subtree, key=lambda each: each.path):
        attrs = {name: _scalar(node.attrs[name]) for name in node.attrs if name != _DIGEST}
        total.update(json.dumps([node.path, attrs], sort_keys=True).encode())
        for name, variable in sorted(node.dataset.variables.items(), key=lambda pair: str(pair[0])):
            total.update(json.dumps([name, variable.dims, variable.shape]).encode())
            total.update(_content(variable.to_numpy()))
    return total.hexdigest()


def _scalar(value: Any) -> Any:
    """Turn NumPy's numbers into Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _content(values: NDArray[Any]) -> bytes:
    """Bytes of an array that do not depend on how text or the byte order is stored."""
    if values.dtype.kind in "biuf":
        wide = values.astype("<f8" if values.dtype.kind == "f" else "<i8", copy=False)
        return np.ascontiguousarray(wide).tobytes()
    return json.dumps([str(value) for value in values.ravel()]).encode()
