"""Collapsed and plain forms are one posterior: exactly in density, and in draws of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy.stats import multivariate_normal

from bayeslat.inference.engines.nuts import sample_nuts
from bayeslat.model.collapsed import draw_effects, log_likelihood
from bayeslat.model.collapsed_data import collapse
from bayeslat.model.plain import build_plain
from tests.calibration import shrink_offsets
from tests.plain_form import flatten, name_effects, name_scales, value_point
from tests.problems import CASES, Case, draw_truth, make_case

MAX_ERRORS = 4.0  # Monte Carlo standard errors between two means
MAX_SD = 0.10  # relative difference of two standard deviations

# Groups enough to tell every scale from zero: with fewer the plain form has funnels that its
# sampler cannot enter, which is why the collapsed form exists.
SAMPLED: Mapping[str, Mapping[str, Any]] = {
    "lone GPUs": {"families": dict(zip("abcdef", "nsewxy", strict=True))},
    "family and stacks": {
        "families": dict(zip("abcdef", "nnnnse", strict=True)),
        "groups": [(gpu, stack) for gpu in "ab" for stack in ("v1", "v2")]
        + [(gpu, "") for gpu in "cdef"],
    },
}


def log_conditional(case: Case, scales: np.ndarray, effects: np.ndarray) -> float:
    """Log density of effects given scales and rows, of the distribution that is drawn from."""
    size = effects.size
    standard = np.concatenate([np.zeros((1, size)), np.eye(size)]).reshape(-1, *effects.shape)
    data = collapse(case.problem)
    drawn = draw_effects(np.tile(scales, (size + 1, 1)), standard, data).reshape(size + 1, size)
    root = drawn[1:] - drawn[0]  # an effect is its mean plus standard normals times this
    normals = np.linalg.solve(root.T, effects.ravel() - drawn[0])
    return float(multivariate_normal.logpdf(normals, np.zeros(size)) - np.linalg.slogdet(root)[1])


@pytest.mark.parametrize("name", CASES)
def test_the_densities_are_equal(name: str) -> None:
    """Of scales, effects and rows: plain = scales' prior x marginal likelihood x conditional."""
    case = make_case(21, **CASES[name])
    model = build_plain(case.problem, case.designs, case.responses)
    whole = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    priors = [variable for variable in model.free_RVs if "effect" not in variable.name]
    prior = model.compile_logp(priors, jacobian=False, mode="FAST_COMPILE")
    rng = np.random.default_rng(2)
    for _ in range(3):
        scales = case.problem.layout.draw_prior(rng)
        effects = draw_truth(case.problem, scales, rng)
        point = value_point(case.problem, scales, effects)
        conditional = log_conditional(case, scales, effects)
        marginal = log_likelihood(scales, collapse(case.problem))[0]
        collapsed = prior(point) + marginal + conditional
        assert whole(point) == pytest.approx(collapsed, rel=1e-8, abs=1e-5)


def collapsed_draws(case: Case) -> dict[str, np.ndarray]:
    drawn = sample_nuts(case.problem, 1, chains=4, draws=2000, tune=500)
    named = name_scales(case.problem.layout, drawn.scales)
    return flatten(named | name_effects(case.problem, drawn.effects))


def plain_draws(case: Case) -> dict[str, np.ndarray]:
    import nutpie

    model = build_plain(case.problem, case.designs, case.responses)
    tree = nutpie.sample(
        nutpie.compile_pymc_model(model),
        chains=4,
        draws=4000,
        tune=1500,
        seed=2,
        target_accept=0.95,
        progress_bar=False,
    )
    assert tree["sample_stats"]["diverging"].sum() == 0
    names = [variable.name for variable in model.free_RVs]
    return flatten({name: tree["posterior"][name].values for name in names})


def differences(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]
) -> tuple[dict[str, float], dict[str, float]]:
    """Distance of means in Monte Carlo errors, and of sds relative to each other."""
    errors, sds = {}, {}
    for name, left in first.items():
        right = second[name]
        error = np.hypot(*(array_stats.mcse(each, 0, 1, method="mean") for each in (left, right)))
        errors[name] = float(abs(left.mean() - right.mean()) / error)
        sds[name] = float(abs(left.std() / right.std() - 1))
    return errors, sds


def sampled_case(name: str) -> Case:
    """Draw a problem whose scales are those of its priors."""
    shape = {**SAMPLED[name], "degree": 1}
    layout = make_case(5, **shape).problem.layout
    typical = np.log(np.where(layout.half_normal > 0, layout.half_normal, 1.0))
    scales = np.where(layout.half_normal > 0, typical, layout.normal[:, 0])
    scales[layout.names.index("noise")] = np.log(0.01)
    return make_case(5, **shape, scales=scales)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLED)
def test_the_posteriors_are_equal(name: str) -> None:
    case = sampled_case(name)
    collapsed, plain = collapsed_draws(case), plain_draws(case)
    assert collapsed.keys() == plain.keys()
    errors, sds = differences(collapsed, plain)
    assert max(errors.values()) < MAX_ERRORS, max(errors.items(), key=lambda each: each[1])
    assert max(sds.values()) < MAX_SD, max(sds.items(), key=lambda each: each[1])

    # The broken twin: another prior of the offset scales is seen by both measures.
    other = collapsed_draws(replace(case, problem=shrink_offsets(case.problem, 3.0)))
    errors, sds = differences(other, plain)
    assert max(errors.values()) > MAX_ERRORS
    assert max(sds.values()) > MAX_SD
