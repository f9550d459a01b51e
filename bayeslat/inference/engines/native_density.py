"""The collapsed density as a C function, which nutpie's threads call without Python.

A call through Python costs as much as the density of a small stage, and chains wait for each other
at Python's lock. nutpie takes C functions from compiled PyMC models; the classes that hold them are
its own, but take any function of that form.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import cfunc, types
from numpy.typing import NDArray

from bayeslat.inference.engines.mode import Mode
from bayeslat.model.collapsed import HEAD, packed_identity, packed_log_posterior
from bayeslat.model.collapsed_data import CollapsedData

__all__ = ["native_model"]

_REAL = types.CPointer(types.double)


def native_model(data: CollapsedData, mode: Mode) -> Any:
    """Give nutpie the log density in whitened scores, and the scores as its only variable.

    Parameters
    ----------
    data : CollapsedData
    mode : Mode
        Of the scales: the density is of `white`, with scores = centre + root @ white.

    Returns
    -------
    nutpie.compile_pymc.CompiledPyMCModel
        With the variable `white`, shape (scale,).
    """
    from nutpie.compile_pymc import CompiledPyMCModel

    size = len(mode.centre)
    density, identity = _functions()
    return CompiledPyMCModel(
        dims={},
        compiled_logp_func=density,
        compiled_expand_func=identity,
        initial_point_func=_start(size),
        shared_data={},
        shared_var_keys={},
        user_data=_pack(data, mode),
        n_expanded=size,
        shape_info=(["white"], [slice(0, size)], [(size,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=size,
        _shapes={"white": (size,)},
        _coords={},
    )


def _start(size: int) -> Callable[[int], NDArray[np.float64]]:
    """Start chains at draws of the normal view of the posterior, twice as wide."""
    return lambda seed: 2.0 * np.random.default_rng(seed).standard_normal(size)


def _pack(data: CollapsedData, mode: Mode) -> NDArray[np.float64]:
    """Lay everything that `packed_log_posterior` unpacks out in one array, sizes first."""
    sizes = [
        len(data.gram),
        len(data.multiplier),
        len(data.level),
        len(mode.centre),
        data.family_at,
        data.stack_at,
        data.noise_at,
    ]
    arrays = [mode.centre, mode.root, *(part for part in data if isinstance(part, np.ndarray))]
    flat = [np.asarray(part, dtype=float).ravel() for part in arrays]
    total = HEAD + sum(map(len, flat))
    return np.concatenate([np.array([total, *sizes], dtype=float), *flat])


@lru_cache(maxsize=1)
def _functions() -> tuple[Any, Any]:
    """Compile both functions, or load them from numba's cache; once a process."""
    density = cfunc(types.int64(types.uint64, _REAL, _REAL, _REAL, _REAL), cache=True)
    identity = cfunc(types.int64(types.uint64, types.uint64, _REAL, _REAL, _REAL), cache=True)
    return density(packed_log_posterior), identity(packed_identity)
