"""Dtypes that a model can be measured in."""

from __future__ import annotations

__all__ = ["DTYPE_BYTES"]

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a value of each dtype of weights and activations."""
