"""Design matrices against physics written out by hand and differences of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import SpecError
from bayeslat.features.design import (
    StageInputs,
    coordinates,
    counting_knobs,
    linearise,
    physics_ms,
    stage_inputs,
)
from bayeslat.features.hardware import load_hardware
from bayeslat.features.residual import ResidualBasis, span_basis
from bayeslat.features.spec import Spec
from tests.posteriors import SPEC_TEXT, make_configs, small_spec

GPU = load_hardware().resolve("a100_sxm")
AT = np.array([0.3, -0.2, 0.5])


@pytest.fixture(scope="module")
def inputs() -> StageInputs:
    return stage_inputs(small_spec(), "prefill", make_configs(30), GPU)


@pytest.fixture(scope="module")
def basis(inputs: StageInputs) -> ResidualBasis:
    return span_basis(["log(context)"], 2, inputs.raw, ["batch_size"])


def spec_of(physics: str, feature: str = "batch_size") -> Spec:
    return Spec.from_text(f"""
name = "one"
knobs = ["batch_size", "context"]
[stages.step.physics]
only = {{ ms = "{physics}", kind = "launch" }}
[stages.step.residual]
features = ["{feature}"]
degree = 1
""")


def test_terms_are_the_formulas_on_the_data_sheet(inputs: StageInputs) -> None:
    configs = make_configs(30)
    peak, bandwidth = (float(GPU.fields()[name]) for name in ("bf16_tflops", "mem_bw_GBps"))
    work = (2 * configs["batch_size"] * configs["context"] * 1e9).to_numpy(dtype=float)
    fixed = np.tile([2e9 / (bandwidth * 1e6), 2.0], (30, 1))
    np.testing.assert_allclose(inputs.terms_ms[:, 0], work / (peak * 1e9), rtol=1e-12)
    np.testing.assert_allclose(inputs.terms_ms[:, 1:], fixed, rtol=1e-12)
    np.testing.assert_allclose(inputs.raw[:, 0], np.log(configs["context"]), rtol=1e-12)
    np.testing.assert_array_equal(inputs.raw[:, 1], configs["batch_size"])
    assert inputs.task is None
    assert len(inputs) == 30


def test_coordinates_are_features_then_knobs_that_physics_alone_uses() -> None:
    assert coordinates(small_spec(), "prefill") == ("log(context)", "batch_size")
    # `times` is no part of the stage's own latency.
    assert coordinates(small_spec(), "decode") == ("batch_size", "context")


def test_counting_knobs_say_how_often_a_stage_runs_and_no_more() -> None:
    assert counting_knobs(small_spec(), "prefill") == ()
    assert counting_knobs(small_spec(), "decode") == ("output_tokens",)
    length = '[quantities]\nlength = "context + output_tokens"\n'
    spec = Spec.from_text(SPEC_TEXT.replace("1e5 * batch_size * context", "length") + length)
    assert counting_knobs(spec, "decode") == ()


def test_tasks_are_kept() -> None:
    configs = make_configs(5, tasks=("chat", "qa"))
    found = stage_inputs(small_spec(), "prefill", configs, GPU)
    assert list(found.task or ()) == configs["task"].tolist()


def test_no_configurations_have_no_rows() -> None:
    none = stage_inputs(small_spec(), "prefill", make_configs(5).head(0), GPU)
    assert none.terms_ms.shape == (0, 3)
    assert none.raw.shape == (0, 2)


@pytest.mark.parametrize(
    ("physics", "feature", "rule"),
    [
        ("batch_size - 3", "batch_size", r"'only' is -2\.0 at row 1 .*finite and not negative"),
        ("log(batch_size)", "batch_size", r"every physics term is 0 at row 1"),
        ("batch_size", "batch_size * 1e308 * 10", r"is inf at row 1 on a100_sxm.*must be finite"),
    ],
)
def test_values_that_no_latency_has_are_refused(physics: str, feature: str, rule: str) -> None:
    configs = pd.DataFrame({"batch_size": [1, 4], "context": [10, 20]})
    with np.errstate(over="ignore"), pytest.raises(SpecError, match=rule):
        stage_inputs(spec_of(physics, feature), "step", configs, GPU)


def test_physics_adds_up_and_shares_sum_to_one(inputs: StageInputs) -> None:
    log_ms, shares = physics_ms(inputs.terms_ms, AT)
    np.testing.assert_allclose(np.exp(log_ms), inputs.terms_ms @ np.exp(AT), rtol=1e-12)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-12)


def test_shares_are_the_slopes_of_log_physics(inputs: StageInputs) -> None:
    _, shares = physics_ms(inputs.terms_ms, AT)
    for k, step in enumerate(1e-5 * np.eye(3)):
        above, below = (physics_ms(inputs.terms_ms, AT + sign * step)[0] for sign in (1, -1))
        np.testing.assert_allclose(shares[:, k], (above - below) / 2e-5, atol=1e-9)


def test_residual_columns_cannot_explain_what_physics_does(
    inputs: StageInputs, basis: ResidualBasis
) -> None:
    point = linearise(AT, inputs, basis)
    _, design = point.design(inputs, basis)
    shares, columns = design[:, :3], design[:, 3:]
    np.testing.assert_allclose(shares.T @ columns, 0.0, atol=1e-9)
    assert np.abs(shares.T @ basis.columns(inputs.raw)).max() > 0.1  # the broken twin
    # What was taken off them is a combination of shares: together they span the same.
    whole = np.concatenate([shares, basis.columns(inputs.raw)], axis=1)
    both = np.concatenate([whole, columns], axis=1)
    assert np.linalg.matrix_rank(both, tol=1e-8) == np.linalg.matrix_rank(whole, tol=1e-8)


def test_residual_columns_are_not_orthogonal_to_minor_terms(
    inputs: StageInputs, basis: ResidualBasis
) -> None:
    point = linearise(AT, inputs, basis, minor=(0,))
    _, design = point.design(inputs, basis)
    across = np.abs(design[:, :3].T @ design[:, 3:]).max(axis=1)
    np.testing.assert_allclose(across[1:], 0.0, atol=1e-9)
    assert across[0] > 1e-3
    np.testing.assert_array_equal(point.projection[0], 0.0)


def test_a_design_row_does_not_depend_on_the_others(
    inputs: StageInputs, basis: ResidualBasis
) -> None:
    point = linearise(AT, inputs, basis)
    log_ms, design = point.design(inputs, basis)
    one = StageInputs(inputs.terms_ms[[7]], inputs.raw[[7]])
    alone_ms, alone = point.design(one, basis)
    np.testing.assert_allclose(alone, design[[7]], rtol=1e-12)
    np.testing.assert_allclose(alone_ms, log_ms[[7]], rtol=1e-12)


def test_columns_may_be_held_at_other_configurations(
    inputs: StageInputs, basis: ResidualBasis
) -> None:
    """Physics is at one place, columns are at another: those of the edge."""
    point = linearise(AT, inputs, basis)
    there = StageInputs(inputs.terms_ms[::-1], inputs.raw[::-1])
    log_ms, held = point.design(inputs, basis, residual_at=there)
    here_ms, here = point.design(inputs, basis)
    np.testing.assert_array_equal(log_ms, here_ms)
    np.testing.assert_array_equal(held[:, :3], here[:, :3])
    np.testing.assert_allclose(held[:, 3:], here[::-1, 3:], rtol=1e-12)


def test_terms_that_are_always_in_proportion_leave_a_projection(basis: ResidualBasis) -> None:
    """The shares of two constant terms are linearly dependent: least squares stand that."""
    terms = np.array([[1.0, 2.0]]) * np.linspace(1, 4, 30)[:, None]
    raw = stage_inputs(small_spec(), "prefill", make_configs(30), GPU).raw
    point = linearise(AT[:2], StageInputs(terms, raw), basis)
    assert np.all(np.isfinite(point.projection))
    _, design = point.design(StageInputs(terms, raw), basis)
    np.testing.assert_allclose(design[:, :2].T @ design[:, 2:], 0.0, atol=1e-9)
