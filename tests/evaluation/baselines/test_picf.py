from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from bayeslat.errors import InputError
from bayeslat.evaluation.baselines import BASELINES, TrainedBaseline, find_baseline
from bayeslat.evaluation.baselines.donors import LEAST_OWN_ROWS
from bayeslat.evaluation.baselines.picf import FEATURES, TrainedPicf
from bayeslat.evaluation.baselines.serving_features import evaluate_features, serving_symbols
from bayeslat.evaluation.metrics import mape
from tests.evaluation.baselines.problem import gpu
from tests.evaluation.baselines.serving_problem import (
    SPEC,
    make_configs,
    make_donors,
    measure,
    shared_donors,
    truth,
)

pytestmark = pytest.mark.xdist_group("baselines")

type Values = NDArray[np.float64]

NEW = make_configs(60, seed=92)
ROWS = measure(make_configs(200, seed=91))


def columns(configs: pd.DataFrame, stage: str, key: str = "l40s") -> Values:
    return evaluate_features(FEATURES[stage], serving_symbols(SPEC, configs, gpu(key)))


@pytest.fixture(scope="module")
def trained() -> TrainedBaseline:
    return find_baseline("picf").train(shared_donors())


@pytest.mark.parametrize("name", ["picf", "picf_relative"])
def test_a_law_in_its_features_is_found(name: str) -> None:
    rows = measure(make_configs(400, seed=3), noise=1e-3)
    method = find_baseline(name)
    found = method.train(make_donors(noise=1e-3)).calibrate(rows, gpu()).predict(NEW).stages
    for stage, latency in truth(NEW).items():
        # The least penalty of standardised columns, 0.01 on 400 rows, costs some 3e-5 of a slope.
        assert mape(found[stage], latency) < 2e-3, stage


def test_the_penalty_is_the_one_that_predicts_the_later_steps_best(
    trained: TrainedBaseline,
) -> None:
    rng = np.random.default_rng(0)
    rows = ROWS.assign(step_id=rng.permutation(len(ROWS)))
    rows["t_step_ms"] = rows["t_step_ms"] * np.exp(0.5 * rng.standard_normal(len(rows)))
    found = trained.calibrate(rows, gpu()).predict(NEW).stages["step"]
    ordered = rows.sort_values("step_id")
    table, ms = columns(ordered, "step"), ordered["t_step_ms"].to_numpy()
    early, late = slice(None, 160), slice(160, None)

    def fit(alpha: float, part: slice) -> tuple[StandardScaler, Ridge]:
        scaler = StandardScaler().fit(table[part])
        return scaler, Ridge(alpha=alpha).fit(scaler.transform(table[part]), ms[part])

    def miss(alpha: float) -> float:
        scaler, ridge = fit(alpha, early)
        return float(np.mean((ms[late] - ridge.predict(scaler.transform(table[late]))) ** 2))

    scaler, ridge = fit(min((0.01, 0.1, 1.0, 10.0), key=miss), slice(None))
    expected = ridge.predict(scaler.transform(columns(NEW, "step")))
    np.testing.assert_allclose(found, np.maximum(expected, 0.5 * ms.min()), rtol=1e-8)


def test_with_few_rows_the_sources_coefficients_see_the_targets_data_sheet(
    trained: TrainedBaseline,
) -> None:
    few = ROWS.iloc[: LEAST_OWN_ROWS - 1]
    found = trained.calibrate(few, gpu()).predict(NEW).stages
    none = trained.calibrate(ROWS.iloc[:0], gpu()).predict(NEW).stages
    as_source = trained.calibrate(few, gpu("h100_sxm")).predict(NEW).stages
    for stage in SPEC.stages:
        np.testing.assert_array_equal(found[stage], none[stage])
        assert mape(as_source[stage], truth(NEW, "h100_sxm")[stage]) < 0.05
    assert isinstance(trained, TrainedPicf)
    ridge = trained.source["step"].ridge
    np.testing.assert_allclose(found["step"], ridge(columns(NEW, "step", "l40s")))
    np.testing.assert_allclose(as_source["step"], ridge(columns(NEW, "step", "h100_sxm")))
    enough = trained.calibrate(ROWS.iloc[:LEAST_OWN_ROWS], gpu()).predict(NEW).stages
    assert mape(enough["step"], truth(NEW)["step"]) < 0.05


def test_a_stage_with_enough_rows_does_not_wait_for_the_other(trained: TrainedBaseline) -> None:
    rows = ROWS.copy()
    rows.loc[rows.index[50:], "t_queueing_ms"] = np.nan
    found = trained.calibrate(rows, gpu()).predict(NEW).stages
    both = trained.calibrate(ROWS, gpu()).predict(NEW).stages
    none = trained.calibrate(ROWS.iloc[:0], gpu()).predict(NEW).stages
    np.testing.assert_array_equal(found["step"], both["step"])
    np.testing.assert_array_equal(found["queueing"], none["queueing"])


def test_requests_that_did_not_wait_are_left_out(trained: TrainedBaseline) -> None:
    idle = ROWS.iloc[:50].assign(t_queueing_ms=0.04, waiting=0)
    found = trained.calibrate(pd.concat([ROWS, idle]), gpu()).predict(NEW).stages["queueing"]
    np.testing.assert_allclose(
        found, trained.calibrate(ROWS, gpu()).predict(NEW).stages["queueing"]
    )


@pytest.mark.parametrize("name", ["picf", "mole_rd"])
def test_donors_that_never_measured_a_stage_are_refused(name: str) -> None:
    donors = make_donors()
    lacking = donors.traces.assign(t_queueing_ms=np.nan)
    with pytest.raises(InputError, match=rf"{name}.*stage 'queueing' is (above 1 ms )?in 0"):
        BASELINES[name].train(type(donors)(SPEC, lacking, donors.source, donors.hardware))
