"""This project's model as one method among others: of stages with a hurdle, stack by stack."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import InputError
from bayeslat.evaluation.baselines import Donors, Estimate
from bayeslat.evaluation.baselines.interface import TrainedBaseline
from bayeslat.evaluation.comparison.hierarchical import Hierarchical, check_methods
from bayeslat.features.gpu import Gpu
from bayeslat.features.hardware import load_hardware
from tests.hurdles import GPUS, SPEC, effects_of, make_trace
from tests.posteriors import small_spec

DONORS, TARGET = GPUS[:3], GPUS[3]
EFFECTS = effects_of(0, 0.3)
# Nobody waits, and hardly any request of such a server is above the hurdle; then everybody does.
CONFIGS = pd.DataFrame({"waiting": [0.0, 20.0], "usage": [0.0, 1.0]})


def gpu() -> Gpu:
    return load_hardware().resolve(TARGET)


@lru_cache(maxsize=1)
def trained() -> TrainedBaseline:
    trace = make_trace(80, EFFECTS[:3], gpus=DONORS)
    return Hierarchical().train(Donors(SPEC, trace, DONORS[0], load_hardware()))


def estimate(rows: pd.DataFrame, configs: pd.DataFrame = CONFIGS) -> Estimate:
    return trained().calibrate(rows, gpu()).predict(configs)


def make_rows(count: int = 60) -> pd.DataFrame:
    return make_trace(count, EFFECTS[3:], seed=1, gpus=[TARGET])


def test_a_stage_with_a_hurdle_is_predicted_given_that_it_takes_time() -> None:
    found = estimate(make_rows())
    # Those who wait take 15 to 45 ms, which the spec's physics does not tell apart.
    assert found.stages["queueing"].min() > 15.0
    assert found.stages["queueing"].max() < 45.0
    assert found.draws is not None
    assert found.quantile("queueing", 0.05).min() > 5.0
    # The total keeps the hurdle: a request that finds no queue costs little more than its step.
    assert np.median(found.draws["total"][0]) < 10.0


def test_each_stack_has_its_own_rows() -> None:
    """A stack whose steps take three times as long does not slow the other down."""
    rows = make_rows()
    slow = rows.assign(stack="slow", t_step_ms=3.0 * rows["t_step_ms"])
    both = pd.concat([rows.assign(stack="fast"), slow], ignore_index=True)
    configs = pd.concat([CONFIGS.iloc[:1].assign(stack=name) for name in ("fast", "slow")])
    step = estimate(both, configs).stages["step"]
    np.testing.assert_allclose(step, [4.0, 12.0], rtol=0.15)


def test_without_rows_an_unseen_stack_is_as_the_data_sheet_has_it() -> None:
    named, unnamed = (
        estimate(make_rows().head(0), configs) for configs in (CONFIGS.assign(stack="new"), CONFIGS)
    )
    np.testing.assert_allclose(named.stages["step"], unnamed.stages["step"], rtol=0.3)


def test_all_that_is_wrong_with_methods_is_told_at_once() -> None:
    check_methods(["bayeslat", "A", "hfd_tl_ard"], small_spec())
    with pytest.raises(InputError, match=r"no method 'Z'.*'picf' does not suit.*'mole_rd' does"):
        check_methods(["Z", "picf", "mole_rd"], small_spec())
