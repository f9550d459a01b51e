"""The posterior file: one NetCDF file, written whole, and read only if not a byte of it changed.

A seal follows the NetCDF content: the SHA-256 of every byte before it. HDF5 ignores what follows
its content, so any NetCDF reader opens the file; ours checks the seal before anything is parsed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from bayeslat.atomic import atomic_path
from bayeslat.errors import InputError, PosteriorFileError, SpecError
from bayeslat.inference.posterior import PosteriorData
from bayeslat.inference.posterior_tree import from_tree, to_tree

__all__ = ["FORMAT_VERSION", "check_posterior_path", "read_posterior", "write_posterior"]

FORMAT = "bayeslat posterior"
FORMAT_VERSION = 1
_HDF5 = b"\x89HDF\r\n\x1a\n"
_SEAL = b"bayeslat-sha256:"


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
    with atomic_path(target) as temporary:
        tree.to_netcdf(temporary, engine="h5netcdf")
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
    _check_seal(source)
    with xr.open_datatree(source, engine="h5netcdf") as tree:
        _check_format(source, tree.attrs)
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


def _seal(content: bytes | memoryview) -> bytes:
    """What follows the content."""
    return _SEAL + hashlib.sha256(content).hexdigest().encode()


def _check_seal(path: Path) -> None:
    """Refuse what is no posterior, and a posterior that is not as it was written."""
    if not path.exists():
        raise PosteriorFileError(f"{path}: no such file; `bayeslat fit ... -o {path}` makes one")
    if path.is_dir():
        raise PosteriorFileError(f"{path}: is a folder; name the .nc file in it")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PosteriorFileError(f"{path}: cannot be read ({error.strerror})") from error
    if not content.startswith(_HDF5):
        what = "is not a NetCDF file" if content else "is empty"
        raise PosteriorFileError(f"{path}: {what}; name a file that `bayeslat fit` wrote")
    size = len(content) - len(_seal(b""))
    if content[size:] != _seal(memoryview(content)[:size]):
        if _is_other_netcdf(path):
            raise PosteriorFileError(
                f"{path}: a NetCDF file, but no posterior of bayeslat; name a file that "
                "`bayeslat fit` wrote"
            )
        raise PosteriorFileError(
            f"{path}: cut short or damaged; copy it again from where it was made, or fit again"
        )


def _is_other_netcdf(path: Path) -> bool:
    """Whether a file can be read, and says that it is something else."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("format") != FORMAT)
    except (OSError, RuntimeError, ValueError, KeyError):
        return False


def _check_format(path: Path, attrs: Mapping[Any, Any]) -> None:
    """Refuse other versions of this format."""
    found = int(attrs["format_version"])
    if found != FORMAT_VERSION:
        cure = "update bayeslat" if found > FORMAT_VERSION else "fit again"
        raise PosteriorFileError(
            f"{path}: of format version {found}; this bayeslat reads version {FORMAT_VERSION}. "
            f"To go on, {cure}"
        )
