"""Rank-one updates are what recomputing gives."""

from __future__ import annotations

import numpy as np

from bayeslat.decisions.suggest.belief import prior_belief
from tests.decisions.suggest.problems import make_problem, variance_after

ORDER = [3, 0, 3, 7]  # one of them twice: a repeat


def test_each_update_equals_recomputation() -> None:
    for stage in make_problem().stages:
        belief = prior_belief(stage)
        np.testing.assert_allclose(belief.variance, variance_after(stage, []), rtol=1e-10)
        for count, candidate in enumerate(ORDER, 1):
            belief = belief.after(candidate)
            np.testing.assert_allclose(
                belief.variance, variance_after(stage, ORDER[:count]), rtol=1e-8
            )


def test_many_updates_keep_variances_positive() -> None:
    for stage in make_problem(size=60).stages:
        belief = prior_belief(stage)
        for candidate in range(60):
            belief = belief.after(candidate)
        assert belief.variance.min() > 0
        np.testing.assert_allclose(
            belief.variance, variance_after(stage, list(range(60))), rtol=1e-6
        )
