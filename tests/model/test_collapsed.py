"""The collapsed form against the model written out as one big Gaussian."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bayeslat.model.collapsed import draw_effects, log_likelihood, log_posterior
from bayeslat.model.collapsed_data import collapse
from bayeslat.model.statistics import summarise
from tests.model.dense import dense_conditional, dense_log_likelihood
from tests.problems import CASES, Case, make_case


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return make_case(11, **CASES[request.param])


def other_scales(case: Case, count: int = 4) -> np.ndarray:
    """Scales that the rows were not drawn from."""
    rng = np.random.default_rng(5)
    return np.array([case.problem.layout.draw_prior(rng) for _ in range(count)])


def central_differences(function, point: np.ndarray, step: float = 2e-3) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Gradient from values alone: five points, so the step can be wide and rounding small."""
    near, far = (
        np.array(
            [function(point + move) - function(point - move) for move in width * np.eye(len(point))]
        )
        for width in (step, 2 * step)
    )
    return (8 * near - far) / (12 * step)


def test_the_marginal_likelihood_is_that_of_the_rows(case: Case) -> None:
    data = collapse(case.problem)
    for scales in (case.scales, *other_scales(case)):
        value = log_likelihood(scales, data)[0]
        assert value == pytest.approx(dense_log_likelihood(case, scales), rel=1e-9, abs=1e-7)


def test_a_wrong_prior_sd_changes_the_likelihood(case: Case) -> None:
    """The comparison above can fail: 1 % in one shared sd is seen."""
    features = replace(case.problem.features, shared_sd=1.01 * case.problem.features.shared_sd)
    value = log_likelihood(case.scales, collapse(replace(case.problem, features=features)))[0]
    assert value != pytest.approx(dense_log_likelihood(case, case.scales), rel=1e-9, abs=1e-7)


def test_the_gradient_is_that_of_the_likelihood(case: Case) -> None:
    data = collapse(case.problem)
    for scales in (case.scales, *other_scales(case)):
        gradient = log_likelihood(scales, data)[1]
        expected = central_differences(lambda at: log_likelihood(at, data)[0], scales)
        np.testing.assert_allclose(gradient, expected, rtol=2e-6, atol=2e-5)


def test_the_posterior_adds_standard_normal_scores(case: Case) -> None:
    data, rng = collapse(case.problem), np.random.default_rng(3)
    size = case.problem.layout.size
    centre, root = rng.standard_normal(size), rng.standard_normal((size, size)) / size
    white = rng.standard_normal(size)
    value, gradient = log_posterior(white, centre, root, data)
    scores = centre + root @ white
    likelihood = dense_log_likelihood(case, case.problem.layout.from_scores(scores))
    assert value == pytest.approx(likelihood - 0.5 * scores @ scores, rel=1e-9)
    expected = central_differences(lambda at: log_posterior(at, centre, root, data)[0], white)
    np.testing.assert_allclose(gradient, expected, rtol=2e-6, atol=2e-5)


def test_rows_of_any_order_and_split_say_the_same(case: Case) -> None:
    parts = [
        (summarise(z[::2], y[::2]), summarise(z[1::2], y[1::2]))
        for z, y in zip(case.designs, case.responses, strict=True)
    ]
    whole = case.problem.statistics
    for group, (even, odd) in enumerate(parts):
        both = odd + even
        np.testing.assert_allclose(both.gram[0], whole.gram[group], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(both.moment[0], whole.moment[group], rtol=1e-12, atol=1e-14)


def test_effects_have_the_exact_conditional_distribution(case: Case) -> None:
    """Draws are affine in their standard normals, so zeros and unit vectors show all of it."""
    nodes, features = len(case.problem.tree.names) + 1, len(case.problem.features.names)
    size, data = nodes * features, collapse(case.problem)
    standard = np.concatenate([np.zeros((1, size)), np.eye(size)]).reshape(-1, nodes, features)
    for scales in (case.scales, other_scales(case, 1)[0]):
        drawn = draw_effects(np.tile(scales, (size + 1, 1)), standard, data).reshape(size + 1, size)
        root = (drawn[1:] - drawn[0]).T
        mean, covariance = dense_conditional(case, scales)
        sd = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose((drawn[0] - mean) / sd, 0.0, atol=1e-6)
        np.testing.assert_allclose((root @ root.T - covariance) / np.outer(sd, sd), 0.0, atol=1e-6)


def test_draws_are_affine_in_their_normals() -> None:
    """What the exactness test rests on."""
    case = make_case(11, **CASES["family and stacks"])
    nodes, features = len(case.problem.tree.names) + 1, len(case.problem.features.names)
    first, second = np.random.default_rng(0).standard_normal((2, nodes, features))
    standard = np.stack([np.zeros_like(first), first, second, 2 * first - 3 * second])
    zero, one, two, mixed = draw_effects(
        np.tile(case.scales, (4, 1)), standard, collapse(case.problem)
    )
    np.testing.assert_allclose(mixed - zero, 2 * (one - zero) - 3 * (two - zero), atol=1e-12)


def test_what_cannot_be_inverted_is_not_finite_rather_than_an_error() -> None:
    case = make_case(11, **CASES["family"])
    broken = replace(case.problem.statistics, gram=-1e9 * case.problem.statistics.gram)
    data = collapse(replace(case.problem, statistics=broken))
    assert np.isnan(log_likelihood(case.scales, data)[0])


def test_hardly_any_offset_keeps_its_precision() -> None:
    """Offset sds of 1e-16 against noise of 1e-4: the likelihood of one regression for all GPUs."""
    case = make_case(4, **CASES["lone GPUs"])
    names = case.problem.layout.names
    scales = case.scales.copy()
    scales[[i for i, name in enumerate(names) if name.startswith("offset_scale")]] = np.log(1e-16)
    scales[names.index("noise")] = np.log(1e-4)
    value, gradient = log_likelihood(scales, collapse(case.problem))
    # Its covariance has a condition number of 1e8, which the big Gaussian pays for.
    assert value == pytest.approx(dense_log_likelihood(case, scales), rel=1e-5)
    assert np.all(np.isfinite(gradient))
