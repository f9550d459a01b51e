"""The guardrail accepts what keeps its budget, and asks to measure what it cannot know."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.prediction import TOTAL
from bayeslat.errors import InputError, TraceError
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.posterior import Posterior
from tests.posteriors import make_configs, make_data, make_frame, small_spec, with_noise_shared

pytestmark = pytest.mark.xdist_group("small posterior")

FITTED, STRANGER = "h100_sxm", "l40s"


@lru_cache(maxsize=1)
def posterior() -> Posterior:
    return Posterior(make_data())


def budget(share: float, gpu: str = FITTED) -> float:
    """A quantile of the predicted totals, in ms."""
    points = posterior().predict(make_configs(100), gpu).frame["total_point_ms"]
    return float(points.quantile(share))


def test_p_exceed_decides_and_rows_keep_their_order_and_columns() -> None:
    configs = make_configs(100).assign(name=[f"c{i}" for i in range(100)])
    limit = budget(0.5)
    found = posterior().guard(FITTED, limit).decide(configs)
    pd.testing.assert_frame_equal(found[list(configs)], configs)
    expected = posterior().predict(configs, FITTED).p_exceed(limit)
    np.testing.assert_array_equal(found["p_exceed"], expected)
    accepted = found["decision"] == "accept"
    assert (found.loc[accepted, "p_exceed"] <= 0.05).all()
    assert (found.loc[found["decision"] == "reject", "p_exceed"] > 0.05).all()
    assert accepted.sum() > 20
    assert (found["reason"] == "").sum() == (found["decision"] != "measure").sum()


def test_to_predict_and_decide_is_to_do_both() -> None:
    configs = make_configs(30)
    guard = posterior().guard(FITTED, budget(0.5), of="typical")
    prediction, decided = guard.predict_and_decide(configs)
    pd.testing.assert_frame_equal(decided, guard.decide(configs))
    pd.testing.assert_frame_equal(prediction.frame, guard.predict(configs).frame)


def test_measure_means_that_the_posterior_holds_both_answers_possible() -> None:
    found = posterior().guard(FITTED, budget(0.5)).decide(make_configs(100))
    both = (found["p_exceed_low"] <= 0.05) & (found["p_exceed_high"] > 0.05)
    told = found["reason"] == "measuring could turn the answer"
    pd.testing.assert_series_equal(told, both, check_names=False)
    assert (found["p_exceed_low"] <= found["p_exceed_high"]).all()


def test_the_range_holds_p_exceed_and_narrows_with_rows() -> None:
    configs, limit = make_configs(60), budget(0.5, STRANGER)
    rows = make_frame(5, (STRANGER,), rows=40)
    few, many = (
        posterior().calibrate(rows.head(count), STRANGER).guard(STRANGER, limit).decide(configs)
        for count in (3, 40)
    )
    for found in (few, many):
        inside = found["p_exceed"].between(
            found["p_exceed_low"] - 0.1, found["p_exceed_high"] + 0.1
        )
        assert inside.all()
    width = [(found["p_exceed_high"] - found["p_exceed_low"]).mean() for found in (few, many)]
    assert width[1] < 0.7 * width[0]
    assert (many["decision"] == "measure").sum() < (few["decision"] == "measure").sum()


def test_a_gpu_without_measurements_is_never_accepted() -> None:
    found = posterior().guard(STRANGER, 1e9).decide(make_configs(20))
    assert (found["p_exceed"] < 0.05).all()
    assert (found["decision"] == "measure").all()
    assert (found["reason"] == "the GPU was not measured").all()
    assert (
        posterior().guard(STRANGER, 1e-6).decide(make_configs(20))["decision"] == "reject"
    ).all()


def test_of_a_measured_gpu_the_stack_is_told_to_lack_measurements() -> None:
    stacked = Posterior(make_data(stacks=("v1", "v2")))
    for stack, reason in (
        (None, "no stack is named (measured with v1, v2)"),
        ("v3", "stack 'v3' was not measured"),
    ):
        found = stacked.guard(FITTED, 1e9, stack=stack).decide(make_configs(5))
        assert (found["decision"] == "measure").all()
        assert (found["reason"] == reason).all()


def test_a_stage_without_measurements_is_named() -> None:
    rows = make_frame(3, (STRANGER,), rows=20).assign(t_decode_ms=np.nan)
    found = posterior().calibrate(rows, STRANGER).guard(STRANGER, 1e9).decide(make_configs(20))
    assert (found["decision"] == "measure").all()
    assert (found["reason"] == "nothing was measured of decode").all()


def test_a_config_beyond_the_range_is_never_accepted() -> None:
    near = posterior().guard(FITTED, 1e9).decide(make_configs(10).assign(context=6000))
    assert (near["p_exceed_high"] < 0.05).all()
    assert (near["decision"] == "measure").all()
    assert (near["reason"] == "leaves the range of the fit").all()
    assert (near["left_in"] == "log(context), context").all()
    far = posterior().guard(FITTED, 1e9).decide(make_configs(10).assign(context=2_000_000))
    assert (far["decision"] != "accept").all()


def test_what_takes_no_time_keeps_any_budget() -> None:
    """A request of no token, where the stages of each token are all that a posterior has."""
    spec, frame = small_spec().only(["decode"]), make_frame()
    found = Posterior(fit_posterior(spec, frame, engine="laplace"))
    configs = make_configs(3).assign(output_tokens=[0, 1, 0])
    points = found.predict(configs, FITTED).frame["total_point_ms"]
    assert (points == 0).tolist() == [True, False, True]
    decided = found.guard(FITTED, 1e-3).decide(configs)
    assert decided["p_exceed"].tolist() == pytest.approx([0.0, 1.0, 0.0])
    assert decided["decision"].iloc[1] == "reject"
    with pytest.raises(InputError, match=r"time in 2 candidates .*first in row 1; leave"):
        found.suggest(configs, FITTED, 1)


def test_accepted_runs_keep_their_budget_as_often_as_they_say() -> None:
    truth = make_frame(0, rows=400)
    rows = truth[truth["gpu"] == FITTED]
    total = measured_latencies(small_spec(), rows, load_hardware().resolve(FITTED))[TOTAL]
    limit = float(np.median(total))
    found = posterior().guard(FITTED, limit, max_risk=0.2).decide(rows)
    accepted = (found["decision"] == "accept").to_numpy()
    over = (total > limit)[accepted]
    expected = found["p_exceed"].to_numpy()[accepted]
    error = np.sqrt((expected * (1 - expected)).sum()) / len(over)
    assert abs(over.mean() - expected.mean()) < 4 * error + 0.02


def test_more_risk_accepts_more() -> None:
    configs, limit = make_configs(100), budget(0.5)
    counts = [
        (posterior().guard(FITTED, limit, max_risk=risk).decide(configs)["p_exceed"] <= risk).sum()
        for risk in (0.01, 0.1, 0.5, 0.9)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_a_typical_run_is_decided_more_clearly() -> None:
    configs, limit = make_configs(60), budget(0.5)
    found = posterior().guard(FITTED, limit, of="typical").decide(configs)
    run = posterior().guard(FITTED, limit).decide(configs)
    assert (found["decision"] == "accept").sum() >= (run["decision"] == "accept").sum()
    sure, less = ((each["p_exceed"] - 0.5).abs() for each in (found, run))
    assert (sure >= less - 0.01).all()
    assert sure.mean() > less.mean()


def test_where_all_noise_is_the_configurations_own_every_run_is_typical() -> None:
    configs, limit = make_configs(60), budget(0.5)
    own = Posterior(with_noise_shared(make_data(), 1.0))
    run, typical = (own.guard(FITTED, limit, of=of).decide(configs) for of in ("run", "typical"))
    pd.testing.assert_frame_equal(run, typical)


def test_every_budget_has_to_be_met() -> None:
    configs = make_configs(60).assign(output_tokens=100)
    loose = posterior().guard(FITTED, 1e9).decide(configs)
    assert (loose["decision"] == "accept").all()
    prefill = posterior().predict(configs, FITTED)
    limit = float(prefill.frame["prefill_point_ms"].median())
    both = posterior().guard(FITTED, 1e9, stage_budgets_ms={"prefill": limit}).decide(configs)
    np.testing.assert_array_equal(both["p_exceed"], prefill.p_exceed(limit, "prefill"))
    assert 10 < (both["decision"] != "accept").sum() < 50


def test_stages_joined_count_as_often_as_they_run() -> None:
    configs, limit = make_configs(60), budget(0.5)
    total = posterior().guard(FITTED, limit).decide(configs)
    joined = posterior().guard(FITTED, stage_budgets_ms={"prefill+decode": limit}).decide(configs)
    np.testing.assert_allclose(joined["p_exceed"], total["p_exceed"])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, ["no budget is given"]),
        ({"budget_ms": -1.0, "max_risk": 5.0}, ["the budget of total is -1", "max_risk is 5"]),
        ({"budget_ms": float("nan")}, ["the budget of total is nan"]),
        (
            {"budget_ms": 1.0, "stack": " ", "of": "mean"},
            ["stack is ' '; name one", "of is 'mean'; it must be run or typical"],
        ),
        (
            {"stage_budgets_ms": {"prefil": 1.0, "decode+decode": 1.0}},
            ["no stage 'prefil'; the posterior has prefill, decode", "stands there twice"],
        ),
    ],
)
def test_all_wrong_settings_are_told_at_once(settings: dict[str, object], told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        posterior().guard(FITTED, **settings)  # type: ignore[arg-type]
    assert all(text in str(caught.value) for text in told)


def test_bad_configs_are_told_with_their_rows() -> None:
    bad = make_configs(5).astype({"context": float})
    bad.loc[2, "context"] = np.nan
    with pytest.raises(TraceError, match="context"):
        posterior().guard(FITTED, 100.0).decide(bad)
