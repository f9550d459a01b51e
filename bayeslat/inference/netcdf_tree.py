"""NetCDF content as a tree of labelled arrays: `xarray.open_datatree`, several times as fast.

xarray wraps each variable in layers that put reading off, and asks the file again in each of them.
Nothing is put off here, so nothing has to be wrapped. What xarray writes of the arrays of
`bayeslat.inference.labelled` is read: numbers without a fill value, truth values and text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

if TYPE_CHECKING:
    import h5py

__all__ = ["attributes", "read_tree"]

# What HDF5 and NetCDF note of dimensions, not what anybody said of the variable.
_OF_DIMENSIONS = frozenset(
    {
        "CLASS",
        "NAME",
        "DIMENSION_LIST",
        "REFERENCE_LIST",
        "_Netcdf4Coordinates",
        "_Netcdf4Dimid",
        "_NCProperties",
    }
)
_ONLY_A_DIMENSION = b"This is a netCDF dimension but not a netCDF variable"
# NetCDF has no truth values: xarray writes numbers, and what they are into this attribute.
_KIND = "dtype"


def read_tree(file: h5py.File) -> xr.DataTree:
    """Read every group, with all its values.

    Parameters
    ----------
    file : h5py.File
        Of NetCDF content, open.

    Returns
    -------
    DataTree
        Identical to the one that xarray opens.
    """
    return xr.DataTree.from_dict(_datasets("/", file, {}))


def attributes(held: h5py.HLObject) -> dict[str, Any]:
    """Return what a group or variable says of itself.

    Parameters
    ----------
    held : h5py.File, h5py.Group or h5py.Dataset
    """
    return {name: _scalar(held.attrs[name]) for name in held.attrs if name not in _OF_DIMENSIONS}


def _datasets(
    path: str, group: h5py.Group, names_above: Mapping[h5py.HLObject, str]
) -> dict[str, xr.Dataset]:
    """Read a group and those below it, whose variables may have its dimensions."""
    import h5py

    # HDF5 finds the name of what a reference points at by a search of the file.
    names = dict(names_above) | {held: name for name, held in group.items()}
    variables: dict[str, xr.Variable] = {}
    below: dict[str, xr.Dataset] = {}
    for name, held in group.items():
        if isinstance(held, h5py.Group):
            below |= _datasets(f"{path.rstrip('/')}/{name}", held, names)
        elif not bytes(held.attrs.get("NAME", b"")).startswith(_ONLY_A_DIMENSION):
            variables[name] = _variable(name, held, names)
    return {path: xr.Dataset(variables, attrs=attributes(group)), **below}


def _variable(name: str, stored: h5py.Dataset, names: Mapping[h5py.HLObject, str]) -> xr.Variable:
    """Read a variable."""
    attrs = attributes(stored)
    kind = attrs.pop(_KIND, None)
    values = _values(stored)
    if kind is not None:
        values = values.astype(kind)
    return xr.Variable(_dimensions(name, stored, names), values, attrs)


def _dimensions(
    name: str, stored: h5py.Dataset, names: Mapping[h5py.HLObject, str]
) -> tuple[str, ...]:
    """Name a variable's dimensions; one that labels a dimension has no list, but its name."""
    if "DIMENSION_LIST" in stored.attrs:
        return tuple(names[stored.file[first]] for first, *_ in stored.attrs["DIMENSION_LIST"])
    return (name,) if stored.ndim else ()


def _values(stored: h5py.Dataset) -> NDArray[Any]:
    """Read the values; text as NumPy has it."""
    import h5py

    if h5py.check_string_dtype(stored.dtype) is None:
        return np.asarray(stored[()])
    return np.asarray(stored.asstr()[()]).astype(str)


def _scalar(value: Any) -> Any:
    """Return an attribute; NetCDF's are arrays, most of one element."""
    return value[0] if isinstance(value, np.ndarray) and value.shape == (1,) else value
