"""What neighbours share of the noise: a restricted likelihood by hand, and known shares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayeslat.inference.rows.nearness import Contrasts, estimate_own_share, nearness
from bayeslat.inference.rows.repeats import UNTOLD_SHARED

ROWS = 200
PLACES = np.random.default_rng(3).uniform(-1.0, 1.0, (ROWS, 2))
DESIGN = np.column_stack([np.ones(ROWS), PLACES, PLACES**2])


def draw(share: float, count: int, reach: float = 0.25) -> list[np.ndarray]:
    """Errors of which neighbours share a part."""
    rng = np.random.default_rng(4)
    root = np.linalg.cholesky(nearness(PLACES, reach))
    shared = root @ rng.standard_normal((ROWS, count))
    rest = rng.standard_normal((ROWS, count))
    return list((np.sqrt(share) * shared + np.sqrt(1.0 - share) * rest).T)


def own_share(errors: list[np.ndarray]) -> float:
    return estimate_own_share(Contrasts.of(DESIGN, error, PLACES) for error in errors)


def test_nearness_is_materns() -> None:
    """(1 + sqrt(3) d / l) exp(-sqrt(3) d / l), by hand at d = l."""
    found = nearness(np.array([[0.0], [0.25], [9.0]]), 0.25)
    assert found[0, 1] == pytest.approx((1 + np.sqrt(3)) * np.exp(-np.sqrt(3)))
    assert found[0, 0] == pytest.approx(1.0, abs=1e-7)
    assert found[0, 2] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("reach", [0.0625, 0.5])
def test_the_likelihood_is_that_of_the_contrasts(reach: float) -> None:
    """Of a normal whose covariance is written out, at the scale that is most likely."""
    error = draw(0.5, 1)[0]
    contrasts = Contrasts.of(DESIGN, error, PLACES)
    np.testing.assert_allclose(contrasts.basis.T @ DESIGN, 0.0, atol=1e-10)
    shares = np.array([0.0, 0.3, 0.9])
    left, found = contrasts.at(reach, shares)
    near = contrasts.basis.T @ nearness(PLACES, reach) @ contrasts.basis
    assert left == pytest.approx(np.trace(near) / len(near))
    by_hand = []
    for share in shares:
        covariance = share * near / left + (1.0 - share) * np.eye(len(near))
        scale = contrasts.error @ np.linalg.solve(covariance, contrasts.error) / len(near)
        by_hand.append(multivariate_normal(cov=scale * covariance).logpdf(contrasts.error))
    np.testing.assert_allclose(found - found[0], np.array(by_hand) - by_hand[0], rtol=1e-8)


def test_effects_of_any_size_leave_the_same_contrasts() -> None:
    error = draw(0.5, 1)[0]
    moved = error + DESIGN @ np.array([3.0, -1.0, 2.0, 7.0, 0.5])
    assert own_share([moved]) == pytest.approx(own_share([error]), rel=1e-9)
    assert own_share([5.0 * error]) == pytest.approx(own_share([error]), rel=1e-9)


def test_what_tells_nothing_leaves_the_middle() -> None:
    """No groups, groups without rows or places, as few rows as effects, errors of zero."""
    none, few = np.empty((0, 2)), np.arange(5)
    assert own_share([]) == pytest.approx(UNTOLD_SHARED)
    groups = [
        Contrasts.of(DESIGN[:0], np.empty(0), none),
        Contrasts.of(DESIGN, draw(0.9, 1)[0], np.empty((ROWS, 0))),
        Contrasts.of(DESIGN[few], draw(0.9, 1)[0][few], PLACES[few]),
        Contrasts.of(DESIGN, np.zeros(ROWS), PLACES),
    ]
    for group in groups:
        assert estimate_own_share([group]) == pytest.approx(UNTOLD_SHARED)


def test_the_share_is_learnt() -> None:
    """All that is known of c is c itself, once many rows tell it: (1 - c) / -log c are own."""
    for share in (0.1, 0.5, 0.9):
        expected = (1.0 - share) / -np.log(share)
        # Effects take up some of what is shared, so that less of what they leave is.
        assert own_share(draw(share, 8)) == pytest.approx(expected, abs=0.1)


def test_noise_of_runs_is_told_from_misfit() -> None:
    noise, misfit = own_share(draw(0.0, 4)), own_share(draw(1.0, 4))
    assert noise < 0.4 < UNTOLD_SHARED < 0.9 < misfit
    # The broken twin: misfit that lost its places looks like the noise of runs.
    lost = np.random.default_rng(5).permutation(ROWS)
    assert own_share([error[lost] for error in draw(1.0, 4)]) < 0.4


def test_a_wild_row_does_not_decide() -> None:
    errors = draw(0.5, 4)
    wild = [error.copy() for error in errors]
    for error in wild:
        error[7] += 100.0
    assert own_share(wild) == pytest.approx(own_share(errors), abs=0.1)
