"""The regression of a stage: linearised physics against the physics itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bayeslat.features.design import physics_ms, stage_inputs
from bayeslat.inference.rows.anchor import Anchor
from bayeslat.inference.rows.plan import FitPlan, plan_fit
from bayeslat.inference.rows.regression import StageRegression, first_anchor, regress
from bayeslat.inference.rows.stage_rows import stage_rows
from bayeslat.inference.rows.stage_table import stage_table
from tests.posteriors import make_frame, small_spec
from tests.regressions import Array
from tests.simulated import GPUS, SPEC, simulate_trace

STAGE = "decode"


@pytest.fixture(scope="module")
def plan() -> FitPlan:
    return plan_fit(SPEC, simulate_trace(1, rows=80).frame)


def regress_at(plan: FitPlan, departure: float) -> StageRegression:
    """Regress with each GPU's efficiencies at the same departure from those of physics alone."""
    table = stage_table(plan, STAGE)
    anchor = first_anchor(table)
    return regress(table, Anchor(anchor.shared, anchor.departure + departure))


def unevened(regression: StageRegression, group: int) -> tuple[Array, Array]:
    """Design and response before they were divided by the noise's shape."""
    spread = regression.noise.spread[group]
    return regression.designs[group] * spread[:, None], regression.responses[group] * spread


def test_the_first_anchor_has_the_efficiencies_of_the_simulation() -> None:
    """Of 100 rows of 3 %, for terms that lead somewhere; corrections and noise blur the others."""
    simulated = simulate_trace(2, rows=100, residual=0.0)
    plan = plan_fit(SPEC, simulated.frame)
    anchor = first_anchor(stage_table(plan, "prefill"))
    order = [GPUS.index(gpu) for gpu in plan.gpus]
    found = (anchor.shared + anchor.departure)[:, 0]  # arithmetic, which leads most
    np.testing.assert_allclose(found, simulated.efficiency["prefill"][order, 0], atol=0.03)


def test_shares_sum_to_one_and_are_the_slopes_of_physics(plan: FitPlan) -> None:
    regression, rows = regress_at(plan, 0.0), stage_rows(plan, STAGE)
    terms = regression.anchor.departure.shape[1]
    for g in range(len(plan.groups)):
        design, _ = unevened(regression, g)
        np.testing.assert_allclose(design[:, :terms].sum(axis=1), 1.0, rtol=1e-10)
        at, step = regression.anchor.shared + regression.anchor.departure[g], 1e-5
        for k, unit in enumerate(np.eye(terms)):
            above, below = (
                physics_ms(rows[g].inputs.terms_ms, at + sign * step * unit)[0] for sign in (1, -1)
            )
            np.testing.assert_allclose(design[:, k], (above - below) / (2 * step), atol=1e-8)


def test_residual_columns_are_orthogonal_to_shares_over_the_reference(plan: FitPlan) -> None:
    regression, basis = regress_at(plan, 0.0), stage_table(plan, STAGE).basis
    for gpu, departure, projection in zip(
        plan.gpus, regression.anchor.departure, regression.projection, strict=True
    ):
        inputs = stage_inputs(SPEC, STAGE, plan.reference, plan.hardware[gpu])
        shares = physics_ms(inputs.terms_ms, regression.anchor.shared + departure)[1]
        columns = basis.columns(inputs.raw) - shares @ projection
        np.testing.assert_allclose(shares.T @ columns, 0.0, atol=1e-8)
        assert np.abs(shares.T @ basis.columns(inputs.raw)).max() > 1.0  # the broken twin


def test_at_the_anchor_the_regression_gives_the_physics_back(plan: FitPlan) -> None:
    """Slopes that are the departures leave log latency less the physics as the residual."""
    table, noise = stage_table(plan, STAGE), regress_at(plan, 0.05).noise
    first = first_anchor(table)
    anchor = Anchor(first.shared, first.departure + 0.05)
    regression = regress(table, anchor, replace(noise, dof=np.inf))  # normal: no row is calmed
    for g, part in enumerate(table.rows):
        design, response = unevened(regression, g)
        departure = regression.anchor.departure[g]
        at = regression.anchor.shared + departure
        log_ms, _ = physics_ms(part.inputs.terms_ms, at)
        residual = response - design[:, : len(departure)] @ departure
        np.testing.assert_allclose(residual, np.log(part.latency_ms) - log_ms, atol=1e-10)


def test_noise_that_is_settled_is_kept(plan: FitPlan) -> None:
    first = regress_at(plan, 0.0)
    again = regress(stage_table(plan, STAGE), first.anchor, first.noise)
    assert again.noise is first.noise
    for left, right in zip(again.responses, first.responses, strict=True):
        np.testing.assert_array_equal(left, right)


def test_stacks_of_a_gpu_share_its_anchor() -> None:
    frame = make_frame(1, gpus=("a100_sxm", "h100_sxm"), rows=30, stacks=("vllm", "sglang"))
    plan = plan_fit(small_spec(), frame)
    table = stage_table(plan, "prefill")
    anchor = first_anchor(table)
    assert len(plan.groups) == 4
    assert anchor.departure.shape == (2, 3)
    regression = regress(table, anchor)
    assert len(regression.designs) == 4
    assert regression.projection.shape[0] == 2


def test_the_basis_spans_the_rows_of_all_groups_and_their_tasks() -> None:
    frame = make_frame(2, rows=30, tasks=("qa", "chat"))
    plan = plan_fit(small_spec(), frame)
    basis = stage_table(plan, "prefill").basis
    assert basis.tasks == ("chat", "qa")
    assert basis.features == ("log(context)",)
    assert basis.watched == ("batch_size",)
    np.testing.assert_allclose(basis.low, [np.log(frame["context"].min()), 1.0])
    np.testing.assert_allclose(basis.high, [np.log(frame["context"].max()), 16.0])


def test_a_single_task_is_no_task() -> None:
    frame = make_frame(3, rows=20).assign(task="qa")
    plan = plan_fit(small_spec(), frame)
    assert stage_table(plan, "prefill").basis.tasks == ()


def test_a_stage_of_physics_alone_has_no_columns() -> None:
    plan = plan_fit(small_spec(), make_frame(4, rows=20))
    table = stage_table(plan, "decode")
    regression = regress(table, first_anchor(table))
    assert table.basis.names == ()
    assert table.features.names == ("memory", "launch")
    assert regression.projection.shape == (3, 2, 0)
    assert all(np.all(spread == 1.0) for spread in regression.noise.spread)


def test_a_gpu_that_lacks_the_stage_has_no_rows_and_the_others_departure() -> None:
    frame = make_frame(5, rows=30)
    column = small_spec().stages["decode"].column
    frame.loc[frame["gpu"] == "a100_sxm", column] = np.nan
    plan = plan_fit(small_spec(), pd.DataFrame(frame))
    table = stage_table(plan, "decode")
    assert [len(part) for part in table.rows] == [0, 30, 30]
    anchor = first_anchor(table)
    np.testing.assert_allclose(anchor.departure[0], 0.0, atol=1e-4)
