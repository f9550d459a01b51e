"""Fitting a spec to traces: what users call from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from bayeslat.arguments import check_fit
from bayeslat.evaluation.pass_offset import donor_passes
from bayeslat.features.hardware import HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.posterior import Posterior

if TYPE_CHECKING:
    from bayeslat.inference.fitting.fit import Engine, OnProgress

__all__ = ["fit"]


def fit(
    spec: Spec,
    traces: pd.DataFrame,
    *,
    gpus: Sequence[str] | None = None,
    hardware: HardwareTable | None = None,
    engine: Engine = "nuts",
    seed: int = 0,
    chains: int = 4,
    draws: int = 800,
    tune: int = 200,
    engine_address: str | None = None,
    on_progress: OnProgress | None = None,
) -> Posterior:
    """Fit every stage of a spec to traces of one or more GPUs.

    Parameters
    ----------
    spec : Spec
    traces : DataFrame, one row a measurement
    gpus : sequence of str, optional
        Keys or aliases of the GPUs to fit; all by default.
    hardware : HardwareTable, optional
        The shipped table by default.
    engine : {"nuts", "laplace"}
        `nuts` samples; `laplace` approximates in seconds, and its diagnostics say when it cannot.
    seed : int
        Of every random number.
    chains, draws, tune : int
        Of NUTS: its chains, the draws that each keeps, and those before them that it tunes by.
    engine_address : str, optional
        Of the scheduler of a Dask cluster, as in `tcp://10.0.0.7:8786`, that draws the stages side
        by side. The posterior does not depend on it.
    on_progress : callable (stage, done, total), optional
        Told how many draws of a stage are done; on a cluster, when all of them are.

    Returns
    -------
    Posterior
        Converged or not: ask its `diagnostics`.

    Raises
    ------
    TraceError
        With every row and column that breaks a rule.
    InputError
        If a GPU has no rows, a stage no latency, or an argument an impossible value.
    HardwareError
        If a GPU is not in the hardware table.
    ConvergenceError
        If the physics of a stage, or its hierarchy, has no reachable mode.
    WorkerError
        If the cluster cannot be reached, runs other versions, or loses its workers for good.
    """
    check_fit(spec, traces, gpus, hardware)
    # Samplers: not for those who only predict.
    from bayeslat.inference.fitting.fit import fit_posterior

    data = fit_posterior(
        spec,
        traces,
        gpus=gpus,
        hardware=hardware,
        engine=engine,
        seed=seed,
        chains=chains,
        draws=draws,
        tune=tune,
        engine_address=engine_address,
        on_progress=on_progress,
    )
    passes = donor_passes(data, traces, hardware)
    return Posterior(replace(data, attrs={**data.attrs, "passes": passes}) if passes else data)
