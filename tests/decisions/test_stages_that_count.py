"""Stages that no budget holds, or that do not run, keep nothing from being accepted."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from bayeslat.export import guard_reader, make_bundle
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.model.simulate import draw_parameters, simulate
from bayeslat.posterior import Posterior
from tests.posteriors import GPUS, make_configs, make_data, make_frame

GPU = "l40s"
LARGE = 1e12  # ms
SPEC = """
name = "with images"
knobs = ["images", "context"]

[stages.encoder]
times = "where(images > 0, 1, 0)"
[stages.encoder.physics]
compute = "5e12 * (images + 1) / (bf16_tflops * 1e9)"
launch = "1.0"
[stages.encoder.residual]
features = ["log(images + 0.1)"]
degree = 2

[stages.prefill]
[stages.prefill.physics]
compute = "2e9 * context / (bf16_tflops * 1e9)"
launch = "2.0"
"""


def decide(guarded: Posterior, gpu: str, configs: pd.DataFrame, **budgets: float) -> set[str]:
    """Decide by the guard and by the bundle, together and one by one, which agree."""
    total = budgets.pop("total", None)
    stages = {name.replace("_and_", "+"): ms for name, ms in budgets.items()}
    guard = guarded.guard(gpu, total, stage_budgets_ms=stages)
    expected = guard.decide(configs)["decision"].tolist()
    bundle = make_bundle(guarded.data, load_hardware().resolve(gpu))
    reader = guard_reader.GuardBundle(bundle.header, bundle.arrays)
    columns = {str(name): configs[name].to_numpy() for name in configs}
    found = reader.decide(columns, total, stage_budgets_ms=stages)[0]
    assert found.tolist() == expected
    rows = [{name: column[at] for name, column in columns.items()} for at in range(len(configs))]
    assert [reader.decide_one(row, total, stage_budgets_ms=stages)[0] for row in rows] == expected
    return set(expected)


def test_a_stage_that_was_not_measured_counts_where_a_budget_holds_it() -> None:
    rows = make_frame(5, (GPU,), rows=12).drop(columns="t_decode_ms")
    known = Posterior(make_data()).calibrate(rows, GPU)
    configs = make_configs(6).assign(context=1000, output_tokens=50)
    assert decide(known, GPU, configs, prefill=LARGE) == {"accept"}
    assert decide(known, GPU, configs, decode=LARGE) == {"measure"}
    assert decide(known, GPU, configs, prefill_and_decode=LARGE) == {"measure"}
    assert decide(known, GPU, configs, total=LARGE) == {"measure"}
    assert decide(known, GPU, configs, total=LARGE, prefill=LARGE) == {"measure"}


def test_each_row_is_judged_by_its_own_stack() -> None:
    rows = make_frame(5, (GPU,), rows=12)
    known = Posterior(make_data())
    for stack, lacks in (("v1", []), ("v2", ["t_decode_ms"]), ("v3", ["t_prefill_ms"])):
        known = known.calibrate(rows.drop(columns=lacks).assign(stack=stack), GPU)
    configs = make_configs(6).assign(context=1000, output_tokens=50, stack=["v1", "v2", "v3"] * 2)
    guard = known.guard(GPU, stage_budgets_ms={"prefill": LARGE})
    decided = guard.decide(configs)
    assert decided["decision"].tolist() == ["accept", "accept", "measure"] * 2
    assert set(decided["reason"]) == {"", "nothing was measured of prefill"}


def test_the_range_of_a_stage_counts_where_a_budget_holds_it() -> None:
    """The residual of the prefill has a range of contexts, the decode of outputs."""
    known = Posterior(make_data()).calibrate(make_frame(5, (GPU,), rows=12), GPU)
    often = make_configs(6).assign(context=1000, output_tokens=10**6)
    assert decide(known, GPU, often, prefill=LARGE) == {"accept"}
    assert decide(known, GPU, often, decode=LARGE) == {"measure"}
    guard = known.guard(GPU, stage_budgets_ms={"decode": LARGE})
    decided = guard.decide(often)
    assert set(decided["reason"]) == {"leaves the range of the fit"}
    assert set(decided["left_in"]) == {"output_tokens"}


def rows_with_images(gpus: tuple[str, ...]) -> pd.DataFrame:
    spec, rng = Spec.from_text(SPEC), np.random.default_rng(0)
    configs = pd.DataFrame(
        {"images": rng.integers(0, 9, 60), "context": rng.integers(100, 4000, 60)}
    )
    truth = draw_parameters(spec, gpus, configs=configs, seed=0)
    trace = simulate(spec, configs, gpus, parameters=truth, seed=0)
    return trace.assign(t_encoder_ms=trace["t_encoder_ms"].where(trace["images"] > 0))


@lru_cache(maxsize=2)
def with_images(times: str = "where(images > 0, 1, 0)") -> Posterior:
    spec = Spec.from_text(SPEC.replace("where(images > 0, 1, 0)", times))
    return Posterior(fit_posterior(spec, rows_with_images(GPUS), engine="laplace"))


@pytest.mark.parametrize(("images", "expected"), [(0, "accept"), (4, "accept"), (40, "measure")])
def test_the_range_of_a_stage_counts_where_it_runs(images: int, expected: str) -> None:
    configs = pd.DataFrame({"images": images, "context": [500, 1000, 3000]})
    assert decide(with_images(), GPUS[0], configs, total=LARGE) == {expected}
    frame = with_images().predict(configs, GPUS[0]).frame
    assert set(frame["extrapolates"]) == {expected == "measure"}


@pytest.mark.parametrize(("images", "expected"), [(0, "accept"), (4, "reject")])
def test_a_stage_that_does_not_run_keeps_its_budget(images: int, expected: str) -> None:
    configs = pd.DataFrame({"images": images, "context": [500, 1000, 3000]})
    assert decide(with_images(), GPUS[0], configs, encoder=1e-6) == {expected}
    assert decide(with_images(), GPUS[0], configs, encoder=1e-6, total=LARGE) == {expected}


def test_what_was_not_measured_counts_where_it_runs() -> None:
    rows = rows_with_images((GPU,))
    known = with_images().calibrate(rows[rows["images"] == 0], GPU)
    assert known.data.targets[GPU, ""].stages["encoder"].measured == 0
    for images, expected in ((0, "accept"), (4, "measure")):
        configs = pd.DataFrame({"images": images, "context": [500, 1000, 3000]})
        assert decide(known, GPU, configs, total=LARGE) == {expected}
        assert decide(known, GPU, configs, encoder=LARGE) == {expected}
        frame = known.predict(configs, GPU).frame
        assert set(frame["zero_shot"]) == {expected == "measure"}
    mixed = pd.DataFrame({"images": [0, 4], "context": 1000})
    reasons = known.guard(GPU, LARGE).decide(mixed)["reason"]
    assert reasons.tolist() == ["", "nothing was measured of encoder"]


@pytest.mark.parametrize(("images", "expected"), [(0, "accept"), (1, "reject"), (8, "reject")])
def test_a_stage_that_runs_seldom_keeps_its_budget_in_each_run(images: int, expected: str) -> None:
    """A budget of a single stage is for one run of it, however often it runs in a request."""
    known = with_images("images / 4")
    configs = pd.DataFrame({"images": images, "context": [500, 1000, 3000]})
    run_ms = known.predict(configs, GPUS[0]).frame["encoder_point_ms"].min()
    assert decide(known, GPUS[0], configs, encoder=0.6 * float(run_ms)) == {expected}
