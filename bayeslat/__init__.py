"""Bayesian latency modelling: how long a model will take on a GPU, and how sure that is.

>>> import bayeslat as bl
>>> traces = bl.read_traces("traces/*.parquet")  # doctest: +SKIP
>>> posterior = bl.fit(bl.load_spec("models/tiny_vlm.toml"), traces)  # doctest: +SKIP
>>> posterior.predict(traces, gpu="milan_2t_bf16").frame  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayeslat.collect.latency import InferenceLatency, measure_inference_latency
    from bayeslat.compression import (
        Compressed,
        compress,
        fit_statistics,
        read_statistics,
        update,
        write_statistics,
    )
    from bayeslat.errors import BayeslatError
    from bayeslat.evaluation.guardrail.held_out import control_guard
    from bayeslat.evaluation.simulated_calibration import simulation_based_calibration
    from bayeslat.features.hardware import load_hardware
    from bayeslat.features.spec import load_spec
    from bayeslat.fitting import fit
    from bayeslat.model.simulate import simulate
    from bayeslat.posterior import Posterior, load_posterior
    from bayeslat.traces import read_configs, read_traces, write_traces

__all__ = [
    "BayeslatError",
    "Compressed",
    "InferenceLatency",
    "Posterior",
    "compress",
    "control_guard",
    "fit",
    "fit_statistics",
    "load_hardware",
    "load_posterior",
    "load_spec",
    "measure_inference_latency",
    "read_configs",
    "read_statistics",
    "read_traces",
    "simulate",
    "simulation_based_calibration",
    "update",
    "write_statistics",
    "write_traces",
]

_HOMES = {
    "BayeslatError": "bayeslat.errors",
    "Compressed": "bayeslat.compression",
    "InferenceLatency": "bayeslat.collect.latency",
    "Posterior": "bayeslat.posterior",
    "compress": "bayeslat.compression",
    "control_guard": "bayeslat.evaluation.guardrail.held_out",
    "fit": "bayeslat.fitting",
    "fit_statistics": "bayeslat.compression",
    "load_hardware": "bayeslat.features.hardware",
    "load_posterior": "bayeslat.posterior",
    "load_spec": "bayeslat.features.spec",
    "measure_inference_latency": "bayeslat.collect.latency",
    "read_configs": "bayeslat.traces",
    "read_statistics": "bayeslat.compression",
    "read_traces": "bayeslat.traces",
    "simulate": "bayeslat.model.simulate",
    "simulation_based_calibration": "bayeslat.evaluation.simulated_calibration",
    "update": "bayeslat.compression",
    "write_statistics": "bayeslat.compression",
    "write_traces": "bayeslat.traces",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import bayeslat` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'bayeslat' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
