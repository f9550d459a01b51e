from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.evaluation.baselines import Estimator, find_baseline
from bayeslat.evaluation.metrics import coverage, mape
from tests.evaluation.baselines.problem import (
    NOISE,
    gpu,
    make_configs,
    measure,
    shared_donors,
    truth,
)

pytestmark = pytest.mark.xdist_group("baselines")

NEW = make_configs(200, seed=72)


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    trained = find_baseline("gaussian_process").train(shared_donors())
    return trained.calibrate(measure(make_configs(50, seed=71)), gpu())


def test_it_learns_the_curve(estimator: Estimator) -> None:
    found = estimator.predict(NEW).stages
    assert mape(found["prefill"], truth(NEW)["prefill"]) < NOISE
    assert mape(found["decode"], truth(NEW)["decode"]) < NOISE


def test_its_intervals_hold_what_they_say(estimator: Estimator) -> None:
    found = estimator.predict(NEW)
    runs = measure(NEW, seed=9)["t_decode_ms"].to_numpy()
    held = coverage(found.quantile("decode", 0.05), found.quantile("decode", 0.95), runs)
    # 200 runs: 0.02; a noise level that 50 rows tell to 10 %: 0.03.
    assert held == pytest.approx(0.9, abs=4 * np.hypot(0.02, 0.03))


def test_the_draws_are_those_of_a_lognormal(estimator: Estimator) -> None:
    found = estimator.predict(NEW)
    assert found.draws is not None
    logs = np.log(found.draws["decode"])
    np.testing.assert_allclose(logs.mean(axis=1), np.log(found.stages["decode"]), atol=1e-6)
    ratio = (np.quantile(logs, 0.95, axis=1) - logs.mean(axis=1)) / logs.std(axis=1)
    np.testing.assert_allclose(ratio, 1.645, atol=0.02)


def test_far_away_it_is_less_sure(estimator: Estimator) -> None:
    def width(configs: pd.DataFrame) -> float:
        found = estimator.predict(configs)
        return float(
            np.median(np.log(found.quantile("prefill", 0.95) / found.quantile("prefill", 0.05)))
        )

    assert width(NEW.assign(context=100_000)) > 2 * width(NEW)
