"""The mode of the scales: flat, of the stated curvature, and the one that other climbs reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from bayeslat.inference.engines.mode import NoModeError, find_mode
from bayeslat.model.collapsed import log_posterior
from bayeslat.model.collapsed_data import CollapsedData, collapse
from tests.problems import CASES, Case, make_case
from tests.regressions import Array

FLAT = 0.1  # slope per posterior standard deviation


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return make_case(11, **CASES[request.param])


def whitened(data: CollapsedData, centre: Array, root: Array) -> Callable[[Array], float]:
    """Log density in standard deviations round the mode."""
    return lambda white: float(log_posterior(white, centre, root, data)[0])


def second_differences(density: Callable[[Array], float], size: int, step: float) -> Array:
    """Hessian at the origin from values alone. Shape (size, size)."""
    unit = step * np.eye(size)
    mixed = [
        [density(a + b) - density(a - b) - density(b - a) + density(-a - b) for b in unit]
        for a in unit
    ]
    return np.array(mixed) / (4 * step**2)


def test_the_density_is_flat_at_the_mode(case: Case) -> None:
    data = collapse(case.problem)
    mode = find_mode(data)
    _, slope = log_posterior(np.zeros(len(mode.centre)), mode.centre, mode.root, data)
    assert np.abs(slope).max() < FLAT
    # The broken twin: one standard deviation off, it is not.
    _, slope = log_posterior(np.eye(len(slope))[0], mode.centre, mode.root, data)
    assert np.abs(slope).max() > FLAT


def test_the_root_whitens_the_curvature(case: Case) -> None:
    """In its units, second differences of the density are minus one along every axis.

    Or smaller, where the density itself is flatter than 0.2.
    """
    data = collapse(case.problem)
    mode = find_mode(data)
    density = whitened(data, mode.centre, mode.root)
    curvature = -second_differences(density, len(mode.centre), 0.02)
    off = curvature - np.diag(np.diag(curvature))
    np.testing.assert_allclose(off, 0.0, atol=5e-3)
    variance = np.sum(mode.root**2, axis=0)  # of each axis; those of eigenvectors
    held = np.isclose(variance, 1 / 0.2)
    np.testing.assert_allclose(np.diag(curvature)[~held], 1.0, atol=5e-3)
    assert np.all(np.diag(curvature)[held] <= 1.0 + 5e-3)


def test_a_root_of_another_scale_is_seen(case: Case) -> None:
    """The broken twin of the test above: five percent too wide."""
    data = collapse(case.problem)
    mode = find_mode(data)
    density = whitened(data, mode.centre, 1.05 * mode.root)
    curvature = -second_differences(density, len(mode.centre), 0.02)
    assert np.abs(np.diag(curvature) - 1.0).max() > 5e-2


def test_other_starts_climb_no_higher(case: Case) -> None:
    data = collapse(case.problem)
    mode = find_mode(data)
    size = len(mode.centre)
    origin, unit = np.zeros(size), np.eye(size)
    best = log_posterior(origin, mode.centre, mode.root, data)[0]
    rng = np.random.default_rng(1)
    for start in rng.standard_normal((4, size)):
        found = minimize(
            lambda at: tuple(-part for part in log_posterior(at, origin, unit, data)),
            start,
            jac=True,
            method="BFGS",
        )
        # A slope of 0.1 along every axis leaves so much to climb.
        assert -found.fun <= best + size * FLAT**2 / 2


def test_rows_in_plenty_and_hardly_any_noise_do_not_stop_it() -> None:
    scales = make_case(2, **CASES["family"]).scales
    names = make_case(2, **CASES["family"]).problem.layout.names
    scales[names.index("noise")] = np.log(1e-4)
    case = make_case(2, **{**CASES["family"], "rows": 3000}, scales=scales)
    found = case.problem.layout.from_scores(find_mode(collapse(case.problem)).centre)
    noise = case.problem.layout.name_draws(found)
    truth = case.problem.layout.name_draws(case.scales)
    groups = noise["noise"] * noise["noise_ratio"], truth["noise"] * truth["noise_ratio"]
    # A log sd has the standard error 1 / sqrt(2 rows).
    np.testing.assert_allclose(np.log(groups[0] / groups[1]), 0.0, atol=4 / np.sqrt(6000))


def test_without_rows_it_is_the_mode_of_the_prior() -> None:
    case = make_case(3, {"a": "north", "b": "south"}, rows=0)
    mode = find_mode(collapse(case.problem))
    np.testing.assert_allclose(mode.centre, 0.0, atol=FLAT)
    np.testing.assert_allclose(mode.root @ mode.root.T, np.eye(len(mode.centre)), atol=1e-6)


@pytest.mark.parametrize("name", ["lone GPUs", "family"])
def test_a_density_without_a_mode_is_refused_with_its_slope(name: str) -> None:
    """Squares that no rows have: the less noise, the better, without end."""
    problem = make_case(4, **CASES[name]).problem
    impossible = replace(problem.statistics, square=-100 * problem.statistics.square)
    with pytest.raises(NoModeError, match=r"no mode .*steepest slope") as refused:
        find_mode(collapse(replace(problem, statistics=impossible)))
    assert refused.value.scores.shape == (problem.layout.size,)
