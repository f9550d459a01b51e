"""The posterior file: a sealed NetCDF file that ArviZ and xarray open."""

from __future__ import annotations

from pathlib import Path

from bayeslat.errors import PosteriorFileError, SpecError
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.storage.posterior_tree import from_tree, to_tree
from bayeslat.inference.storage.sealed_file import SealedKind

__all__ = ["FORMAT_VERSION", "check_posterior_path", "read_posterior", "write_posterior"]

FORMAT = "bayeslat posterior"
FORMAT_VERSION = 6


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
    _kind().write(to_tree(data), path)


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
    tree = _kind().read(path)
    try:
        data = from_tree(tree)
    except (KeyError, ValueError, TypeError, SpecError) as error:
        raise PosteriorFileError(
            f"{path}: holds a posterior that cannot be rebuilt ({error}); fit again"
        ) from error
    if data.spec.hash != tree.attrs["spec_hash"]:
        raise PosteriorFileError(
            f"{path}: its specification means something else to this version of bayeslat; "
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
    return _kind().check_path(path)


def _kind() -> SealedKind:
    return SealedKind(
        format=FORMAT,
        version=FORMAT_VERSION,
        noun="posterior",
        told="a posterior is",
        maker="bayeslat fit",
        again="fit again",
        error=PosteriorFileError,
    )
