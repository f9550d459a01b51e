from __future__ import annotations

import numpy as np
import pytest

from bayeslat.evaluation.baselines import LEVELS, find_baseline
from tests.evaluation.baselines.problem import gpu, make_configs, measure, shared_donors

pytestmark = pytest.mark.xdist_group("baselines")


def test_quantiles_are_those_of_the_rows() -> None:
    """Of rows that differ in their noise alone: the trees have nothing to split on."""
    config = make_configs(1, seed=81).assign(output_tokens=5)
    rows = measure(config.loc[config.index.repeat(400)].reset_index(drop=True), noise=0.2)
    trained = find_baseline("boosted_trees").train(shared_donors())
    found = trained.calibrate(rows, gpu()).predict(config)
    for level in LEVELS:
        share = (rows["t_prefill_ms"] <= found.quantile("prefill", level)[0]).mean()
        # Boosting moves by tenths of a ms until as many gradients pull up as down.
        assert share == pytest.approx(level, abs=0.02)


def test_the_total_is_the_sum_at_each_level() -> None:
    trained = find_baseline("boosted_trees").train(shared_donors())
    configs = make_configs(9, seed=82)
    found = trained.calibrate(measure(make_configs(30, seed=83)), gpu()).predict(configs)
    times = configs["output_tokens"].to_numpy() - 1
    for level in LEVELS:
        total = found.quantile("prefill", level) + times * found.quantile("decode", level)
        np.testing.assert_allclose(found.quantile("total", level), total)
    np.testing.assert_array_equal(found.total, found.quantile("total", 0.5))
