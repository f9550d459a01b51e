"""GPUs without rows are drawn from the population that the posterior describes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtri, stdtrit

from bayeslat.decisions.group_view import GroupView, view_group
from bayeslat.decisions.predict import predict
from bayeslat.features.design import stage_inputs
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.thin_draws import thin_draws
from tests.posteriors import make_configs, make_data

pytestmark = pytest.mark.xdist_group("small posterior")

STAGE = "prefill"
COPIES = 400  # of each draw of the posterior, to see the distribution that a GPU is drawn from


def many_draws(data: PosteriorData) -> PosteriorData:
    """Repeat the draws, so that what is drawn anew can be told from them."""
    part = data.stages[STAGE]
    first = slice(0, 50)
    more = replace(
        part,
        scales=np.repeat(part.scales[first], COPIES, axis=0),
        effects=np.repeat(part.effects[first], COPIES, axis=0),
    )
    return replace(data, stages={**data.stages, STAGE: more})


def look(data: PosteriorData, gpu: str, stack: str | None = None) -> GroupView:
    return view_group(data, STAGE, load_hardware().resolve(gpu), stack, np.random.default_rng(0))


def departures(data: PosteriorData, gpu: str) -> tuple[np.ndarray, np.ndarray]:
    """Median and spread of what is drawn, per draw of the posterior. Shapes (draw, feature)."""
    effects = look(data, gpu).effects.reshape(50, COPIES, -1)
    quartiles = np.quantile(effects, [0.25, 0.5, 0.75], axis=1)
    return quartiles[1], quartiles[2] - quartiles[0]


def test_a_fitted_gpu_has_its_own_draws() -> None:
    data = make_data()
    part = data.stages[STAGE]
    view = look(data, "h100_sxm")
    np.testing.assert_array_equal(
        view.effects, part.effects[:, part.problem.tree.index("h100_sxm")]
    )


def test_a_new_gpu_of_a_fitted_family_is_centred_on_it() -> None:
    data = many_draws(make_data())
    part = data.stages[STAGE]
    family = part.effects[::COPIES, part.problem.tree.index("hopper")]
    shared = part.effects[::COPIES, -1]
    median, spread = departures(data, "gh200")
    error = 1.5 * spread / np.sqrt(COPIES)  # of a median, at least
    assert np.mean(np.abs(median - family) < 4 * error) > 0.99
    assert np.mean(np.abs(median - shared) < 4 * error) < 0.9


def test_a_stranger_is_centred_on_the_shared_effects_and_wider() -> None:
    data = many_draws(make_data())
    shared = data.stages[STAGE].effects[::COPIES, -1]
    median, spread = departures(data, "l40s")
    error = 1.5 * spread / np.sqrt(COPIES)
    assert np.mean(np.abs(median - shared) < 4 * error) > 0.99
    assert np.all(np.median(spread, axis=0) > np.median(departures(data, "gh200")[1], axis=0))


def test_no_stranger_departs_by_more_than_four_spreads() -> None:
    data = many_draws(make_data())
    part = data.stages[STAGE]
    departed = (look(data, "l40s").effects - part.effects[:, -1]) / part.problem.offset_sd(
        part.scales
    )
    assert np.abs(departed).max() <= 4.0 + 1e-9
    # Within, they are Student-t: the bound is met by 1.6 %, and moves no quantile of an interval.
    levels = [0.05, 0.25, 0.75, 0.95]
    np.testing.assert_allclose(
        np.quantile(departed, levels, axis=0).T, np.tile(stdtrit(4.0, levels), (5, 1)), atol=0.05
    )


def spread_over_seeds() -> float:
    """Coefficient of variation over seeds of a stranger's mean latency, in the worst config."""
    data, gpu, configs = make_data(), load_hardware().resolve("l40s"), make_configs(8)
    means = np.array(
        [predict(data, configs, gpu, seed=seed).frame["decode_mean_ms"] for seed in range(30)]
    )
    return float((means.std(axis=0) / means.mean(axis=0)).max())


def test_the_mean_of_a_stranger_hardly_depends_on_the_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert spread_over_seeds() < 0.1  # its own Monte Carlo error is an eighth of it
    # The broken twin: exp of a Student-t, whose mean does not exist.
    monkeypatch.setattr("bayeslat.inference.calibration.population._MOST_DEPARTURE", np.inf)
    assert spread_over_seeds() > 0.2


def test_what_is_drawn_for_the_kept_draws_is_stratified() -> None:
    """Thinning afterwards would leave some strata with two draws and some with none."""
    data = many_draws(make_data(stacks=("v1", "v2")))
    few = thin_draws(data, 512).stages[STAGE]
    gpu = load_hardware().resolve("a100_sxm")
    configs = make_configs(1)
    drawn = predict(data, configs, gpu, stack="v9").stages[STAGE].noise_sd[0]
    inputs = stage_inputs(data.spec, STAGE, configs, gpu)
    drawn = drawn / few.noise_shape.spread(few.basis, inputs.raw)
    ratio = np.log(drawn / few.noise_sd()) / 0.5
    np.testing.assert_allclose(np.sort(ratio), ndtri((np.arange(512) + 0.5) / 512), atol=1e-9)


def test_one_relative_pulls_as_far_as_the_family_share_says() -> None:
    data = many_draws(make_data())
    part = data.stages[STAGE]
    layout = part.problem.layout
    share = layout.name_draws(part.scales[::COPIES])["family_share"][:, None]
    shared = part.effects[::COPIES, -1]
    own = part.effects[::COPIES, part.problem.tree.index("a100_sxm")]
    median, spread = departures(data, "a30")
    error = 1.5 * spread / np.sqrt(COPIES)
    assert np.mean(np.abs(median - (shared + share * (own - shared))) < 4 * error) > 0.99


def test_the_noise_of_a_new_gpu_varies_more_than_the_donors() -> None:
    data = many_draws(make_data())
    ratio = np.log(look(data, "l40s").noise_sd / data.stages[STAGE].noise_sd())
    assert abs(ratio.mean()) < 4 * 0.5 / np.sqrt(ratio.size)
    assert abs(ratio.std() - 0.5) < 0.02


def test_an_unseen_stack_departs_from_its_gpu() -> None:
    data = many_draws(make_data(stacks=("v1", "v2")))
    part = data.stages[STAGE]
    gpu = part.effects[::COPIES, part.problem.tree.index("a100_sxm")]
    view = look(data, "a100_sxm", "v9")
    effects = view.effects.reshape(50, COPIES, -1)
    error = effects.std(axis=1) / np.sqrt(COPIES)
    assert np.mean(np.abs(effects.mean(axis=1) - gpu) < 4 * error) > 0.99
    ratio = part.problem.layout.name_draws(part.scales)["stack_ratio"][:, None]
    departed = view.effects - part.effects[:, part.problem.tree.index("a100_sxm")]
    departed /= part.problem.offset_sd(part.scales) * ratio
    # As a new GPU's: Student-t, cut off.
    levels = [0.05, 0.25, 0.75, 0.95]
    np.testing.assert_allclose(
        np.quantile(departed, levels, axis=0).T,
        np.tile(stdtrit(4.0, levels), (departed.shape[1], 1)),
        atol=0.05,
    )


@pytest.mark.parametrize(("gpu", "stack"), [("l40s", None), ("gh200", None), ("a100_sxm", "v9")])
def test_the_covariance_is_that_of_the_draws(gpu: str, stack: str | None) -> None:
    view = look(many_draws(make_data(stacks=("v1", "v2"))), gpu, stack)
    drawn = np.cov(view.effects.T)
    scale = np.sqrt(np.diag(drawn))
    # A covariance of t4s scatters more than one of normals, by a factor of about two.
    gap = (view.covariance - drawn) / np.outer(scale, scale)
    assert np.abs(gap).max() < 4 * 2 / np.sqrt(50 * COPIES)
    assert view.population is not None
    narrow = (np.diag(view.population.covariance) - np.diag(drawn)) / scale**2  # the broken twin
    assert np.abs(narrow).max() > 0.3


def test_a_fitted_gpu_has_the_covariance_of_its_draws() -> None:
    view = look(make_data(), "h100_sxm")
    assert view.population is None
    np.testing.assert_allclose(view.covariance, np.cov(view.effects.T))
