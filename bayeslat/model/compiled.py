"""How numba compiles the model's inner loops."""

from __future__ import annotations

from numba import njit

__all__ = ["compiled"]

compiled = njit(cache=True, nogil=True, error_model="numpy")
"""Kept on disk between runs, free of the GIL, and with NaN in place of exceptions: a sampler takes
a density that is not finite for a divergence."""
