"""Who is simulated and where: GPUs and stacks, configurations, residual columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayeslat.arguments import no_hardware, no_names, no_spec, no_table, refuse
from bayeslat.errors import InputError
from bayeslat.features.admit import admit_configs
from bayeslat.features.design import coordinates, stage_inputs
from bayeslat.features.hardware import Gpu, HardwareTable, load_hardware
from bayeslat.features.residual import ResidualBasis, span_basis
from bayeslat.features.spec import Spec
from bayeslat.finite import wrong_seed
from bayeslat.model.groups import GroupTree, grow_tree, label_group

__all__ = ["SimulationPlan", "plan_simulation"]


@dataclass(frozen=True)
class SimulationPlan:
    """What is settled before anything is drawn.

    Attributes
    ----------
    spec : Spec
    configs : DataFrame, one row a config
        Index 0, 1, ...
    hardware : mapping of GPU key to Gpu
    groups : tuple of (gpu, stack)
        The groups of rows; stack is empty where none is named.
    bases : mapping of stage to ResidualBasis
        Scaled to the range of the configurations.
    """

    spec: Spec
    configs: pd.DataFrame
    hardware: Mapping[str, Gpu]
    groups: tuple[tuple[str, str], ...]
    bases: Mapping[str, ResidualBasis]

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each group: `gpu`, or `gpu@stack`."""
        return tuple(label_group(*group) for group in self.groups)

    @property
    def tree(self) -> GroupTree:
        """Stacks, GPUs and families."""
        return grow_tree(self.groups, {key: gpu.family for key, gpu in self.hardware.items()})


def plan_simulation(
    spec: Spec,
    configs: pd.DataFrame,
    gpus: Sequence[str],
    stacks: Sequence[str],
    seed: int,
    hardware: HardwareTable | None,
) -> SimulationPlan:
    """Check who and what is simulated.

    Parameters and errors are those of `simulate`.

    Returns
    -------
    SimulationPlan
    """
    problems = [no_spec(spec), no_table("configs", configs), no_hardware(hardware)]
    problems += [no_names("gpus", gpus), no_names("stacks", stacks), wrong_seed(seed)]
    refuse(problems)
    if not len(gpus):
        raise InputError("there is no GPU; name at least one")
    table = hardware or load_hardware()
    found = {gpu.key: gpu for gpu in (table.resolve(name, spec.hardware_fields) for name in gpus)}
    configs = admit_configs(configs, spec, list(found.values()))
    return SimulationPlan(
        spec=spec,
        configs=configs.reset_index(drop=True),
        hardware=found,
        groups=tuple((key, stack) for key in found for stack in (dict.fromkeys(stacks) or ("",))),
        bases={stage: _basis(spec, stage, configs, list(found.values())) for stage in spec.stages},
    )


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
