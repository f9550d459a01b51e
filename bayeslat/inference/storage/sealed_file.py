"""Sealed files: one NetCDF file, written whole, and read only if not a byte of it changed.

A seal follows the NetCDF content: the SHA-256 of every byte before it. HDF5 ignores what follows
its content, so any NetCDF reader opens the file; ours checks the seal before anything is parsed.
Other readers have HDF5's own checksums of the draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xarray as xr

from bayeslat.atomic import atomic_path, refuse_folder
from bayeslat.errors import BayeslatError, InputError
from bayeslat.paths import as_path

__all__ = ["SealedKind", "format_of", "holds_netcdf"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_CLASSIC_NETCDF = b"CDF"
_SEAL = b"bayeslat-sha256:"
_LIKE = "out/fit.nc"


@dataclass(frozen=True)
class SealedKind:
    """What a sealed file holds.

    Attributes
    ----------
    format : str
        As the file says of itself.
    version : int
        Of the format.
    noun : str
        What it is, in one word.
    told : str
        The same with its verb, as in "a posterior is".
    maker : str
        The command that writes it.
    again : str
        What to do where a file is of no use.
    error : type of BayeslatError
    """

    format: str
    version: int
    noun: str
    told: str
    maker: str
    again: str
    error: type[BayeslatError]

    def check_path(self, path: str | Path) -> Path:
        """Return the path of a file to be written, if it can be one.

        Raises
        ------
        InputError
            If it is no path, or the name does not end in .nc, or is a folder's.
        """
        target = as_path(path, _LIKE)
        if target.suffix != ".nc":
            raise InputError(f"{target}: {self.told} a NetCDF file; name one that ends in .nc")
        refuse_folder(target, "a file that ends in .nc")
        return target

    def write(self, tree: xr.DataTree, path: str | Path) -> None:
        """Write a tree, whole or not at all; equal trees make equal files, byte for byte.

        (Not where the system's temporary folder cannot be written: then they hold the time.)

        Parameters
        ----------
        tree : DataTree
        path : str or Path
            Ends in .nc. Missing folders are made.

        Raises
        ------
        InputError
            If it is no path, or the name does not end in .nc, or is a folder's.
        """
        target = self.check_path(path)
        tree.attrs = {
            "format": self.format,
            "format_version": self.version,
            "creation_library": "bayeslat",
            "creation_library_version": version("bayeslat"),
            **tree.attrs,
        }
        content = _netcdf(tree)
        with atomic_path(target) as temporary, temporary.open("wb") as file:
            file.write(content)
            file.write(_seal(content))

    def read(self, path: str | Path) -> xr.DataTree:
        """Read a tree.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        InputError
            If it is no path.
        BayeslatError
            Of the kind's own type, if the file is missing, cut short, changed, of another format
            or version.
        """
        source = as_path(path, _LIKE)
        # What was checked is what is parsed, even if the file is replaced meanwhile.
        content = self._sealed_content(source)
        with xr.open_datatree(content, engine="netcdf4") as tree:
            self._check_format(source, tree.attrs)
            self._check_version(source, tree.attrs)
            return tree.load()

    def _sealed_content(self, path: Path) -> bytes:
        """Return a file's bytes, if they are those of such a file as it was written."""
        if not path.exists():
            raise self.error(f"{path}: no such file; `{self.maker} ... -o {path}` makes one")
        if path.is_dir():
            raise self.error(f"{path}: is a folder; name the .nc file in it")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise self.error(
                f"{path}: cannot be read ({error.strerror}); see who may read it"
            ) from error
        size = max(len(content) - len(_seal(b"")), 0)
        if content[size:] != _seal(memoryview(content)[:size]):
            raise self._unsealed(path, content, marked=content[size:].startswith(_SEAL))
        return content

    def _unsealed(self, path: Path, content: bytes, *, marked: bool) -> BayeslatError:
        """Tell what a file is that is none as it was written."""
        if not content:
            return self.error(f"{path}: is empty; name a file that `{self.maker}` wrote")
        if not content.startswith((_HDF5, _CLASSIC_NETCDF)) and not _HDF5.startswith(content):
            return self.error(
                f"{path}: is not a NetCDF file; name a file that `{self.maker}` wrote"
            )
        # HDF5 reads no changed bytes here: only files that never had a seal, or lost it as a whole.
        attrs = None if marked else _root_attributes(content)
        others = attrs is not None and attrs.get("format") != self.format
        if others or content.startswith(_CLASSIC_NETCDF):
            return self.error(
                f"{path}: a NetCDF file, but no {self.noun} of bayeslat; name a file that "
                f"`{self.maker}` wrote"
            )
        if attrs is not None:
            self._check_version(path, attrs)
        return self.error(
            f"{path}: cut short or damaged, or saved again by another program; copy it again from "
            f"where it was made, or {self.again}"
        )

    def _check_format(self, path: Path, attrs: Mapping[Any, Any]) -> None:
        """Refuse other files that bayeslat sealed."""
        found = attrs.get("format")
        if found != self.format:
            raise self.error(
                f"{path}: holds a {found}, and no {self.noun}; name a file that `{self.maker}` "
                "wrote"
            )

    def _check_version(self, path: Path, attrs: Mapping[Any, Any]) -> None:
        """Refuse other versions of this format."""
        found = np.ravel(attrs.get("format_version", "unknown"))[0]
        if found != self.version:
            newer = isinstance(found, np.integer) and found > self.version
            cure = "update bayeslat" if newer else self.again
            raise self.error(
                f"{path}: of format version {found}; this bayeslat reads version {self.version}. "
                f"To go on, {cure}"
            )


def holds_netcdf(path: str | Path) -> bool:
    """Tell whether a file begins as NetCDF files do.

    Parameters
    ----------
    path : str or Path
    """
    source = Path(path)
    if not source.is_file():
        return False
    with source.open("rb") as file:
        return file.read(len(_HDF5)).startswith((_HDF5, _CLASSIC_NETCDF))


def format_of(path: str | Path) -> str | None:
    """Return what a sealed file says that it holds; None if it cannot be told.

    Parameters
    ----------
    path : str or Path
    """
    if not holds_netcdf(path):
        return None
    attrs = _root_attributes(Path(path).read_bytes())
    found = (attrs or {}).get("format")
    return found if isinstance(found, str) else None


def _netcdf(tree: xr.DataTree) -> bytes:
    """Return a tree as NetCDF content.

    By way of a file: in memory, netCDF writes down the time. Where a file cannot be written it does
    not say why, which writing the content to its place will.
    """
    encoding = _encoding(tree)
    try:
        with TemporaryDirectory() as folder:
            path = Path(folder, "tree.nc")
            tree.to_netcdf(path, engine="netcdf4", encoding=encoding)
            return path.read_bytes()
    except (OSError, RuntimeError):
        return bytes(tree.to_netcdf(None, engine="netcdf4", encoding=encoding))


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


def _root_attributes(content: bytes) -> dict[str, Any] | None:
    """Return what a NetCDF file says of itself; None if it cannot be opened."""
    try:
        with xr.open_dataset(content, engine="netcdf4") as root:
            return dict(root.attrs)
    except (OSError, RuntimeError, ValueError, KeyError):
        return None
