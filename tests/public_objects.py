"""One of every object that the Python interface returns, of the small posterior."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

import bayeslat as bl
from bayeslat.export.bundle import make_bundle
from bayeslat.posterior import Posterior
from tests.assessments import assessed
from tests.posteriors import GPUS, make_configs, make_data, make_frame, small_spec

NAMES = (
    *("Posterior", "PosteriorData", "Diagnostics", "Spec", "HardwareTable"),
    *("Prediction", "Guard", "Suggestion", "Transfer", "Drift", "StageDrift", "RiskControl"),
    *("Compressed", "SimulatedCalibration", "InferenceLatency", "Assessment", "Bundle"),
)
"""Of their classes."""


@lru_cache(maxsize=1)
def public_objects() -> dict[str, object]:
    """Make them, by the names of their classes."""
    rows, configs, gpu = make_frame(5, ("l40s",), rows=50), make_configs(20, 3), "l40s"
    posterior = Posterior(make_data()).calibrate(rows.head(8), gpu)
    hardware = bl.load_hardware()
    guard = posterior.guard(gpu, 300.0)
    drift = posterior.find_drift(rows.tail(20), gpu)
    with TemporaryDirectory() as folder:
        make_frame().to_parquet(Path(folder, "small.parquet"))
        compressed = bl.compress(small_spec(), folder)
    made = (
        *(posterior, posterior.data, posterior.diagnostics, posterior.spec, hardware),
        *(posterior.predict(configs, gpu), guard, posterior.suggest(configs, gpu, 3)),
        *(posterior.judge_transfer(gpu, traces=rows.head(8)), drift, drift.stages[0]),
        *(bl.control_guard(guard, rows), compressed, assessed()),
        bl.simulation_based_calibration(small_spec(), configs, GPUS, simulations=20),
        bl.InferenceLatency(pd.DataFrame({"t_prefill_ms": [1.0, 2.0], "stage_sum_ms": [1.0, 2.0]})),
        make_bundle(posterior.data, hardware.resolve(gpu)),
    )
    return {type(each).__name__: each for each in made}
