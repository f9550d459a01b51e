"""Which population a group comes from: every case, written out from the model's definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bayeslat.features.hardware import load_hardware
from bayeslat.inference.calibration.calibrate import calibrate_group
from bayeslat.inference.calibration.population import Population, population_of
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData, StagePosterior
from bayeslat.model.scales import STACK_RATIO
from tests.posteriors import GPUS, make_configs, make_data, make_frame, small_spec
from tests.targets import draw_targets

pytestmark = pytest.mark.xdist_group("small posterior")

STAGE = "prefill"
STACKS = ("v1", "v2")


def look(data: PosteriorData, gpu: str, stack: str | None = "", seed: int = 0) -> Population:
    entry = load_hardware().resolve(gpu)
    return population_of(data, STAGE, entry, stack, np.random.default_rng(seed))


def parts(data: PosteriorData) -> tuple[StagePosterior, dict[str, np.ndarray], np.ndarray]:
    """The stage, its scales by name, and sd of the offsets between GPUs."""
    part = data.stages[STAGE]
    named = part.problem.layout.name_draws(part.scales)
    return part, named, part.problem.offset_sd(part.scales)


def add(data: PosteriorData, gpu: str, stack: str, rows: int = 6, seed: int = 1) -> PosteriorData:
    """Calibrate with rows of some GPU; whose they are does not matter here."""
    truth = next(draw_targets(data, make_configs(rows, seed=seed), 1, seed))
    return calibrate_group(data, truth.frame, load_hardware().resolve(gpu), stack)


def assert_of_gpu(found: Population, part: StagePosterior) -> None:
    """A GPU's noise is the stage's, half a log wide; it is linearised at its mean."""
    np.testing.assert_array_equal(found.log_noise, np.log(part.noise_sd()))
    assert found.log_noise_sd == 0.5
    assert found.factors == (3, 2)


def test_a_new_gpu_departs_from_what_all_share() -> None:
    data = make_data()
    part, _, sd = parts(data)
    found = look(data, "l40s")
    np.testing.assert_array_equal(found.centre, part.effects[:, -1])
    np.testing.assert_array_equal(found.spread, sd)
    np.testing.assert_allclose(found.departure, part.effects[:, -1, :3].mean(axis=0))
    assert_of_gpu(found, part)


def test_a_gpu_of_a_fitted_family_departs_from_it_by_what_the_family_leaves() -> None:
    data = make_data()
    part, named, sd = parts(data)
    found = look(data, "gh200")
    family = part.effects[:, part.problem.tree.index("hopper")]
    np.testing.assert_array_equal(found.centre, family)
    np.testing.assert_allclose(found.spread, sd * np.sqrt(1 - named["family_share"])[:, None])
    np.testing.assert_allclose(found.departure, family[:, :3].mean(axis=0))
    assert_of_gpu(found, part)


def test_one_relative_is_regressed_on() -> None:
    """Of two GPUs with correlation rho, given one: mean rho x its departure, sd root(1 - rho^2)."""
    data = make_data()
    part, named, sd = parts(data)
    found = look(data, "a30")
    share, shared = named["family_share"][:, None], part.effects[:, -1]
    own = part.effects[:, part.problem.tree.index("a100_sxm")]
    np.testing.assert_allclose(found.centre, shared + share * (own - shared))
    np.testing.assert_allclose(found.spread, sd * np.sqrt(1 - share**2))
    assert_of_gpu(found, part)


def test_without_a_family_in_the_fit_the_share_is_the_priors() -> None:
    data = make_data(gpus=("a100_sxm", "l40s"))
    part, named, sd = parts(data)
    assert "family_share" not in named
    found = look(data, "a30")
    share = np.sqrt(1 - (found.spread[:, 0] / sd[:, 0]) ** 2)
    logit = np.log(share / (1 - share))
    assert logit.mean() == pytest.approx(1.0, abs=0.01)
    assert logit.std() == pytest.approx(1.2, rel=0.02)
    shared = part.effects[:, -1]
    own = part.effects[:, part.problem.tree.index("a100_sxm")]
    np.testing.assert_allclose(found.centre, shared + share[:, None] * (own - shared))


@pytest.mark.parametrize("stacks", [(), STACKS])
def test_a_fitted_group_has_its_own_draws(stacks: tuple[str, ...]) -> None:
    data = make_data(stacks=stacks)
    part, _, _ = parts(data)
    stack = stacks[1] if stacks else ""
    group = data.groups.index(("h100_sxm", stack))
    found = look(data, "h100_sxm", stack)
    node = part.problem.tree.index(f"h100_sxm@{stack}" if stack else "h100_sxm")
    np.testing.assert_array_equal(found.centre, part.effects[:, node])
    assert not found.spread.any()
    assert found.factors == ()
    np.testing.assert_array_equal(found.departure, part.departure[data.gpus.index("h100_sxm")])
    log_noise = np.log(part.noise_sd(group))
    assert found.log_noise_sd == pytest.approx(log_noise.std())
    np.testing.assert_allclose(found.log_noise, log_noise.mean())


@pytest.mark.parametrize("stack", ["v9", None])
def test_a_new_stack_departs_from_its_fitted_gpu(stack: str | None) -> None:
    data = make_data(stacks=STACKS)
    part, named, sd = parts(data)
    found = look(data, "h100_sxm", stack)
    node = part.problem.tree.index("h100_sxm")
    np.testing.assert_array_equal(found.centre, part.effects[:, node])
    np.testing.assert_allclose(found.spread, sd * named["stack_ratio"][:, None])
    np.testing.assert_array_equal(found.departure, part.departure[data.gpus.index("h100_sxm")])
    assert_of_gpu(found, part)


def test_without_stacks_in_the_fit_the_ratio_is_the_priors() -> None:
    data = make_data()
    _, named, sd = parts(data)
    assert "stack_ratio" not in named
    log_ratio = np.log(look(data, "h100_sxm", "v9").spread / (np.sqrt(2) * sd))  # see below
    np.testing.assert_allclose(log_ratio, np.tile(log_ratio[:, :1], 5), atol=1e-12)
    assert log_ratio[:, 0].mean() == pytest.approx(np.log(0.5), abs=0.01)
    assert log_ratio[:, 0].std() == pytest.approx(0.5, rel=0.02)


def test_a_new_stack_departs_from_its_calibrated_gpu() -> None:
    data = add(make_data(stacks=STACKS), "l40s", "v1")
    part, named, sd = parts(data)
    known = data.targets["l40s", "v1"].stages[STAGE]
    found = look(data, "l40s", "v2")
    np.testing.assert_array_equal(found.centre, known.effects)
    np.testing.assert_allclose(found.spread, sd * np.sqrt(2) * named["stack_ratio"][:, None])
    np.testing.assert_array_equal(found.departure, known.departure)
    assert_of_gpu(found, part)


def test_a_lone_stack_says_less_of_another_than_its_gpu_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stacks drawn as the model has them: what one leaves open of another."""
    rng, ratio = np.random.default_rng(3), 0.5
    gpu = rng.standard_normal(200_000)  # in units of what GPUs differ by
    one, other = gpu + ratio * rng.standard_normal((2, len(gpu)))
    apart = np.std(other - one)
    assert apart > 1.3 * ratio  # as it would be from the GPU itself
    sure = replace(STACK_RATIO, sd=0.0)
    monkeypatch.setattr("bayeslat.inference.calibration.population.STACK_RATIO", sure)
    found, (part, _, sd) = look(make_data(), "h100_sxm", "v9"), parts(make_data())
    np.testing.assert_array_equal(
        found.centre, part.effects[:, part.problem.tree.index("h100_sxm")]
    )
    np.testing.assert_allclose(found.spread, apart * sd, rtol=0.01)


def test_what_a_gpu_was_calibrated_with_is_not_what_it_comes_from() -> None:
    """Else its rows would count twice when more join them."""
    data = make_data(stacks=STACKS)
    both = add(add(data, "l40s", "v1"), "l40s", "v2", seed=2)
    for stack, before in (("v1", data), ("v2", add(data, "l40s", "v1"))):
        found, expected = look(both, "l40s", stack), look(before, "l40s", stack)
        np.testing.assert_array_equal(found.centre, expected.centre)
        np.testing.assert_array_equal(found.spread, expected.spread)


def test_an_updated_group_comes_from_the_fit_still() -> None:
    data = make_data()
    found, expected = look(add(data, "h100_sxm", ""), "h100_sxm"), look(data, "h100_sxm")
    np.testing.assert_array_equal(found.centre, expected.centre)


def test_draws_without_heavy_tails_differ_as_the_donors_do() -> None:
    data = make_data()
    many = replace(look(data, "l40s"), log_noise_sd=0.5)
    effects, noise_sd = many.draw(np.random.default_rng(0), heavy=False)
    standard = (effects - many.centre) / many.spread
    count = len(standard)
    assert np.abs(standard.mean(axis=0)).max() < 4 / np.sqrt(count)
    assert np.abs(standard.std(axis=0) - 1).max() < 4 / np.sqrt(2 * count)
    assert (np.log(noise_sd) - many.log_noise).std() == pytest.approx(0.35, rel=0.05)
    heavy, wide = many.draw(np.random.default_rng(0))
    departed = np.abs((heavy - many.centre) / many.spread)
    assert np.mean(departed > 2.5) > 4 * np.mean(np.abs(standard) > 2.5)
    assert (np.log(wide) - many.log_noise).std() == pytest.approx(0.5, rel=0.05)


def test_the_noise_of_a_new_gpu_is_as_open_as_donors_differ() -> None:
    spec = small_spec()
    frame = make_frame(0, GPUS, rows=60)
    alike = fit_posterior(spec, frame, engine="laplace")
    factor = np.exp(0.3 * np.random.default_rng(0).standard_normal(len(frame)))
    noisy = frame["gpu"] == GPUS[0]
    frame["t_prefill_ms"] *= np.where(noisy, factor, 1.0)
    apart = fit_posterior(spec, frame, engine="laplace")
    entry = load_hardware().resolve("l40s")
    narrow, wide = (
        population_of(data, STAGE, entry, "", np.random.default_rng(0)) for data in (alike, apart)
    )
    part = apart.stages[STAGE]
    middle = np.log(part.noise_sd()).mean()
    told = [np.log(part.noise_sd(group)).mean() - middle for group in range(3)]
    assert narrow.log_noise_sd == 0.5
    expected = np.sqrt((4 * 0.25 + np.sum(np.square(told))) / 7)
    assert wide.log_noise_sd == pytest.approx(expected)
    assert wide.log_noise_sd > 0.6
    noise = wide.draw(np.random.default_rng(0), heavy=False)[1]
    assert np.log(noise).std() > 0.6  # so are those that tests of membership compare with
