"""From rows to a problem: where it is linearised, and what repeats and the order of rows do."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from bayeslat.inference.engines.draws import mean_effects
from bayeslat.inference.engines.laplace import sample_laplace
from bayeslat.inference.engines.mode import find_mode
from bayeslat.inference.fitting.prepare import PreparedStage, prepare_stage
from bayeslat.inference.rows.plan import plan_fit
from bayeslat.inference.rows.regression import first_anchor
from bayeslat.inference.rows.stage_table import stage_table
from bayeslat.model.collapsed_data import collapse
from bayeslat.model.problem import StageProblem
from bayeslat.model.statistics import stack_statistics, summarise
from tests.regressions import Array
from tests.simulated import SPEC, simulate_trace

pytestmark = pytest.mark.xdist_group("prepared stages")

GPUS = ("a100_sxm", "h100_sxm", "h200_sxm")
STAGE = "decode"
DRAWS = 2000


@lru_cache(maxsize=1)
def single_rows() -> pd.DataFrame:
    """Return a trace that measures each configuration once."""
    return simulate_trace(3, gpus=GPUS, rows=50).frame


def copies(frame: pd.DataFrame, times: int) -> pd.DataFrame:
    """Return each row some times over, with repeat numbers."""
    return pd.concat([frame.assign(repeat=k) for k in range(times)], ignore_index=True)


@lru_cache(maxsize=8)
def prepare(kind: str) -> PreparedStage:
    frame = single_rows()
    if kind == "copied":
        frame = copies(frame, 10)
    if kind == "shuffled":
        frame = frame.sample(frac=1.0, random_state=4, ignore_index=True)
    return prepare_stage(plan_fit(SPEC, frame), STAGE)


def hierarchy_mode(problem: StageProblem) -> Array:
    """Mean of all effects at the mode of the scales. Shape (node + 1, feature)."""
    mode = find_mode(collapse(problem))
    return mean_effects(problem, problem.layout.from_scores(mode.centre))


def efficiencies(problem: StageProblem) -> Array:
    """Departures of the GPUs at the mode of the hierarchy. Shape (gpu, term)."""
    nodes = [problem.tree.index(gpu) for gpu in GPUS]
    return hierarchy_mode(problem)[nodes, : len(SPEC.stages[STAGE].physics)]


def effect_moments(problem: StageProblem) -> tuple[Array, Array]:
    """Mean and sd of every effect by the Laplace engine. Shapes (node + 1, feature)."""
    draws = sample_laplace(problem, seed=5, proposals=2 * DRAWS, draws=DRAWS).effects[0]
    return draws.mean(axis=0), draws.std(axis=0)


def test_it_is_linearised_at_the_mode_of_the_hierarchy() -> None:
    """A further pass moves it by a small part of what is not known, in spite of large misfit."""
    plan = plan_fit(SPEC, simulate_trace(3, gpus=GPUS, rows=50, residual=0.2).frame)
    prepared = prepare_stage(plan, STAGE)
    _, sd = effect_moments(prepared.problem)
    nodes = [prepared.problem.tree.index(gpu) for gpu in GPUS]
    unknown = sd[nodes, : prepared.settled.departure.shape[1]]
    moves = np.abs(efficiencies(prepared.problem) - prepared.settled.departure) / unknown
    assert moves.max() < 0.1
    # The broken twin: physics alone, which does not know the corrections, is another place.
    first = first_anchor(stage_table(plan, STAGE))
    assert (np.abs(efficiencies(prepared.problem) - first.departure) / unknown).max() > 0.4
    np.testing.assert_array_equal(first.shared, prepared.settled.shared_efficiency)


def test_copies_of_a_row_say_what_the_row_says() -> None:
    once, copied = prepare("single"), prepare("copied")
    assert copied.measured == (500, 500, 500)
    np.testing.assert_allclose(copied.problem.statistics.rows, 50.0, rtol=1e-6)
    mean, sd = effect_moments(once.problem)
    moves = (hierarchy_mode(copied.problem) - hierarchy_mode(once.problem)) / sd
    # Residuals are corrected for the leverage of a row, of which a copy has a tenth: the noise's
    # shape, and with it the slopes, move a little.
    np.testing.assert_allclose(moves, 0.0, atol=0.1)
    copied_mean, copied_sd = effect_moments(copied.problem)
    error = np.sqrt(2 / DRAWS)
    np.testing.assert_allclose((copied_mean - mean) / sd, 0.0, atol=4 * error)
    np.testing.assert_allclose(copied_sd / sd, 1.0, atol=4 * error / np.sqrt(2))


def test_copies_that_count_for_a_row_each_are_far_too_sure() -> None:
    """The broken twin: all weights one."""
    once, copied = prepare("single"), prepare("copied")
    regression = copied.regression
    parts = map(summarise, regression.designs, regression.responses)
    sure = replace(copied.problem, statistics=stack_statistics(list(parts)))
    np.testing.assert_array_equal(sure.statistics.rows, 500.0)
    leaves = once.problem.tree.leaf >= 0
    ratio = effect_moments(sure)[1][:-1][leaves] / effect_moments(once.problem)[1][:-1][leaves]
    assert np.median(ratio) < 0.7


def test_repeats_that_scatter_afresh_count_for_more() -> None:
    """Ten runs a configuration, which share nothing but the configuration's misfit, here none."""
    frame = copies(single_rows(), 10)
    rng = np.random.default_rng(6)
    column = SPEC.stages[STAGE].column
    noisy = frame.assign(**{column: frame[column] * np.exp(0.2 * rng.standard_normal(len(frame)))})
    prepared = prepare_stage(plan_fit(SPEC, noisy), STAGE)
    assert np.all(prepared.problem.statistics.rows > 250)
    assert np.all(prepared.problem.statistics.rows <= 500)


def test_rows_in_another_order_are_the_same_problem() -> None:
    one, other = prepare("single"), prepare("shuffled")
    assert other.settled.noise_dof == one.settled.noise_dof
    assert other.problem.features.names == one.problem.features.names
    assert other.problem.layout == one.problem.layout
    np.testing.assert_array_equal(other.settled.basis.low, one.settled.basis.low)
    np.testing.assert_array_equal(other.settled.basis.high, one.settled.basis.high)
    np.testing.assert_allclose(other.settled.departure, one.settled.departure, atol=1e-3)
    np.testing.assert_allclose(
        other.settled.noise_shape.slopes, one.settled.noise_shape.slopes, atol=5e-3
    )
    sd = effect_moments(one.problem)[1]
    moves = (hierarchy_mode(other.problem) - hierarchy_mode(one.problem)) / sd
    np.testing.assert_allclose(moves, 0.0, atol=0.03)


def test_statistics_are_those_of_the_regression() -> None:
    prepared = prepare("copied")
    kept, regression = prepared.problem.statistics, prepared.regression
    for g, (design, response, weights) in enumerate(
        zip(regression.designs, regression.responses, regression.noise.weights, strict=True)
    ):
        root = np.sqrt(weights)
        both = np.concatenate([design, response[:, None]], axis=1) * root[:, None]
        cross = both.T @ both
        np.testing.assert_allclose(kept.gram[g], cross[:-1, :-1], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(kept.moment[g], cross[:-1, -1], rtol=1e-10, atol=1e-12)
        assert kept.square[g] == pytest.approx(cross[-1, -1], rel=1e-10)
        assert kept.rows[g] == pytest.approx(weights.sum(), rel=1e-12)


def test_every_stage_of_the_spec_can_be_prepared_from_few_rows() -> None:
    frame = simulate_trace(7, gpus=("a100_sxm", "l40s"), rows=4).frame
    plan = plan_fit(SPEC, frame)
    for stage in SPEC.stages:
        prepared = prepare_stage(plan, stage)
        assert prepared.measured == (4, 4)
        assert np.all(np.isfinite(prepared.problem.statistics.gram))
