"""The posterior file: one NetCDF file, written whole, and read only if not a byte of it changed.

A seal follows the NetCDF content: the SHA-256 of every byte before it. HDF5 ignores what follows
its content, so any NetCDF reader opens the file; ours checks the seal before anything is parsed.
Other readers have HDF5's own checksums of the draws.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayeslat.atomic import atomic_path
from bayeslat.errors import InputError, PosteriorFileError, SpecError
from bayeslat.inference.posterior import PosteriorData
from bayeslat.inference.posterior_tree import from_tree, to_tree

__all__ = ["FORMAT_VERSION", "check_posterior_path", "read_posterior", "write_posterior"]

FORMAT = "bayeslat posterior"
FORMAT_VERSION = 2
_HDF5 = b"\x89HDF\r\n\x1a\n"
_CLASSIC_NETCDF = b"CDF"
_SEAL = b"bayeslat-sha256:"


def write_posterior(data: PosteriorData, path: str | Path) -> None:
    """Write a posterior file, whole or not at all.

    Equal posteriors make equal files, byte for byte.

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
    tree.attrs = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "creation_library": "bayeslat",
        "creation_library_version": version("bayeslat"),
        **tree.attrs,
    }
    with atomic_path(target) as temporary:
        tree.to_netcdf(temporary, engine="h5netcdf", encoding=_encoding(tree))
        seal = _seal(temporary.read_bytes())
        with temporary.open("ab") as file:
            file.write(seal)


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
    # What was checked is what is parsed, even if the file is replaced meanwhile.
    content = io.BytesIO(_sealed_content(source))
    with xr.open_datatree(content, engine="h5netcdf") as tree:
        _check_version(source, tree.attrs)
        tree.load()
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


def _encoding(tree: xr.DataTree) -> dict[str, dict[str, dict[str, Any]]]:
    """How variables are stored, by group and name."""
    return {
        node.path: {str(name): _storage(variable) for name, variable in node.data_vars.items()}
        for node in tree.subtree
    }


def _storage(variable: xr.DataArray) -> dict[str, Any]:
    """Every number as it is, none standing for "missing"; draws with checksums, a chunk a chain."""
    storage: dict[str, Any] = {"_FillValue": None} if variable.dtype.kind == "f" else {}
    if "chain" in variable.dims:
        storage |= {"fletcher32": True, "chunksizes": (1, *variable.shape[1:])}
    return storage


def _seal(content: bytes | memoryview) -> bytes:
    """What follows the content."""
    return _SEAL + hashlib.sha256(content).hexdigest().encode()


def _sealed_content(path: Path) -> bytes:
    """Return a file's bytes, if they are those of a posterior as it was written."""
    if not path.exists():
        raise PosteriorFileError(f"{path}: no such file; `bayeslat fit ... -o {path}` makes one")
    if path.is_dir():
        raise PosteriorFileError(f"{path}: is a folder; name the .nc file in it")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PosteriorFileError(
            f"{path}: cannot be read ({error.strerror}); see who may read it"
        ) from error
    size = max(len(content) - len(_seal(b"")), 0)
    if content[size:] != _seal(memoryview(content)[:size]):
        raise _unsealed(path, content, marked=content[size:].startswith(_SEAL))
    return content


def _unsealed(path: Path, content: bytes, *, marked: bool) -> PosteriorFileError:
    """Tell what a file is that is no posterior as it was written."""
    if not content:
        return PosteriorFileError(f"{path}: is empty; name a file that `bayeslat fit` wrote")
    if not content.startswith((_HDF5, _CLASSIC_NETCDF)) and not _HDF5.startswith(content):
        return PosteriorFileError(
            f"{path}: is not a NetCDF file; name a file that `bayeslat fit` wrote"
        )
    # HDF5 reads no changed bytes here: only files that never had a seal, or lost it as a whole.
    attrs = None if marked else _root_attributes(content)
    if content.startswith(_CLASSIC_NETCDF) or (attrs and attrs.get("format") != FORMAT):
        return PosteriorFileError(
            f"{path}: a NetCDF file, but no posterior of bayeslat; name a file that "
            "`bayeslat fit` wrote"
        )
    if attrs:
        _check_version(path, attrs)
    return PosteriorFileError(
        f"{path}: cut short or damaged, or saved again by another program; copy it again from "
        "where it was made, or fit again"
    )


def _root_attributes(content: bytes) -> dict[str, Any] | None:
    """Return what a NetCDF file says of itself; None if it cannot be opened."""
    import h5py

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            return dict(file.attrs)
    except (OSError, RuntimeError, ValueError, KeyError):
        return None


def _check_version(path: Path, attrs: Mapping[Any, Any]) -> None:
    """Refuse other versions of this format."""
    found = np.ravel(attrs.get("format_version", "unknown"))[0]
    if found != FORMAT_VERSION:
        newer = isinstance(found, np.integer) and found > FORMAT_VERSION
        cure = "update bayeslat" if newer else "fit again"
        raise PosteriorFileError(
            f"{path}: of format version {found}; this bayeslat reads version {FORMAT_VERSION}. "
            f"To go on, {cure}"
        )
