from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.evaluation.baselines import find_baseline
from bayeslat.evaluation.baselines.bootstrap import MEMBERS, fit_ensemble
from bayeslat.evaluation.baselines.knob_features import knob_features
from bayeslat.evaluation.baselines.observations import Observations
from tests.evaluation.baselines.problem import gpu, make_configs, measure, shared_donors

pytestmark = pytest.mark.xdist_group("baselines")

ROWS, SIGMA = 300, 0.1


def line_with_noise(seed: int) -> Observations:
    rng = np.random.default_rng(seed)
    x = np.exp(rng.standard_normal(ROWS))
    return Observations(pd.DataFrame({"x": x}), x * np.exp(SIGMA * rng.standard_normal(ROWS)))


def test_the_spread_is_the_standard_error() -> None:
    """Of a quadratic in one knob, whose penalty is nothing beside 300 rows."""
    observed = line_with_noise(1)
    features = knob_features(observed.configs, ["x"])
    new = pd.DataFrame({"x": np.exp([-1.0, 0.0, 1.0])})
    spread = fit_ensemble(features, observed, seed=0).log_ms(new).std(axis=1)
    z = np.log(observed.configs["x"].to_numpy())
    design, at = np.vander(z, 3), np.vander(np.log(new["x"].to_numpy()), 3)
    exact = SIGMA * np.sqrt(np.einsum("ij,jk,ik->i", at, np.linalg.inv(design.T @ design), at))
    # The sd of an sd of 200 draws is 5 % of it; that of the rows' own noise 4 %, of its tails more.
    np.testing.assert_allclose(spread, exact, rtol=4 * np.hypot(0.05, 0.06))
    once = np.repeat(fit_ensemble(features, observed, seed=0).log_ms(new)[:, :1], MEMBERS, axis=1)
    with pytest.raises(AssertionError):  # the broken twin, which never resamples
        np.testing.assert_allclose(once.std(axis=1), exact, rtol=4 * np.hypot(0.05, 0.06))


def test_the_noise_of_a_run_is_that_of_the_rows() -> None:
    observed = line_with_noise(2)
    ensemble = fit_ensemble(knob_features(observed.configs, ["x"]), observed, seed=0)
    assert len(ensemble.log_noise) == MEMBERS
    assert ensemble.log_noise.std() == pytest.approx(SIGMA, rel=4 * np.hypot(0.05, 0.04))


def test_more_rows_narrow_it() -> None:
    new = make_configs(20, seed=62)
    trained = find_baseline("bootstrap").train(shared_donors())

    def width(rows: int) -> float:
        draws = trained.calibrate(measure(make_configs(rows, seed=61)), gpu()).predict(new).draws
        assert draws is not None
        return float(np.median(np.log(draws["total"]).std(axis=1)))

    assert width(8) > 2 * width(80)
