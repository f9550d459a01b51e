"""Assessments of a simulated GPU, for tests of what judges it and of what reports that."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import pandas as pd

from bayeslat.decisions.guard import Budget
from bayeslat.evaluation.assessment import Assessment, assess
from bayeslat.evaluation.assessment_options import AssessmentOptions
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.posterior import Posterior
from bayeslat.report.assessment_drawings import Drawing, draw_assessment
from bayeslat.report.assessment_page import assessment_page
from bayeslat.report.assessment_record import assessment_record
from bayeslat.traces.provenance import Provenance
from tests.posteriors import make_data, make_frame

GPU, DONOR = "l40s", "h100_sxm"
OPTIONS = AssessmentOptions(
    budget=Budget(300.0), counts=(0, 5, 10), repetitions=2, test_configs=15, suggested=4
)
CALIBRATED_ROWS = 8
KINDS = ("calibrated", "zero-shot", "donor", "nothing", "donors only")
"""A calibrated GPU, one that is not, a donor, and a GPU without rows, calibrated and not."""

TRACES = (
    ('a folder/<traces> & "more".csv', 60, None),
    (
        "traces/l40s.parquet",
        60,
        Provenance(
            source="simulated",
            collected_at="2026-01-31T12:00:00Z",
            tool="bayeslat 0.1.0",
            gpu={"name": "NVIDIA <L40S> & co"},
        ),
    ),
)
COMMANDS = ("bayeslat fit 'a folder/<traces> & \"more\".csv' -o fit.nc", "bayeslat report fit.nc")


@lru_cache(maxsize=1)
def own_rows() -> pd.DataFrame:
    """The GPU's rows."""
    return make_frame(5, (GPU,), rows=50)


@lru_cache(maxsize=1)
def calibrated() -> PosteriorData:
    """A posterior that knows some of them."""
    return Posterior(make_data()).calibrate(own_rows().head(CALIBRATED_ROWS), GPU).data


def all_rows() -> pd.DataFrame:
    """The GPU's rows and the donors'."""
    return pd.concat([own_rows(), make_frame(0)], ignore_index=True)


def judge(data: PosteriorData, rows: pd.DataFrame, gpu: str = GPU, **changed: Any) -> Assessment:
    """Assess a GPU."""
    stack = changed.pop("stack", None)
    hardware = load_hardware()
    options = replace(OPTIONS, **changed)
    return assess(data, rows, hardware.resolve(gpu), options, stack=stack, hardware=hardware)


def assessed(kind: str = "calibrated") -> Assessment:
    """Assess a GPU of a kind."""
    return _assessed(kind)


def recorded(kind: str = "calibrated") -> dict[str, Any]:
    """Put it into numbers."""
    return _recorded(kind)


def drawn(kind: str = "calibrated") -> tuple[Drawing, ...]:
    """Draw it."""
    return _drawn(kind)


def page_of(kind: str = "calibrated") -> str:
    """Lay it out."""
    return _page_of(kind)


@lru_cache
def _assessed(kind: str) -> Assessment:
    if kind == "calibrated":
        return judge(calibrated(), all_rows())
    if kind == "zero-shot":
        return judge(make_data(), all_rows())
    if kind == "donor":
        return judge(make_data(), all_rows(), DONOR)
    if kind == "nothing":
        return judge(make_data(), make_frame(0))
    return judge(calibrated(), make_frame(0))


@lru_cache
def _recorded(kind: str) -> dict[str, Any]:
    return assessment_record(_assessed(kind), TRACES, COMMANDS)


@lru_cache
def _drawn(kind: str) -> tuple[Drawing, ...]:
    return draw_assessment(_assessed(kind))


@lru_cache
def _page_of(kind: str) -> str:
    return assessment_page(_recorded(kind), _drawn(kind))
