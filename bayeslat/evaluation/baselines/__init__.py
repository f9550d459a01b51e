"""What people would use in place of the hierarchical model: methods to compare with.

Each is trained on donors once, calibrated to a target's rows and asked for latencies::

    donors = Donors(spec, traces, source="h100_sxm", hardware=load_hardware())
    trained = find_baseline("A").train(donors)
    estimate = trained.calibrate(rows, gpu).predict(configs)
"""

from __future__ import annotations

from bayeslat.evaluation.baselines.donors import Donors
from bayeslat.evaluation.baselines.estimate import LEVELS, Estimate
from bayeslat.evaluation.baselines.interface import (
    Baseline,
    Estimator,
    TrainedBaseline,
    what_it_lacks,
)
from bayeslat.evaluation.baselines.registry import BASELINES, find_baseline

__all__ = [
    "BASELINES",
    "LEVELS",
    "Baseline",
    "Donors",
    "Estimate",
    "Estimator",
    "TrainedBaseline",
    "find_baseline",
    "what_it_lacks",
]
