"""The passes that a GPU was measured in: whether one is slower than another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.prediction import TOTAL
from bayeslat.evaluation.holm import adjust_holm
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.evaluation.pass_effects import PassEffects, estimate_passes
from bayeslat.evaluation.pass_spread import pass_sd_quantiles, weigh_pass_sds
from bayeslat.evaluation.stacks import rows_of_stack
from bayeslat.features.admit import admit
from bayeslat.features.gpu import Gpu
from bayeslat.features.gpu_rows import gpu_rows
from bayeslat.features.hardware import HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.rows.repeats import are_among, number_configs
from bayeslat.inference.rows.stage_rows import least_ms
from bayeslat.traces.names import TASK
from bayeslat.traces.passes import Kind, label_passes

__all__ = [
    "FALSE_ALARMS",
    "PassDifferences",
    "StagePasses",
    "compare_passes",
    "passes_of",
    "total_effects",
]

FALSE_ALARMS = 0.01
"""Of GPUs whose passes are alike, the part that is told to have passes that differ."""
_LEAST = 0.01  # slowest over fastest pass, less 1: below, nobody has to act
_NAMES = {"pass": "passes", "session": "sessions", "repeat": "repeats of a configuration"}
_CURES = {
    "pass": "what was measured in one pass is off by that in others, which its repeats do not "
    "tell: calibrate on rows of several passes, or find what slows the machine",
    "session": "what was measured in one session is off by that in others, which its repeats do "
    "not tell: calibrate on rows of several sessions, or find what slows the machine",
    "repeat": "if the first runs of a configuration warm it up, leave them out; predictions hold "
    "for the mix that was fitted",
}


@dataclass(frozen=True, eq=False)
class StagePasses:
    """The passes of one stage.

    Attributes
    ----------
    stage : str
        Or `total`.
    found : PassEffects
    names : tuple over pass of str
    adjusted : float
        The p-value, adjusted for the number of stages (Holm).
    """

    stage: str
    found: PassEffects
    names: tuple[str, ...]
    adjusted: float

    @property
    def differ(self) -> bool:
        """Whether the passes differ, and by enough to matter."""
        return bool(self.adjusted <= FALSE_ALARMS and np.expm1(self.found.spread) >= _LEAST)

    @property
    def extremes(self) -> tuple[str, str]:
        """The slowest pass and the fastest."""
        effect = self.found.effect
        return self.names[int(np.argmax(effect))], self.names[int(np.argmin(effect))]

    @property
    def sd_quantiles(self) -> tuple[float, float, float]:
        """5 %, 50 % and 95 % quantile of the sd of passes, in log latency."""
        weights = weigh_pass_sds(self.found.effect, self.found.effect_sd)
        low, middle, high = pass_sd_quantiles(weights, (0.05, 0.5, 0.95))
        return float(low), float(middle), float(high)


@dataclass(frozen=True, eq=False)
class PassDifferences:
    """Whether the passes that one GPU was measured in, with one stack, differ.

    Attributes
    ----------
    gpu, stack : str
    kind : {"pass", "session", "repeat"}
        As `label_passes` tells it.
    stages : tuple of StagePasses
        Those in which two passes share five configurations; with the total, if it was measured.
    calibrated_in : int
        Passes of the total that rows of the calibration are of; at least one.
    """

    gpu: str
    stack: str
    kind: Kind
    stages: tuple[StagePasses, ...]
    calibrated_in: int = 1

    @property
    def differing(self) -> tuple[StagePasses, ...]:
        """The stages whose passes differ."""
        return tuple(each for each in self.stages if each.differ)

    @property
    def name(self) -> str:
        """Name the GPU, with its stack if there is one."""
        return f"{self.gpu} with {self.stack}" if self.stack else self.gpu

    @property
    def plural(self) -> str:
        """Name what is compared: passes, sessions or repeats of a configuration."""
        return _NAMES[self.kind]

    @property
    def total(self) -> StagePasses | None:
        """The total, if it was measured in several passes; repeats at one time are none."""
        if self.kind == "repeat":
            return None
        return next((each for each in self.stages if each.stage == TOTAL), None)

    def __str__(self) -> str:
        """Say which passes are slower, by how much, and what to do; nothing if they are alike."""
        if not self.differing:
            return ""
        p_value = max(each.adjusted for each in self.differing)
        what = self.plural
        slower = "; ".join(_slower(self.differing))
        widest = max(self.differing, key=lambda each: (each.stage == TOTAL, each.found.spread))
        low, middle, high = (100 * np.expm1(sd) for sd in widest.sd_quantiles)
        return (
            f"{what} differ: {slower} (p <= {p_value:.2g}; sd of {what} {middle:.1f}% of "
            f"{widest.stage}, {low:.1f} to {high:.1f}%); {_CURES[self.kind]}"
        )

    def record(self) -> dict[str, Any]:
        """Return it for machines; effects and sds are parts: 0.03 is 3 % slower than the mean."""
        return {
            "gpu": self.gpu,
            "stack": self.stack,
            "kind": self.kind,
            "differ": bool(self.differing),
            "sentence": str(self),
            "stages": {each.stage: _stage_record(each) for each in self.stages},
        }


def compare_passes(
    spec: Spec,
    rows: pd.DataFrame,
    gpu: Gpu,
    stack: str,
    *,
    calibrated: pd.DataFrame | None = None,
    seed: int = 0,
) -> PassDifferences | None:
    """Compare the passes that a GPU was measured in, by repeats of configurations.

    Parameters
    ----------
    spec : Spec
    rows : DataFrame, one row a measurement
        Admitted; of this GPU alone. Those of other stacks are passed over.
    gpu : Gpu
    stack : str
        Rows that name none are of it.
    calibrated : DataFrame, one row a measurement, optional
        Those of the rows that the GPU was calibrated with, as a posterior holds them; all of them
        by default.
    seed : int

    Returns
    -------
    PassDifferences or None
        None where no two passes share five configurations: then nothing can be told.
    """
    rows = rows_of_stack(rows, stack).reset_index(drop=True)
    configs = _number(spec, rows)
    passes = label_passes(rows, configs)
    if passes is None:
        return None
    found: dict[str, PassEffects] = {}
    for number, (stage, latency) in enumerate(measured_latencies(spec, rows, gpu).items()):
        least = 0.0 if stage == TOTAL else least_ms(spec, stage)
        logs = _logs(latency, above=least)
        effects = estimate_passes(logs, configs, passes.label, seed=seed + number)
        if effects is not None:
            found[stage] = effects
    if not found:
        return None
    adjusted = adjust_holm([each.p_value for each in found.values()])
    known = np.ones(len(rows), dtype=bool)
    if calibrated is not None:
        known = _are_among(spec, rows, calibrated)
    of_total = set(found[TOTAL].passes) if TOTAL in found else set()
    return PassDifferences(
        gpu.key,
        stack,
        passes.kind,
        tuple(
            StagePasses(stage, each, tuple(passes.names[at] for at in each.passes), float(p))
            for (stage, each), p in zip(found.items(), adjusted, strict=True)
        ),
        calibrated_in=max(1, len(of_total.intersection(passes.label[known].tolist()))),
    )


def total_effects(spec: Spec, rows: pd.DataFrame, gpu: Gpu, stack: str) -> PassEffects | None:
    """Estimate by how much passes differ in the total, without a test.

    Parameters
    ----------
    spec, rows, gpu, stack
        As `compare_passes` takes them.

    Returns
    -------
    PassEffects or None
        None where nothing can be told, or repeats are no passes.
    """
    rows = rows_of_stack(rows, stack).reset_index(drop=True)
    configs = _number(spec, rows)
    passes = label_passes(rows, configs)
    if passes is None or passes.kind == "repeat":
        return None
    total = measured_latencies(spec, rows, gpu).get(TOTAL)
    if total is None:
        return None
    return estimate_passes(_logs(total, above=0.0), configs, passes.label, tested=False)


def _are_among(spec: Spec, rows: pd.DataFrame, others: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which rows have the configuration and the latencies of another. Shape (row,)."""
    latencies = spec.latency_columns
    columns = [name for name in (*spec.knobs, TASK, *latencies) if name in rows and name in others]
    kinds = {name: float for name in columns if name != TASK}
    return are_among(spec.complete(rows)[columns].astype(kinds), others[columns].astype(kinds))


def _number(spec: Spec, rows: pd.DataFrame) -> NDArray[np.int64]:
    """Number rows by their configuration. Shape (row,)."""
    columns = spec.config_columns(rows)
    return number_configs(spec.complete(rows)[columns])


def _logs(latency: NDArray[np.float64], *, above: float) -> NDArray[np.float64]:
    """Log latencies, NaN of those that are not above. Shape (row,)."""
    return np.log(latency, out=np.full(len(latency), np.nan), where=latency > max(above, 0.0))


def passes_of(
    data: PosteriorData,
    traces: pd.DataFrame,
    gpu: Gpu,
    stack: str,
    hardware: HardwareTable,
    *,
    seed: int = 0,
) -> PassDifferences | None:
    """Compare the passes that a calibrated GPU was measured in.

    Parameters
    ----------
    data : PosteriorData
    traces : DataFrame, one row a measurement
        What it was calibrated with; rows of other GPUs are passed over.
    gpu : Gpu
    stack : str
    hardware : HardwareTable
    seed : int

    Returns
    -------
    PassDifferences or None
        As of `compare_passes`.

    Raises
    ------
    InputError
        If there are rows, but none of this GPU.
    TraceError
        With every row that breaks a rule.
    """
    rows = gpu_rows(traces, [gpu.key], hardware)
    if rows.empty:
        return None
    return compare_passes(
        data.spec, admit(rows, data.spec, hardware, stack or None), gpu, stack, seed=seed
    )


def _slower(stages: Sequence[StagePasses]) -> Iterator[str]:
    """Say by how much the slowest pass is slower than the fastest, by pairs of passes."""
    for (slow, fast), held in groupby(
        sorted(stages, key=lambda each: each.extremes), key=lambda each: each.extremes
    ):
        parts = ", ".join(f"{each.stage} {np.expm1(each.found.spread):.1%}" for each in held)
        yield f"{parts} slower in {slow} than in {fast}"


def _stage_record(each: StagePasses) -> dict[str, Any]:
    """Return one stage for machines."""
    low, middle, high = each.sd_quantiles
    found = each.found
    return {
        "configs": found.configs,
        "rows": found.rows,
        "p_value": found.p_value,
        "adjusted": each.adjusted,
        "differ": each.differ,
        "noise": found.noise_sd,
        "sd": {"q05": low, "median": middle, "q95": high},
        "passes": [
            {"name": name, "slower": float(np.expm1(effect)), "sd": float(sd)}
            for name, effect, sd in zip(each.names, found.effect, found.effect_sd, strict=True)
        ],
    }
