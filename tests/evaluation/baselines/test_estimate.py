from __future__ import annotations

import numpy as np
import pytest

from bayeslat.errors import InputError
from bayeslat.evaluation.baselines import Estimate

TOTAL = np.array([1.0, 2.0])


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_latency_is_positive_and_finite(bad: float) -> None:
    wrong = np.array([1.0, bad])
    with pytest.raises(ValueError, match="total holds values that are not positive"):
        Estimate({}, wrong)
    with pytest.raises(ValueError, match="decode holds values that are not positive"):
        Estimate({"decode": wrong}, TOTAL)
    with pytest.raises(ValueError, match="draws of total holds"):
        Estimate({}, TOTAL, draws={"total": np.stack([TOTAL, wrong], axis=1)})


def test_all_configs_are_estimated() -> None:
    with pytest.raises(ValueError, match=r"decode has shape \(3,\); the configs need \(2,\)"):
        Estimate({"decode": np.ones(3)}, TOTAL)
    with pytest.raises(ValueError, match=r"0.5 quantile of total has shape \(1,\)"):
        Estimate({}, TOTAL, quantiles={"total": {0.5: np.ones(1)}})


def test_quantiles_of_draws_are_those_of_each_config() -> None:
    draws = np.arange(1.0, 23.0).reshape(2, 11)
    found = Estimate({}, TOTAL, draws={"total": draws})
    assert found.has_distribution
    np.testing.assert_allclose(found.quantile("total", 0.9), [10.0, 21.0])


def test_quantiles_that_the_method_predicts_are_handed_over() -> None:
    found = Estimate({}, TOTAL, quantiles={"total": {0.5: TOTAL, 0.9: 2 * TOTAL}})
    np.testing.assert_array_equal(found.quantile("total", 0.9), 2 * TOTAL)
    with pytest.raises(InputError, match=r"no quantile at 0.8; .* 0.5, 0.9"):
        found.quantile("total", 0.8)
    with pytest.raises(InputError, match=r"no distribution of 'decode'; .* total"):
        found.quantile("decode", 0.5)


def test_a_point_has_no_quantiles() -> None:
    found = Estimate({}, TOTAL)
    assert not found.has_distribution
    with pytest.raises(InputError, match="no distribution"):
        found.quantile("total", 0.5)
