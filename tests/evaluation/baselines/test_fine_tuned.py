from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bayeslat.evaluation.baselines import find_baseline
from bayeslat.evaluation.metrics import mape
from tests.evaluation.baselines.problem import (
    gpu,
    make_configs,
    measure,
    shared_donors,
    truth,
)

pytestmark = pytest.mark.xdist_group("baselines")

NEW = make_configs(40, seed=42)


def tune(count: int, noise: float = 0.02) -> Any:
    rows = measure(make_configs(count, seed=41), noise=noise)
    return find_baseline("C_neural").train(shared_donors()).calibrate(rows, gpu())


@pytest.mark.parametrize(("count", "most"), [(2, 0.5), (5, 0.25), (25, 0.05)])
def test_it_learns_from_few_rows(count: int, most: float) -> None:
    found = tune(count).predict(NEW).stages["prefill"]
    source = shared_donors().source_model("neural").models["prefill"].ms(NEW)
    assert mape(found, truth(NEW)["prefill"]) < most
    assert mape(source, truth(NEW)["prefill"]) > 0.5


def test_with_few_rows_the_output_layer_alone_moves() -> None:
    source = shared_donors().source_model("neural").models["prefill"].curve.network  # type: ignore[attr-defined]
    tuned = tune(5).models["prefill"].curve.network
    for before, after in zip(source.coefs_[:-1], tuned.coefs_[:-1], strict=True):
        np.testing.assert_array_equal(before, after)
    assert not np.array_equal(source.coefs_[-1], tuned.coefs_[-1])


def test_the_source_is_not_changed() -> None:
    network = shared_donors().source_model("neural").models["prefill"].curve.network  # type: ignore[attr-defined]
    before = [weights.copy() for weights in network.coefs_]
    tune(25)
    for old, new in zip(before, network.coefs_, strict=True):
        np.testing.assert_array_equal(old, new)
    assert not network.warm_start
