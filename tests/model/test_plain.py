"""The plain form is the model as written: names, dimensions, and density against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import halfnorm, lognorm, norm

from bayeslat.model.plain import build_plain
from bayeslat.model.scales import FAMILY_SHARE, NOISE, NOISE_RATIO, STACK_RATIO, NormalPrior
from tests.plain_form import value_point
from tests.problems import CASES, Case, departure_sd, draw_truth, make_case, noise_sd


def log_prior_of_scales(case: Case, scales: np.ndarray) -> float:
    """Density of the scales as positive numbers and shares, by scipy."""
    layout = case.problem.layout
    named = layout.name_draws(scales)

    def log_normal(values: np.ndarray, prior: NormalPrior) -> float:
        return float(np.sum(lognorm(prior.sd, scale=np.exp(prior.mean)).logpdf(values)))

    total = np.sum(halfnorm.logpdf(named["offset_scale"], scale=layout.offset_prior))
    total += np.sum(halfnorm.logpdf(named["shared_scale"], scale=layout.shared_prior or 1.0))
    total += log_normal(named["noise"], NOISE) + log_normal(named["noise_ratio"], NOISE_RATIO)
    if layout.has_stacks:
        total += log_normal(named["stack_ratio"], STACK_RATIO)
    if layout.has_families:
        share = named["family_share"]
        logit = np.log(share / (1 - share))
        total += norm(FAMILY_SHARE.mean, FAMILY_SHARE.sd).logpdf(logit)
        total -= np.log(share * (1 - share))
    return float(total)


def log_density(case: Case, scales: np.ndarray, effects: np.ndarray) -> float:
    """Prior times likelihood, node by node and group by group."""
    problem = case.problem
    total = log_prior_of_scales(case, scales)
    total += np.sum(norm.logpdf(effects[-1], 0, problem.shared_sd(scales)))
    for node, parent in enumerate(problem.tree.parent):
        sd = departure_sd(problem, scales, node)
        total += np.sum(norm.logpdf(effects[node], effects[parent], sd))
    for node, group in enumerate(problem.tree.leaf):
        if group >= 0:
            mean, sd = case.designs[group] @ effects[node], noise_sd(problem, scales)[group]
            total += np.sum(norm.logpdf(case.responses[group], mean, sd))
    return float(total)


@pytest.mark.parametrize("name", CASES)
def test_the_density_is_prior_times_likelihood(name: str) -> None:
    case = make_case(11, **CASES[name])
    model = build_plain(case.problem, case.designs, case.responses)
    # Without compiling: the graph is evaluated once a case.
    log_p = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    rng = np.random.default_rng(0)
    other = case.problem.layout.draw_prior(rng)
    for scales, effects in (
        (case.scales, case.effects),
        (other, draw_truth(case.problem, other, rng)),
    ):
        expected = log_density(case, scales, effects)
        assert log_p(value_point(case.problem, scales, effects)) == pytest.approx(expected)
        assert log_density(case, scales, effects + 1e-3) != pytest.approx(expected)


def test_every_variable_has_its_dimensions() -> None:
    case = make_case(11, **CASES["family and stacks"])
    model = build_plain(case.problem, case.designs, case.responses)
    names = [variable.name for variable in model.free_RVs]
    dims = {name: model.named_vars_to_dims.get(name) for name in names}
    assert dims == {
        "offset_scale": ("offset_feature",),
        "shared_scale": ("shared_kind",),
        "shared_effect": ("feature",),
        "family_share": None,
        "family_effect": ("family", "feature"),
        "gpu_effect": ("gpu", "feature"),
        "stack_ratio": None,
        "stack_effect": ("stack", "feature"),
        "noise": None,
        "noise_ratio": ("group",),
    }
    wanted = ("gpu", "family", "stack", "group", "offset_feature")
    labels = {name: list(model.coords[name]) for name in wanted}
    assert labels == {
        "gpu": ["a", "b", "c"],
        "family": ["north"],
        "stack": ["a@v1", "a@v2"],
        "group": ["a@v1", "a@v2", "b", "c"],
        "offset_feature": ["launch_0", "bytes_1", "residual size"],
    }
    assert list(model.coords["feature"]) == list(case.problem.features.names)


def test_levels_that_do_not_exist_have_no_variables() -> None:
    case = make_case(11, **CASES["no residual"])
    model = build_plain(case.problem, case.designs, case.responses)
    assert {variable.name for variable in model.free_RVs} == {
        "offset_scale",
        "shared_effect",
        "gpu_effect",
        "noise",
        "noise_ratio",
    }
