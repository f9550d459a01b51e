"""What all baselines are trained on: traces of the donors, one of them the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from bayeslat.counted import counted
from bayeslat.decisions.prediction import TOTAL
from bayeslat.errors import InputError
from bayeslat.evaluation.baselines.knob_features import KnobFeatures, knob_features, knobs_of
from bayeslat.evaluation.baselines.observations import Observations, observe
from bayeslat.evaluation.baselines.source_models import (
    BY_STAGE,
    LEARNERS,
    TOTAL_ONLY,
    SourceModel,
    fit_source,
    validation_error,
)
from bayeslat.features.admit import resolve_gpus
from bayeslat.features.hardware import Gpu, HardwareTable
from bayeslat.features.spec import Spec

__all__ = ["LEAST_OWN_ROWS", "LEAST_SOURCE_ROWS", "Donors"]

LEAST_SOURCE_ROWS = 10
"""Rows that each stage of the source needs: a quarter of them validates."""

LEAST_OWN_ROWS = 100
"""Rows of a stage from which a method that carries nothing over trusts the target's own alone.

Ten for each of some ten coefficients, the rule of thumb of regression (Harrell 2015, section 4.4).
The notes ask for 2000 to 10 000, with which nobody would need a transfer.
"""


@dataclass(frozen=True, eq=False)
class Donors:
    """Traces of the donors. Train every method with the same one: it keeps the source models.

    Attributes
    ----------
    spec : Spec
    traces : DataFrame, one row a measurement
        Of the donors, the source among them; valid, as `admit` returns it.
    source : str
        Key or alias of the GPU whose model is carried over.
    hardware : HardwareTable
    seed : int

    Raises
    ------
    HardwareError
        If the source is not in the hardware table.
    InputError
        If the source has no rows.
    """

    spec: Spec
    traces: pd.DataFrame
    source: str
    hardware: HardwareTable
    seed: int = 0
    _models: dict[str, SourceModel] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check that there is a source."""
        key = self.source_gpu.key
        if key not in set(self.rows["gpu"]):
            listed = ", ".join(dict.fromkeys(self.rows["gpu"].astype(str))) or "none"
            raise InputError(
                f"source GPU {key!r} has no rows; the traces are of {listed}. Name one of these as "
                "the source, or add its traces"
            )

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The traces, with keys of the hardware table in `gpu`."""
        return resolve_gpus(self.traces, self.hardware)

    @property
    def source_gpu(self) -> Gpu:
        """The source."""
        return self.hardware.resolve(self.source)

    @cached_property
    def features(self) -> Mapping[str, KnobFeatures]:
        """Features by stage, and of `total`, on the scale of the donors' configs."""
        return {
            name: knob_features(self.rows, knobs_of(self.spec, name))
            for name in (*self.spec.stages, TOTAL)
        }

    def of_stage(self, stage: str, method: str) -> Sequence[tuple[Gpu, Observations]]:
        """Return the rows of each donor that hold a stage.

        Parameters
        ----------
        stage : str
        method : str
            For the message.

        Raises
        ------
        InputError
            If all donors together have too few.
        """
        found = []
        for key, rows in self.rows.groupby("gpu", sort=False):
            gpu = self.hardware.resolve(str(key))
            each = observe(self.spec, rows, gpu, [stage], least=0, method=method)[stage]
            found.append((gpu, each))
        count = sum(len(each.ms) for _, each in found)
        if count < LEAST_SOURCE_ROWS:
            raise InputError(
                f"{method}: stage {stage!r} is in {counted(count, 'row')} of the donors, and "
                f"needs at least {LEAST_SOURCE_ROWS}; add traces that hold it"
            )
        return found

    def source_model(self, name: str | None = None) -> SourceModel:
        """Fit a source model, once.

        Parameters
        ----------
        name : str, optional
            `linear`, `polynomial`, `neural` or `total_only`; by default that of the first three
            which errs least on a quarter of the source's configs, mean over stages of the MAPE.

        Raises
        ------
        InputError
            If a stage has too few rows, there is no such model, or a library is not installed.
        """
        key = name or ""
        if key not in self._models:
            self._models[key] = self._fit(name) if name else self._best()
        return self._models[key]

    def _fit(self, name: str) -> SourceModel:
        if name not in LEARNERS:
            raise InputError(f"no source model {name!r}; there are {', '.join(LEARNERS)}")
        names = [TOTAL] if name == TOTAL_ONLY else list(self.spec.stages)
        observed = self._observed(names)
        models = fit_source(LEARNERS[name], observed, self.features, seed=self.seed)
        return SourceModel(models, f"source model {name}")

    def _best(self) -> SourceModel:
        observed = self._observed(list(self.spec.stages))
        errors = {
            name: validation_error(
                LEARNERS[name], observed, self.features, self.spec, seed=self.seed
            )
            for name in BY_STAGE
        }
        best, *others = sorted(errors, key=errors.__getitem__)
        told = ", ".join(f"{name} {errors[name]:.1%}" for name in others)
        note = f"source model {best}, validation MAPE of a stage {errors[best]:.1%} ({told})"
        return SourceModel(self.source_model(best).models, note)

    def _observed(self, names: list[str]) -> Mapping[str, Observations]:
        gpu = self.source_gpu
        rows = self.rows[self.rows["gpu"] == gpu.key]
        return observe(self.spec, rows, gpu, names, least=LEAST_SOURCE_ROWS, method="source model")
