from __future__ import annotations

import numpy as np
import pytest

from bayeslat.evaluation.baselines import find_baseline
from bayeslat.evaluation.baselines.ard import Ard
from bayeslat.evaluation.metrics import mape
from tests.evaluation.baselines.problem import gpu, make_configs, measure, shared_donors, truth

pytestmark = pytest.mark.xdist_group("baselines")


def test_a_sparse_law_is_found_and_the_rest_is_switched_off() -> None:
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(400, 12)) * np.logspace(-3, 3, 12)
    slopes = np.zeros(12)
    slopes[[2, 9]] = 30.0, -0.02
    noise = 0.05 * rng.standard_normal(400)
    found = Ard().fit(columns, columns @ slopes + 7.0 + noise, np.ones(400))
    scaled = (found.slopes - slopes) * columns.std(axis=0)
    # Four standard errors of a least squares slope, 0.05 / sqrt(400); the others are pruned.
    assert np.abs(scaled).max() < 4 * 0.05 / 20
    assert np.sum(np.abs(found.slopes * columns.std(axis=0)) > 1e-3) <= 4
    assert found.intercept == pytest.approx(7.0, abs=4 * 0.05 / 20 + 0.02)


def test_weights_say_which_rows_count() -> None:
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(200, 3))
    target = np.where(np.arange(200) < 100, columns[:, 0] + 1.0, 50.0)
    weights = np.where(np.arange(200) < 100, 1.0, 1e-12)
    target[:100] += 0.01 * rng.standard_normal(100)
    found = Ard().fit(columns, target, weights)
    np.testing.assert_allclose(found.slopes, [1.0, 0.0, 0.0], atol=0.005)
    assert found.intercept == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize("rows", [1, 2])
def test_few_rows_have_a_mean(rows: int) -> None:
    found = Ard().fit(np.eye(2)[:rows], np.array([3.0, 5.0])[:rows], np.ones(rows))
    np.testing.assert_array_equal(found.slopes, 0.0)
    assert found.intercept == pytest.approx([3.0, 4.0][rows - 1])


def test_columns_and_targets_that_never_change() -> None:
    columns = np.column_stack([np.ones(20), np.arange(20.0)])
    constant = Ard().fit(columns, np.full(20, 4.0), np.ones(20))
    np.testing.assert_allclose(constant(columns), 4.0)
    line = Ard().fit(columns, 2.0 * columns[:, 1], np.ones(20))
    assert line.slopes[0] == 0.0
    np.testing.assert_allclose(line(columns), 2.0 * columns[:, 1], atol=0.01)


def test_it_carries_donors_over_as_the_ridge_does() -> None:
    new = make_configs(30, seed=92)
    trained = find_baseline("hfd_tl_ard").train(shared_donors())
    none = trained.calibrate(measure(new).iloc[:0], gpu("h100_sxm")).predict(new).stages
    for stage, latency in truth(new, "h100_sxm").items():
        assert mape(none[stage], latency) < 0.1
    before = trained.calibrate(measure(new).iloc[:0], gpu()).predict(new).stages["prefill"]
    rows = measure(make_configs(50, seed=5))
    after = trained.calibrate(rows, gpu()).predict(new).stages["prefill"]
    assert mape(after, truth(new)["prefill"]) < mape(before, truth(new)["prefill"])
