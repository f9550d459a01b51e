"""The search for overlaps: found where kernels compute while they read, and nowhere else."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from bayeslat.evaluation.missing_features import MissingFeature, find_missing_features
from bayeslat.evaluation.missing_features.overlaps import list_overlaps
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.fitting.prepare import prepare_stage
from bayeslat.inference.rows.plan import plan_fit
from bayeslat.model.simulate import draw_parameters, simulate

pytestmark = pytest.mark.xdist_group("missing features")

GPUS = ("a100_sxm", "h100_sxm", "l40s")
COMPUTE = "2 * tokens * weights / (peak_tflops * 1e9)"
MEMORY = "2 * weights / (mem_bw_GBps * 1e6)"
TEXT = f"""
name = "gemm"
knobs = ["tokens"]

[architecture]
weights = 1e9

[stages.gemm]
[stages.gemm.physics]
compute = "{COMPUTE}"
memory = "{MEMORY}"
launch = "0.01"
"""
LEFT = f'{{ ms = "maximum({COMPUTE} - {MEMORY}, 0)", kind = "flops" }}'
ROOFLINE = TEXT.replace(f'"{COMPUTE}"', LEFT)
EXPRESSION = f"log(maximum(({COMPUTE}), ({MEMORY})) / (({COMPUTE}) + ({MEMORY})))"


def configs() -> pd.DataFrame:
    return pd.DataFrame({"tokens": np.unique(np.geomspace(1, 8192, 90).round())})


@lru_cache(maxsize=2)
def found(overlaps: bool) -> tuple[MissingFeature, ...]:
    """Simulate kernels that hide what is shorter, or do not, and search in the spec of the sum."""
    spec, truth = Spec.from_text(TEXT), Spec.from_text(ROOFLINE if overlaps else TEXT)
    parameters = draw_parameters(truth, GPUS, configs=configs(), seed=1)
    frame = simulate(truth, configs(), GPUS, parameters=parameters, seed=1)
    data = fit_posterior(spec, frame, engine="laplace")
    return find_missing_features(data, frame, hardware=load_hardware())


def test_arithmetic_that_hides_behind_memory_comes_first() -> None:
    best = found(True)[0]
    assert (best.kind, best.expression) == ("overlap", EXPRESSION)
    assert best.sure
    assert best.error_after < 0.6 * best.error_before


def test_none_is_found_where_times_add_up() -> None:
    overlaps = [each for each in found(False) if each.kind == "overlap"]
    assert [each.expression for each in overlaps] == [EXPRESSION]
    assert not overlaps[0].sure


def test_the_spec_takes_what_is_proposed() -> None:
    told = f'[stages.gemm.residual]\nfeatures = ["{EXPRESSION}"]\ndegree = 1\n'
    spec = Spec.from_text(TEXT + told)
    truth = Spec.from_text(ROOFLINE)
    parameters = draw_parameters(truth, GPUS, configs=configs(), seed=1)
    frame = simulate(truth, configs(), GPUS, parameters=parameters, seed=1)
    data = fit_posterior(spec, frame, engine="laplace")
    again = find_missing_features(data, frame, hardware=load_hardware())
    assert not any(each.sure for each in again if each.kind == "overlap")


def overlaps_of(tokens: list[int], text: str = TEXT) -> list[str]:
    spec = Spec.from_text(text)
    frame = pd.DataFrame({"tokens": tokens, "gpu": "l40s"})
    frame["t_gemm_ms"] = 5.0 + 0.01 * frame["tokens"]
    plan = plan_fit(spec, frame)
    return [each.text for each in list_overlaps(spec, "gemm", prepare_stage(plan, "gemm").rows)]


def test_candidates_are_pairs_that_hide_a_tenth_somewhere() -> None:
    few, many = list(range(1, 21)), list(range(1, 2001, 100))
    assert overlaps_of(few) == []
    assert overlaps_of(many) == [EXPRESSION]
    without = TEXT.replace(f'memory = "{MEMORY}"', 'memory = { ms = "3", kind = "launch" }')
    assert overlaps_of(many, without) == []


def test_values_are_the_logs_of_the_part_that_is_left() -> None:
    spec = Spec.from_text(TEXT)
    frame = configs().assign(gpu="h100_sxm", t_gemm_ms=5.0)
    rows = prepare_stage(plan_fit(spec, frame), "gemm").rows
    (overlap,) = list_overlaps(spec, "gemm", rows)
    compute, memory = rows[0].inputs.terms_ms[:, 0], rows[0].inputs.terms_ms[:, 1]
    expected = np.log(np.maximum(compute, memory) / (compute + memory))
    assert overlap.values[0].min() == pytest.approx(-1.0)
    assert overlap.values[0].max() == pytest.approx(1.0)
    assert np.corrcoef(overlap.values[0], expected)[0, 1] == pytest.approx(1.0)
