from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeCV

from bayeslat.evaluation.baselines import TrainedBaseline, find_baseline
from bayeslat.evaluation.baselines.donors import LEAST_OWN_ROWS
from bayeslat.evaluation.baselines.mole_rd import LEAST_REGIME_ROWS, REGIMES, split_regimes
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

ALPHAS = (0.01, 0.1, 1.0, 10.0)
NEW = make_configs(200, seed=92)
ROWS = measure(make_configs(2500, seed=91))


@pytest.fixture(scope="module")
def trained() -> TrainedBaseline:
    return find_baseline("mole_rd").train(shared_donors())


def regimes_of(stage: str, rows: pd.DataFrame) -> list[str]:
    places = split_regimes(REGIMES[stage], serving_symbols(SPEC, rows, gpu()))
    return [REGIMES[stage][place].name for place in places]


def fit_by_hand(stage: str, regime: str, rows: pd.DataFrame) -> tuple[RidgeCV, tuple]:
    """Fit the rows of one regime, or of all with all features (`pooled`)."""
    features = {each.name: each.features for each in REGIMES[stage]}
    every = tuple(dict.fromkeys(each for kinds in features.values() for each in kinds))
    chosen = features.get(regime, every)
    kept = rows if regime == "pooled" else rows[np.array(regimes_of(stage, rows)) == regime]
    table = evaluate_features(chosen, serving_symbols(SPEC, kept, gpu()))
    return RidgeCV(ALPHAS).fit(table, kept[f"t_{stage}_ms"]), chosen


def test_the_first_rule_that_holds_decides_about_a_request() -> None:
    base = make_configs(1).assign(waiting=5, kv_usage=0.5)
    cases: dict[str, dict[str, float]] = {
        "low": {"waiting": 2, "kv_usage": 0.99},  # even if the cache is full
        "high": {"waiting": 3, "kv_usage": 0.851},
        "normal": {"waiting": 3, "kv_usage": 0.85},
    }
    for name, columns in cases.items():
        assert regimes_of("queueing", base.assign(**columns)) == [name]
    # Nothing that vLLM tells says which requests were preempted of late: told by hand.
    symbols = {"q": np.array([2, 3, 3]), "kv": np.array([0.1, 0.9, 0.1]), "n_preempt": np.ones(3)}
    places = split_regimes(REGIMES["queueing"], symbols)
    assert [REGIMES["queueing"][place].name for place in places] == ["low", "high", "preempt"]


def test_the_first_rule_that_holds_decides_about_a_step() -> None:
    base = make_configs(1).assign(kv_usage=0.95)
    cases: dict[str, dict[str, float]] = {
        "prefill": {"prefill_tokens": 71, "decode_requests": 29},
        "decode": {"prefill_tokens": 29, "decode_requests": 71},
        "saturation": {"prefill_tokens": 50, "decode_requests": 50},
        "mixed": {"prefill_tokens": 50, "decode_requests": 50, "kv_usage": 0.9},
    }
    for name, columns in cases.items():
        assert regimes_of("step", base.assign(**columns)) == [name]
    empty = base.assign(prefill_tokens=0, decode_requests=0)
    assert regimes_of("step", empty) == ["decode"]


@pytest.mark.parametrize("stage", ["step", "queueing"])
def test_each_regime_is_a_ridge_of_its_own(stage: str, trained: TrainedBaseline) -> None:
    found = trained.calibrate(ROWS, gpu()).predict(NEW).stages[stage]
    names, own = np.array(regimes_of(stage, NEW)), np.array(regimes_of(stage, ROWS))
    symbols = serving_symbols(SPEC, NEW, gpu())
    floor = 0.5 * ROWS[f"t_{stage}_ms"].min()
    assert len(set(names)) == 3 + (stage == "step")
    for name in set(names):
        assert np.sum(own == name) >= LEAST_REGIME_ROWS
        ridge, features = fit_by_hand(stage, name, ROWS)
        rows = names == name
        expected = ridge.predict(evaluate_features(features, symbols)[rows])
        np.testing.assert_allclose(found[rows], np.maximum(expected, floor), rtol=1e-6)


def test_a_regime_of_few_rows_is_predicted_by_all(trained: TrainedBaseline) -> None:
    own = np.array(regimes_of("step", ROWS))
    few = ROWS.drop(index=ROWS.index[own == "saturation"][LEAST_REGIME_ROWS - 1 :])
    found = trained.calibrate(few, gpu()).predict(NEW).stages["step"]
    names = np.array(regimes_of("step", NEW))
    ridge, features = fit_by_hand("step", "pooled", few)
    expected = ridge.predict(evaluate_features(features, serving_symbols(SPEC, NEW, gpu())))
    rows, floor = names == "saturation", 0.5 * few["t_step_ms"].min()
    np.testing.assert_allclose(found[rows], np.maximum(expected[rows], floor), rtol=1e-6)
    assert not np.allclose(found[~rows], expected[~rows], rtol=1e-3)


@pytest.mark.parametrize("name", ["mole_rd", "mole_rd_relative"])
def test_a_law_by_regimes_is_found(name: str) -> None:
    """A step in decode is linear in the cache's bytes, one in prefill in the prompts' tokens."""
    configs = [make_configs(400, seed=seed) for seed in (1, 2)]
    rows, new = (each.assign(kv_usage=0.5, waiting=9, running=0) for each in configs)

    def law(each: pd.DataFrame) -> np.ndarray:
        decode = np.array(regimes_of("step", each)) == "decode"
        requests, tokens = each["decode_requests"], each["prefill_tokens"]
        return np.where(decode, 4.0 + 0.1 * requests, 9.0 + 0.03 * tokens)

    pure = [
        each[~np.isin(regimes_of("step", each), ["mixed", "saturation"])] for each in (rows, new)
    ]
    trace = measure(pure[0]).assign(t_step_ms=law(pure[0]))
    method = find_baseline(name).train(make_donors())
    found = method.calibrate(trace, gpu()).predict(pure[1]).stages["step"]
    assert mape(found, law(pure[1])) < 1e-3


def test_with_few_rows_the_donors_experts_see_the_targets_data_sheet(
    trained: TrainedBaseline,
) -> None:
    few = ROWS.iloc[: LEAST_OWN_ROWS - 1]
    found = trained.calibrate(few, gpu()).predict(NEW).stages
    none = trained.calibrate(ROWS.iloc[:0], gpu()).predict(NEW).stages
    own = trained.calibrate(ROWS, gpu()).predict(NEW).stages
    for stage, latency in truth(NEW).items():
        np.testing.assert_array_equal(found[stage], none[stage])
        assert mape(own[stage], latency) < mape(found[stage], latency)
