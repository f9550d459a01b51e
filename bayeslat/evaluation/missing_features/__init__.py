"""Which residual feature a spec lacks: candidates, ranked by what they add to held-out rows."""

from __future__ import annotations

from bayeslat.evaluation.missing_features.search import MissingFeature, find_missing_features

__all__ = ["MissingFeature", "find_missing_features"]
