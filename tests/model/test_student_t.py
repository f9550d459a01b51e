"""Student-t noise beside SciPy's distribution, and Fisher information by quadrature."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest, norm, t

from bayeslat.model.student_t import (
    MOST_DOF,
    draw_student_t,
    information,
    pseudo_variance,
    student_t_quantile,
)


@pytest.mark.parametrize("dof", [3.0, 4.0, 20.0, np.inf])
def test_the_information_is_the_mean_square_of_the_score(dof: float) -> None:
    def told(error: float) -> float:
        slope = -error if np.isinf(dof) else -(dof + 1.0) * error / (dof + error**2)
        return float(slope**2 * t.pdf(error, dof))

    assert information(dof) == pytest.approx(quad(told, -np.inf, np.inf)[0], rel=1e-6)
    assert pseudo_variance(dof) == pytest.approx(1.0 / information(dof), rel=1e-12)


def test_infinite_degrees_of_freedom_are_the_normal() -> None:
    level = np.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(student_t_quantile(level, np.inf), norm.ppf(level), rtol=1e-5)
    np.testing.assert_allclose(student_t_quantile(level, 4.0), t.ppf(level, 4.0), rtol=1e-12)
    assert information(MOST_DOF) == pytest.approx(information(np.inf), rel=1e-5)


@pytest.mark.parametrize(("dof", "law"), [(3.0, t(3.0)), (np.inf, norm)])
def test_draws_follow_their_law(dof: float, law) -> None:  # type: ignore[no-untyped-def]
    drawn = draw_student_t((2, 2000), dof, np.random.default_rng(0))
    assert drawn.shape == (2, 2000)
    assert kstest(drawn.ravel(), law.cdf).pvalue > 0.01
    assert kstest(drawn.ravel(), t(1.0).cdf).pvalue < 1e-6  # the broken twin
