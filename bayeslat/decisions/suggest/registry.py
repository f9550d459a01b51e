"""All methods of choosing measurements, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bayeslat.decisions.suggest import (
    d_optimal,
    latin_hypercube,
    maximum_variance,
    residual,
    share_weighted,
    uniform,
)
from bayeslat.decisions.suggest.method import Method

__all__ = ["DEFAULT_METHOD", "METHODS"]

DEFAULT_METHOD = "share_weighted"

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        DEFAULT_METHOD: share_weighted.choose,
        "maximum_variance": maximum_variance.choose,
        "d_optimal": d_optimal.choose,
        "residual": residual.choose,
        "latin_hypercube": latin_hypercube.choose,
        "uniform": uniform.choose,
    }
)
"""In the order of tables."""
