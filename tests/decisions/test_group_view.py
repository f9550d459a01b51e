"""GPUs without rows are drawn from the population that the posterior describes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bayeslat.decisions.group_view import GroupView, view_group
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.posterior import PosteriorData
from tests.posteriors import make_data

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
    assert not view.zero_shot


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


def test_a_new_gpu_is_noisier_than_the_donors_on_average() -> None:
    data = many_draws(make_data())
    ratio = np.log(look(data, "l40s").noise_sd / data.stages[STAGE].noise_sd())
    assert abs(ratio.mean() - 0.2) < 4 * 0.35 / np.sqrt(ratio.size)
    assert abs(ratio.std() - 0.35) < 0.02


def test_an_unseen_stack_departs_from_its_gpu() -> None:
    data = many_draws(make_data(stacks=("v1", "v2")))
    part = data.stages[STAGE]
    gpu = part.effects[::COPIES, part.problem.tree.index("a100_sxm")]
    view = look(data, "a100_sxm", "v9")
    effects = view.effects.reshape(50, COPIES, -1)
    error = effects.std(axis=1) / np.sqrt(COPIES)
    assert view.zero_shot
    assert np.mean(np.abs(effects.mean(axis=1) - gpu) < 4 * error) > 0.99
