"""Traces drawn from known parameters: the model that a fit assumes, run forwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.errors import InputError
from bayeslat.features.design import coordinates, linearise, physics_ms, stage_inputs
from bayeslat.features.hardware import Gpu, HardwareTable, load_hardware
from bayeslat.features.residual import ResidualBasis, span_basis
from bayeslat.features.spec import Spec
from bayeslat.model.groups import GroupTree, Level, grow_tree
from bayeslat.model.priors import stage_features, stage_priors, stage_scales
from bayeslat.model.scales import ScaleLayout
from bayeslat.model.simulation_parameters import (
    SimulationParameters,
    StageParameters,
    check_parameters,
)
from bayeslat.traces import Provenance

__all__ = ["draw_parameters", "simulate"]


@dataclass(frozen=True)
class _Plan:
    """Who is simulated, where: canonical GPUs, groups of rows, and configurations."""

    spec: Spec
    configs: pd.DataFrame
    hardware: dict[str, Gpu]
    groups: tuple[tuple[str, str], ...]
    bases: dict[str, ResidualBasis]

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f"{gpu}@{stack}" if stack else gpu for gpu, stack in self.groups)

    @property
    def tree(self) -> GroupTree:
        return grow_tree(self.groups, {key: gpu.family for key, gpu in self.hardware.items()})


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
    residual columns orthogonal to the shares over the configurations; Student-t or normal noise.

    Parameters
    ----------
    spec : Spec
    configs : DataFrame, one row a config
        With the spec's knobs; further columns pass through.
    gpus : sequence of str
        Keys or aliases.
    stacks : sequence of str, optional
        Every GPU runs every stack.
    repeats : int
        Measurements of each configuration.
    parameters : SimulationParameters, optional
        Drawn from the spec's priors by default.
    seed : int
    hardware : HardwareTable, optional
        The shipped table by default.

    Returns
    -------
    DataFrame, one row a measurement
        `write_traces` marks it as simulated, with the true parameters.

    Raises
    ------
    InputError
        If the parameters do not fit the spec and groups, or an argument is impossible.
    HardwareError
        If a GPU is not in the hardware table.
    """
    if repeats < 1:
        raise InputError(f"repeats is {repeats}; it must be at least 1")
    plan = _plan(spec, configs, gpus, stacks, hardware)
    truth = parameters or _draw(plan, seed)
    columns = {stage: basis.names for stage, basis in plan.bases.items()}
    check_parameters(truth, spec, plan.labels, columns)
    rng = np.random.default_rng([seed, 1])
    parts = [
        _group_rows(plan, truth, position, repeats, rng) for position in range(len(plan.groups))
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame.attrs["bayeslat"] = {
        "sources": [["simulated", 0, len(frame)]],
        "provenance": [_provenance(truth, seed).model_dump(by_alias=True, mode="json")],
    }
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
    configs : DataFrame, one row a config
        Residual columns are scaled to their range.
    stacks : sequence of str, optional
    seed : int
    hardware : HardwareTable, optional

    Returns
    -------
    SimulationParameters
    """
    return _draw(_plan(spec, configs, gpus, stacks, hardware), seed)


def _plan(
    spec: Spec,
    configs: pd.DataFrame,
    gpus: Sequence[str],
    stacks: Sequence[str],
    hardware: HardwareTable | None,
) -> _Plan:
    """Check who and what is simulated."""
    problems = [
        f"knob {knob!r} is missing; add the column" for knob in spec.knobs if knob not in configs
    ]
    if not len(configs):
        problems.append("there is no row; give at least one configuration")
    if not gpus:
        problems.append("there is no GPU; name at least one")
    if problems:
        raise InputError(f"configurations to simulate: {'; '.join(problems)}")
    table = hardware or load_hardware()
    found = [table.resolve(name) for name in gpus]
    keys = {gpu.key: gpu for gpu in found}
    groups = tuple((key, stack) for key in keys for stack in (dict.fromkeys(stacks) or ("",)))
    bases = {stage: _basis(spec, stage, configs, list(keys.values())) for stage in spec.stages}
    return _Plan(spec, configs.reset_index(drop=True), keys, groups, bases)


def _basis(spec: Spec, stage: str, configs: pd.DataFrame, gpus: Sequence[Gpu]) -> ResidualBasis:
    """Span the residual basis as a fit to every row would."""
    residual = spec.stages[stage].residual
    features = [feature.text for feature in residual.features] if residual else []
    tasks = sorted({str(task) for task in configs["task"]}) if "task" in configs else []
    return span_basis(
        features,
        residual.degree if residual else 0,
        np.concatenate([stage_inputs(spec, stage, configs, gpu).raw for gpu in gpus]),
        coordinates(spec, stage)[len(features) :],
        tasks if len(tasks) > 1 else [],
    )


def _draw(plan: _Plan, seed: int) -> SimulationParameters:
    """Draw every stage's parameters from the priors."""
    rng = np.random.default_rng([seed, 0])
    return SimulationParameters(
        stages={stage: _draw_stage(plan, stage, rng) for stage in plan.spec.stages}
    )


def _draw_stage(plan: _Plan, stage: str, rng: np.random.Generator) -> StageParameters:
    """Draw scales, then effects down the tree of groups."""
    terms, basis = plan.spec.stages[stage].physics, plan.bases[stage]
    features = stage_features(plan.spec, stage, basis)
    layout = stage_scales(plan.spec, stage, basis, plan.groups, plan.tree)
    named = layout.name_draws(layout.draw_prior(rng))
    offset = dict(zip(layout.offset_names, named["offset_scale"], strict=True))
    shared = dict(zip(layout.shared_names, named["shared_scale"], strict=True))
    offset_sd = features.multiplier * np.array([offset[kind] for kind in features.kinds])
    drawn = features.multiplier * np.array([shared.get(kind, np.nan) for kind in features.kinds])
    shared_sd = np.where(np.isnan(features.shared_sd), drawn, features.shared_sd)
    effects = _draw_effects(plan.tree, layout, named, offset_sd, shared_sd, rng)
    theta0 = [
        np.log(prior.slowdown) + prior.slowdown_log_sd * rng.standard_normal()
        for prior in stage_priors(plan.spec, stage)
    ]
    rows = {label: effects[group] for group, label in enumerate(plan.labels)}
    noise = named["noise"] * named["noise_ratio"]
    return StageParameters(
        shared_efficiency=_by_name(terms, theta0),
        offset={label: _by_name(terms, row[: len(terms)]) for label, row in rows.items()},
        residual={label: _by_name(basis.names, row[len(terms) :]) for label, row in rows.items()},
        noise=_by_name(plan.labels, noise),
    )


def _draw_effects(
    tree: GroupTree,
    layout: ScaleLayout,
    named: dict[str, NDArray[np.float64]],
    offset_sd: NDArray[np.float64],
    shared_sd: NDArray[np.float64],
    rng: np.random.Generator,
) -> dict[int, NDArray[np.float64]]:
    """Draw the effects of each group of rows, parents first."""
    share = float(named["family_share"]) if layout.has_families else 0.0
    part: dict[Level, float] = {
        Level.GPU: 1.0,
        Level.MEMBER: (1 - share) ** 0.5,
        Level.FAMILY: share**0.5,
        Level.STACK: float(named["stack_ratio"]) if layout.has_stacks else 0.0,
    }
    effect = {-1: shared_sd * rng.standard_normal(len(shared_sd))}
    for node in reversed(range(len(tree.names))):
        departure = part[Level(tree.level[node])] * offset_sd * rng.standard_normal(len(offset_sd))
        effect[node] = effect[int(tree.parent[node])] + departure
    return {int(group): effect[node] for node, group in enumerate(tree.leaf) if group >= 0}


def _group_rows(
    plan: _Plan, truth: SimulationParameters, group: int, repeats: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw the rows of one GPU under one stack."""
    gpu, stack = plan.groups[group]
    head: dict[str, Any] = {"gpu": gpu, **({"stack": stack} if stack else {})}
    count = len(plan.configs)
    index = np.repeat(np.arange(count), repeats)
    rows = plan.configs.drop(columns=["gpu", "stack", "config_id", "repeat"], errors="ignore")
    frame = rows.iloc[index].reset_index(drop=True)
    head |= {"config_id": index, "repeat": np.tile(np.arange(repeats), count)}
    for place, (name, value) in enumerate(head.items()):
        frame.insert(place, name, value)
    for stage, part in plan.spec.stages.items():
        log_ms = _log_typical(plan, truth.stages[stage], stage, group)[index]
        frame[part.column] = np.exp(
            log_ms + _noise(truth.stages[stage], plan.labels[group], len(index), rng)
        )
    return frame


def _log_typical(
    plan: _Plan, truth: StageParameters, stage: str, group: int
) -> NDArray[np.float64]:
    """Log of the run-to-run median of each config."""
    label, basis = plan.labels[group], plan.bases[stage]
    terms = plan.spec.stages[stage].physics
    inputs = stage_inputs(plan.spec, stage, plan.configs, plan.hardware[plan.groups[group][0]])
    theta = np.array([truth.shared_efficiency[k] + truth.offset[label][k] for k in terms])
    log_ms, shares = physics_ms(inputs.terms_ms, theta)
    projection = linearise(theta, inputs, basis).projection
    smooth = basis.columns(inputs.raw, inputs.task) - shares @ projection
    weights = np.array([truth.residual[label][name] for name in basis.names])
    log_typical: NDArray[np.float64] = log_ms + smooth @ weights
    return log_typical


def _noise(
    truth: StageParameters, label: str, rows: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Noise of each run, in log latency."""
    standard = (
        rng.standard_normal(rows)
        if truth.noise_dof is None
        else rng.standard_t(truth.noise_dof, rows)
    )
    return truth.noise[label] * standard


def _provenance(truth: SimulationParameters, seed: int) -> Provenance:
    """Say that rows were drawn, and from what."""
    return Provenance(
        source="simulated",
        tool=f"bayeslat {version('bayeslat')} simulate",
        software={"numpy": np.__version__},
        parameters={"seed": seed, "true": truth.model_dump(mode="json")},
    )


def _by_name(names: Iterable[str], values: Iterable[float]) -> dict[str, float]:
    """Pair names with plain floats."""
    return {name: float(value) for name, value in zip(names, values, strict=True)}
