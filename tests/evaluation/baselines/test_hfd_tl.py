from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

from bayeslat.errors import InputError
from bayeslat.evaluation.baselines import TrainedBaseline, find_baseline
from bayeslat.evaluation.metrics import mape
from tests.evaluation.baselines.problem import (
    gpu,
    make_configs,
    make_donors,
    measure,
    shared_donors,
    truth,
)

pytestmark = pytest.mark.xdist_group("baselines")

type Values = NDArray[np.float64]

NEW = make_configs(30, seed=92)
CONFIGS = make_configs(40, seed=91)
NO_ROWS = measure(CONFIGS).iloc[:0]


@pytest.fixture(scope="module")
def trained() -> TrainedBaseline:
    return find_baseline("hfd_tl_ridge").train(shared_donors())


def load(configs: pd.DataFrame) -> Values:
    """Physics of prefill over the donors' largest, by hand."""

    def physics(rows: pd.DataFrame, key: str) -> Values:
        tokens = (rows["batch_size"] * rows["context"]).to_numpy(float)
        peak = gpu(key).bf16_tflops
        assert peak is not None
        return 2 * tokens / peak + 2.0

    donors = shared_donors().traces
    largest = max(physics(rows, str(key)).max() for key, rows in donors.groupby("gpu"))
    loads: Values = physics(configs, "l40s") / largest
    return loads


def test_without_rows_the_donors_coefficients_predict_a_donor(trained: TrainedBaseline) -> None:
    found = trained.calibrate(NO_ROWS, gpu("h100_sxm")).predict(NEW).stages
    for stage, latency in truth(NEW, "h100_sxm").items():
        assert mape(found[stage], latency) < 0.1


def test_the_residual_is_a_ridge_on_one_and_the_square_of_the_load(
    trained: TrainedBaseline,
) -> None:
    base = trained.calibrate(NO_ROWS, gpu()).predict(CONFIGS).stages["prefill"]
    new = trained.calibrate(NO_ROWS, gpu()).predict(NEW).stages["prefill"]
    rows = CONFIGS.assign(
        t_prefill_ms=base + 4.0 + 3.0 * load(CONFIGS) ** 2 + 0.1 * np.cos(np.arange(40)),
        t_decode_ms=1.0,
    )
    found = trained.calibrate(rows, gpu()).predict(NEW).stages["prefill"]
    weights = rows["t_prefill_ms"].to_numpy() ** -2.0
    weights /= weights.mean()
    oracle = RidgeCV(alphas=(0.1, 1.0, 10.0, 100.0)).fit(
        load(CONFIGS)[:, None] ** 2, rows["t_prefill_ms"] - base, weights
    )
    np.testing.assert_allclose(found - new, oracle.predict(load(NEW)[:, None] ** 2))


def test_donors_that_never_measured_a_stage_are_refused() -> None:
    lacking = make_donors().traces.assign(t_decode_ms=np.nan)
    donors = replace(make_donors(), traces=lacking)
    with pytest.raises(
        InputError, match=r"hfd_tl_ridge: stage 'decode' is in 0 rows of the donors"
    ):
        find_baseline("hfd_tl_ridge").train(donors)
