"""Drift: whether latency still follows what was fitted, what moved, and since when."""

from bayeslat.evaluation.drift.find import ALLOWANCE, Drift, find_drift
from bayeslat.evaluation.drift.stage_drift import StageDrift

__all__ = ["ALLOWANCE", "Drift", "StageDrift", "find_drift"]
