"""Has the relation between configuration and latency changed since the fit? Since when, and how?"""

from bayeslat.evaluation.drift.find import Drift, find_drift
from bayeslat.evaluation.drift.stage_drift import StageDrift

__all__ = ["Drift", "StageDrift", "find_drift"]
