"""The anchor: efficiencies of rows without noise, and the closed form of what is left to priors."""

from __future__ import annotations

import numpy as np
import pytest

from bayeslat.errors import ConvergenceError
from bayeslat.features.terms import DEFAULT_PRIORS, TermKind
from bayeslat.inference.rows.anchor import Anchor, find_anchor
from tests.regressions import Array

PRIORS = [DEFAULT_PRIORS[TermKind.launch], DEFAULT_PRIORS[TermKind.bytes]]
CENTRE = np.log([prior.slowdown for prior in PRIORS])
WIDTH = np.array([prior.slowdown_log_sd for prior in PRIORS])
DEPARTURE_SD = 0.3
TRUTH = CENTRE + np.array([[0.25, -0.10], [-0.15, 0.20]])
"""Log efficiency of each term on two GPUs."""


def make_terms(seed: int, rows: int = 300, terms: int = 2) -> Array:
    """Draw terms of which each leads somewhere. Shape (config, term)."""
    return np.exp(np.random.default_rng(seed).uniform(-2, 2, (rows, terms)))


def run(terms: Array, log_efficiency: Array) -> Array:
    """Latencies of additive physics without noise. Shape (config,)."""
    latency: Array = terms @ np.exp(log_efficiency)
    return latency


def fit(*gpus: tuple[Array, Array], weights: tuple[Array, ...] | None = None) -> Anchor:
    terms, latency = zip(*gpus, strict=True)
    return find_anchor(terms, latency, weights or [np.ones(len(each)) for each in latency], PRIORS)


def efficiency(anchor: Anchor) -> Array:
    """Log efficiency by GPU. Shape (gpu, term)."""
    return anchor.shared + anchor.departure


@pytest.fixture(scope="module")
def two() -> Anchor:
    terms = make_terms(1), make_terms(2)
    return fit(*[(each, run(each, truth)) for each, truth in zip(terms, TRUTH, strict=True)])


def test_efficiencies_are_recovered_from_rows_without_noise(two: Anchor) -> None:
    """But for the priors, which some 300 rows of 0.1 outweigh a thousandfold."""
    np.testing.assert_allclose(efficiency(two), TRUTH, atol=2e-3)


def test_what_gpus_share_is_the_precision_weighted_mean(two: Anchor) -> None:
    """Given each GPU's efficiency, the mode of the shared one is that of normal variables."""
    precision = 1 / WIDTH**2 + 2 / DEPARTURE_SD**2
    known = efficiency(two)
    expected = (CENTRE / WIDTH**2 + known.sum(axis=0) / DEPARTURE_SD**2) / precision
    np.testing.assert_allclose(two.shared, expected, atol=1e-4)
    # The broken twin: the plain mean of the GPUs is not it.
    assert np.abs(known.mean(axis=0) - expected).max() > 1e-2


def test_gpus_in_another_order_have_the_same_anchor(two: Anchor) -> None:
    terms = make_terms(1), make_terms(2)
    rows = [(each, run(each, truth)) for each, truth in zip(terms, TRUTH, strict=True)]
    other = fit(*rows[::-1])
    np.testing.assert_allclose(other.shared, two.shared, atol=1e-5)
    np.testing.assert_allclose(other.departure[::-1], two.departure, atol=1e-5)


def test_a_term_that_no_row_has_keeps_its_prior() -> None:
    terms = make_terms(3) * [1.0, 0.0]
    anchor = fit((terms, run(terms, TRUTH[0])))
    assert anchor.shared[1] == pytest.approx(CENTRE[1], abs=1e-6)
    assert anchor.departure[0, 1] == pytest.approx(0.0, abs=1e-6)
    assert efficiency(anchor)[0, 0] == pytest.approx(TRUTH[0, 0], abs=2e-3)


def test_a_gpu_that_lacks_a_term_has_what_the_others_have() -> None:
    first, second = make_terms(4), make_terms(5) * [1.0, 0.0]
    anchor = fit((first, run(first, TRUTH[0])), (second, run(second, TRUTH[1])))
    assert anchor.departure[1, 1] == pytest.approx(0.0, abs=1e-5)
    assert abs(anchor.shared[1] - CENTRE[1]) > 0.01  # the first GPU's rows moved it


def test_no_rows_leave_the_priors() -> None:
    anchor = fit((np.empty((0, 2)), np.empty(0)))
    np.testing.assert_allclose(anchor.shared, CENTRE, atol=1e-6)
    np.testing.assert_allclose(anchor.departure, 0.0, atol=1e-6)


def test_a_row_that_counts_for_two_is_two_rows_and_one_for_none_is_none() -> None:
    terms = make_terms(6, rows=20)
    latency = run(terms, TRUTH[0]) * np.exp(0.1 * np.random.default_rng(7).standard_normal(20))
    weights = np.arange(20) % 3
    by_weight = fit((terms, latency), weights=(weights.astype(float),))
    by_rows = fit((np.repeat(terms, weights, axis=0), np.repeat(latency, weights)))
    np.testing.assert_allclose(efficiency(by_weight), efficiency(by_rows), atol=1e-5)
    even = fit((terms, latency))  # the broken twin
    assert np.abs(efficiency(even) - efficiency(by_rows)).max() > 1e-3


def test_bad_rows_hardly_move_the_physics() -> None:
    terms = make_terms(8)
    latency = run(terms, TRUTH[0])
    latency[::20] *= 10.0
    rows = (terms, latency)
    # One row in 20 pulls by 5 / (2 x log 10), for a curvature of 125 a row: less than 0.01 in all.
    np.testing.assert_allclose(efficiency(fit(rows))[0], TRUTH[0], atol=0.01)
    plain = np.linalg.lstsq(*rows)[0]  # the broken twin
    assert np.abs(np.log(plain) - TRUTH[0]).max() > 0.1


def test_the_same_term_twice_is_split_by_the_priors() -> None:
    terms = np.repeat(make_terms(9, terms=1), 2, axis=1)
    anchor = fit((terms, terms[:, 0] * 3.0))
    assert np.exp(efficiency(anchor)[0]).sum() == pytest.approx(3.0, rel=2e-3)


def test_latencies_that_are_no_numbers_have_no_mode() -> None:
    terms = make_terms(10)
    latency = run(terms, TRUTH[0])
    latency[3] = np.nan
    with pytest.raises(ConvergenceError, match=r"no mode .*units of the latencies"):
        fit((terms, latency))


@pytest.mark.parametrize("factor", [0.5, 10.0, 90.0])
def test_a_gpu_far_from_its_data_sheet_is_believed(factor: float) -> None:
    terms = make_terms(11)
    expected = TRUTH[:1] + np.log(factor)
    found = efficiency(fit((terms, factor * run(terms, TRUTH[0]))))
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_a_smooth_correction_beside_the_physics_keeps_it_out_of_the_efficiencies() -> None:
    """Latencies bend with the work of a term, which physics alone takes for its efficiency."""
    terms = make_terms(1), make_terms(2)
    bend = [np.log(each[:, :1]) for each in terms]
    latency = [
        run(each, truth) * np.exp(0.2 * column[:, 0])
        for each, truth, column in zip(terms, TRUTH, bend, strict=True)
    ]
    weights = [np.ones(len(each)) for each in latency]
    bent = find_anchor(terms, latency, weights, PRIORS, bend, np.array([0.3]))
    np.testing.assert_allclose(efficiency(bent), TRUTH, atol=2e-3)
    alone = find_anchor(terms, latency, weights, PRIORS)  # the broken twin
    assert np.abs(efficiency(alone) - TRUTH).max() > 0.05
