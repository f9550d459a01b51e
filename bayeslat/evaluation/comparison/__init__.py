"""Methods of transfer side by side: error, intervals and cost against the number of rows."""

from __future__ import annotations

from bayeslat.evaluation.comparison.compare import CompareOptions, Comparison, compare
from bayeslat.evaluation.comparison.hierarchical import HIERARCHICAL, method_names

__all__ = ["HIERARCHICAL", "CompareOptions", "Comparison", "compare", "method_names"]
