from __future__ import annotations

import numpy as np
import pytest

from bayeslat.evaluation.baselines import find_baseline
from bayeslat.evaluation.metrics import mape
from tests.evaluation.baselines.problem import (
    gpu,
    make_configs,
    measure,
    shared_donors,
    true_total,
)

pytestmark = pytest.mark.xdist_group("baselines")

CONFIGS = make_configs(40, seed=11)
ROWS = measure(make_configs(10, seed=12))


@pytest.mark.parametrize("model", ["linear", "polynomial", "neural", "total_only"])
def test_it_is_the_source_model(model: str) -> None:
    trained = find_baseline(model).train(shared_donors())
    estimate = trained.calibrate(ROWS, gpu()).predict(CONFIGS)
    models = shared_donors().source_model(model).models
    for name, values in (estimate.stages or {"total": estimate.total}).items():
        np.testing.assert_array_equal(values, models[name].ms(CONFIGS))


def test_direct_is_the_best_one() -> None:
    trained = find_baseline("direct").train(shared_donors())
    found = trained.calibrate(ROWS, gpu()).predict(CONFIGS).total
    assert mape(found, true_total(CONFIGS, "h100_sxm")) < 0.03
    assert trained.note.startswith("source model ")


def test_rows_of_the_target_change_nothing() -> None:
    trained = find_baseline("polynomial").train(shared_donors())
    with_rows, without = (
        trained.calibrate(rows, gpu()).predict(CONFIGS).total for rows in (ROWS, ROWS.iloc[:0])
    )
    np.testing.assert_array_equal(with_rows, without)
