from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

from bayeslat.evaluation.baselines import find_baseline
from bayeslat.evaluation.baselines.ridge import TARGET_POLYNOMIAL
from tests.evaluation.baselines.problem import DONORS, gpu, make_configs, measure, shared_donors

pytestmark = pytest.mark.xdist_group("baselines")

CONFIGS = make_configs(15, seed=51)
ROWS, NEW = measure(CONFIGS), make_configs(8, seed=52)


def columns(configs: pd.DataFrame) -> NDArray[np.float64]:
    """Standardised logs, their squares and product, by hand."""
    knobs = ["batch_size", "context"]
    donors = np.log(shared_donors().traces[knobs].to_numpy(float))
    raw = np.log(configs[knobs].to_numpy(float))
    a, b = ((raw - donors.mean(axis=0)) / donors.std(axis=0)).T
    return np.stack([a, b, 0.3 * a**2, 0.3 * a * b, 0.3 * b**2], axis=1)


@pytest.mark.parametrize("stage", ["prefill", "decode"])
def test_it_is_the_ridge_of_scikit_learn(stage: str) -> None:
    found = find_baseline("ridge").train(shared_donors()).calibrate(ROWS, gpu()).predict(NEW)
    oracle = RidgeCV(alphas=TARGET_POLYNOMIAL.alphas)
    oracle.fit(columns(CONFIGS), np.log(ROWS[f"t_{stage}_ms"]))
    np.testing.assert_allclose(found.stages[stage], np.exp(oracle.predict(columns(NEW))))


def test_the_donors_latencies_do_not_matter() -> None:
    slower = shared_donors().traces.assign(t_prefill_ms=1e3, t_decode_ms=1e3)
    assert set(slower["gpu"]) == set(DONORS)
    other = find_baseline("ridge").train(replace(shared_donors(), traces=slower))
    one = find_baseline("ridge").train(shared_donors())
    for trained in (one, other):
        np.testing.assert_array_equal(
            trained.calibrate(ROWS, gpu()).predict(NEW).total,
            one.calibrate(ROWS, gpu()).predict(NEW).total,
        )
