"""Traces drawn from known parameters: the model that a fit assumes, run forwards."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.errors import InputError
from bayeslat.features.design import linearise, stage_inputs
from bayeslat.features.hardware import HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.finite import is_count, tell_count
from bayeslat.model.simulation_parameters import (
    SimulationParameters,
    StageParameters,
    check_parameters,
)
from bayeslat.model.simulation_plan import SimulationPlan, plan_simulation
from bayeslat.model.simulation_prior import draw_from_priors
from bayeslat.model.student_t import draw_student_t
from bayeslat.traces import Provenance, stage_columns
from bayeslat.traces.trace_record import TraceRecord

__all__ = ["draw_parameters", "simulate"]


def simulate(
    spec: Spec,
    configs: pd.DataFrame,
    gpus: Sequence[str],
    *,
    stacks: Sequence[str] = (),
    repeats: int = 1,
    parameters: SimulationParameters | None = None,
    seed: int = 0,
    hardware: HardwareTable | None = None,
) -> pd.DataFrame:
    """Draw a trace from known parameters.

    log t = log sum_k exp(theta0_k + u_gk) F_k + phi' w_g + noise: physics as it is, not linearised;
    residual columns phi orthogonal to the shares over the configurations, at each GPU's own
    efficiencies; Student-t or normal noise.

    Residual columns are scaled to the range of the configurations, so the same residual parameters
    are another correction over other configurations. Draw donors and target, training and held-out
    rows in one call, and split them afterwards.

    Parameters
    ----------
    spec : Spec
    configs : DataFrame, one row a config
        With the spec's knobs. Further columns pass through, but for latencies and for `gpu`,
        `stack` and `repeat`; `config_id` stays if it tells the rows apart.
    gpus : sequence of str
        Keys or aliases.
    stacks : sequence of str, optional
        Every GPU runs every stack.
    repeats : int
        Measurements of each configuration.
    parameters : SimulationParameters, optional
        Drawn from the spec's priors by default.
    seed : int
        Of the noise, and of parameters that are drawn; the two are independent.
    hardware : HardwareTable, optional
        The shipped table by default.

    Returns
    -------
    DataFrame, one row a measurement
        GPU by stack by config by repeat. `write_traces` marks it as simulated, with the true
        parameters.

    Raises
    ------
    InputError
        If the parameters do not fit the spec and groups, or an argument is impossible.
    HardwareError
        If a GPU is not in the hardware table.
    TraceError
        With every config that the spec cannot take, by file and row.
    """
    if not is_count(repeats, 1):
        raise InputError(
            f"repeats is {tell_count(repeats)}; it must be a whole number of at least 1"
        )
    plan = plan_simulation(spec, configs, gpus, stacks, seed, hardware)
    truth = draw_from_priors(plan, seed) if parameters is None else parameters
    columns = {stage: basis.names for stage, basis in plan.bases.items()}
    check_parameters(truth, spec, plan.labels, columns)
    rng = np.random.default_rng([seed, 1])
    rows = [_group_rows(plan, truth, group, repeats, rng) for group in range(len(plan.groups))]
    frame = pd.concat(rows, ignore_index=True)
    _check_latencies(frame, spec)
    frame.attrs["bayeslat"] = TraceRecord(
        sources=[["simulated", 0, len(frame)]],
        provenance=[_provenance(truth, seed).model_dump(by_alias=True, mode="json")],
    )
    return frame


def draw_parameters(
    spec: Spec,
    gpus: Sequence[str],
    *,
    configs: pd.DataFrame,
    stacks: Sequence[str] = (),
    seed: int = 0,
    hardware: HardwareTable | None = None,
) -> SimulationParameters:
    """Draw parameters from a spec's priors, through families, GPUs and stacks.

    Parameters
    ----------
    spec : Spec
    gpus : sequence of str
        Keys or aliases.
    configs : DataFrame, one row a config
        Residual columns are scaled to their range; the tasks have columns of their own.
    stacks : sequence of str, optional
        Every GPU runs every stack.
    seed : int
        The same as `simulate` draws from with this seed and no parameters.
    hardware : HardwareTable, optional
        The shipped table by default.

    Returns
    -------
    SimulationParameters
        With normal noise.

    Raises
    ------
    InputError, HardwareError, TraceError
        As for `simulate`.
    """
    return draw_from_priors(plan_simulation(spec, configs, gpus, stacks, seed, hardware), seed)


def _group_rows(
    plan: SimulationPlan,
    truth: SimulationParameters,
    group: int,
    repeats: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Draw the rows of one GPU under one stack."""
    gpu, stack = plan.groups[group]
    count = len(plan.configs)
    index = np.repeat(np.arange(count), repeats)
    own = ["gpu", "stack", "config_id", "repeat", *stage_columns(plan.configs)]
    kept = plan.configs.drop(columns=own, errors="ignore")
    frame = kept.iloc[index].reset_index(drop=True)
    head: dict[str, Any] = {"gpu": gpu} | ({"stack": stack} if stack else {})
    head |= {
        "config_id": _config_ids(plan.configs)[index],
        "repeat": np.tile(np.arange(repeats), count),
    }
    for place, (name, value) in enumerate(head.items()):
        frame.insert(place, name, value)
    for stage, part in plan.spec.stages.items():
        typical = _log_typical(plan, truth.stages[stage], stage, group)[index]
        noise = _noise(truth.stages[stage], plan.labels[group], len(index), rng)
        with np.errstate(over="ignore"):  # `_check_latencies` tells
            frame[part.column] = np.exp(typical + noise)
    return frame


def _config_ids(configs: pd.DataFrame) -> NDArray[Any]:
    """Return the configurations' own names if these tell them apart, else their positions."""
    if "config_id" in configs:
        names = configs["config_id"]
        if names.notna().all() and names.is_unique:
            return np.asarray(names.to_numpy())
    return np.arange(len(configs))


def _log_typical(
    plan: SimulationPlan, truth: StageParameters, stage: str, group: int
) -> NDArray[np.float64]:
    """Log of the run-to-run median, in ms. Shape (config,)."""
    label, basis = plan.labels[group], plan.bases[stage]
    terms = plan.spec.stages[stage].physics
    inputs = stage_inputs(plan.spec, stage, plan.configs, plan.hardware[plan.groups[group][0]])
    theta = np.array([truth.shared_efficiency[k] + truth.offset[label][k] for k in terms])
    log_ms, design = linearise(theta, inputs, basis).design(inputs, basis)
    weights = np.array([truth.residual[label][name] for name in basis.names])
    smooth: NDArray[np.float64] = design[:, len(terms) :] @ weights
    return log_ms + smooth


def _noise(
    truth: StageParameters, label: str, rows: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Noise of each run, in log latency. Shape (row,)."""
    dof = np.inf if truth.noise_dof is None else truth.noise_dof
    return truth.noise[label] * draw_student_t(rows, dof, rng)


def _check_latencies(frame: pd.DataFrame, spec: Spec) -> None:
    """Refuse latencies that no trace can hold."""
    problems = []
    for stage, part in spec.stages.items():
        drawn = frame[part.column].to_numpy()
        bad = ~(np.isfinite(drawn) & (drawn > 0))
        if bad.any():
            where = ", ".join(dict.fromkeys(frame.loc[bad, "gpu"]))
            problems.append(f"{stage} on {where} (found {drawn[bad][0]})")
    if problems:
        raise InputError(
            f"simulation parameters: latencies must be finite and above 0: {'; '.join(problems)}. "
            "Efficiencies, residuals and noise are in logs: give smaller ones, or a noise_dof of "
            "2 or more"
        )


def _provenance(truth: SimulationParameters, seed: int) -> Provenance:
    """Say that rows were drawn, and from what."""
    return Provenance(
        source="simulated",
        tool=f"bayeslat simulate {version('bayeslat')}",
        software={name: version(name) for name in ("bayeslat", "numpy")},
        parameters={"seed": seed, "true": truth.model_dump(mode="json")},
    )
