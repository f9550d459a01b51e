"""What a configuration's own runs say of a budget, whatever the model says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaincinv

from bayeslat.features.design import stage_times
from bayeslat.features.gpu import Gpu
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.target_rows import as_held
from bayeslat.inference.rows.repeats import number_configs
from bayeslat.inference.rows.stage_rows import latency_of

__all__ = ["least_chance"]

_DOUBT = 0.05  # that the chance is below what runs are taken to show


def least_chance(
    data: PosteriorData,
    gpu: Gpu,
    stack: str | None,
    configs: pd.DataFrame,
    stages: Sequence[str],
    budget_ms: float,
    *,
    once: bool,
) -> NDArray[np.float64]:
    """Bound from below how often configurations exceed a budget, by their own runs.

    The lower end of the exact interval for a binomial chance (Clopper and Pearson 1934,
    Biometrika 26), at 95 %: two runs of two over the budget say 22 %, one of three 2 %.

    Parameters
    ----------
    data : PosteriorData
    gpu : Gpu
    stack : str or None
        All by default.
    configs : DataFrame, one row a config
    stages : sequence of str
        That the budget bounds together.
    budget_ms : float
    once : bool
        Whether it is of one run of a stage, and not of as many as a request has.

    Returns
    -------
    ndarray, shape (config,)
        0 where no run is known that was over.
    """
    rows = [
        target.rows
        for (key, name), target in data.targets.items()
        if key == gpu.key and stack in (None, name) and len(target.rows)
    ]
    if not rows:
        return np.zeros(len(configs))
    runs = pd.concat(rows, ignore_index=True)
    taken, whole = _measured_ms(data, gpu, runs, stages, once=once)
    told = whole | (taken > budget_ms)
    runs, taken = runs[told], taken[told]
    asked = data.spec.complete(configs)
    keys = pd.concat([as_held(each, data.reference) for each in (asked, runs)], ignore_index=True)
    label = number_configs(keys)
    of_config, of_run = label[: len(configs)], label[len(configs) :]
    many = np.bincount(of_run, minlength=label.max(initial=-1) + 1)
    over = np.bincount(of_run, taken > budget_ms, minlength=len(many))
    with np.errstate(invalid="ignore"):
        least = np.where(over > 0, betaincinv(over, many - over + 1.0, _DOUBT), 0.0)
    return least[of_config]


def _measured_ms(
    data: PosteriorData, gpu: Gpu, runs: pd.DataFrame, stages: Sequence[str], *, once: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What the measured stages took together, and whether all that run were measured."""
    taken, whole = np.zeros(len(runs)), np.ones(len(runs), dtype=bool)
    for stage in stages:
        times = stage_times(data.spec, stage, runs, gpu)
        latency = latency_of(data.spec, stage, runs)
        counted = np.minimum(times, 1.0) if once else times
        whole &= np.isfinite(latency) | (times == 0)
        taken += np.where(np.isfinite(latency), counted * latency, 0.0)
    return taken, whole
