"""Whether a stage takes any time, over groups that share it partially."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from bayeslat.errors import InputError
from bayeslat.evaluation.uniformity import uniformity_p
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec
from bayeslat.fitting import fit
from bayeslat.inference.hurdles import hurdle_fit as hurdle_module
from bayeslat.inference.hurdles.hurdle import HurdlePosterior, HurdleRows, hurdle_rows
from bayeslat.inference.hurdles.hurdle_fit import condition_hurdle, fit_hurdle
from bayeslat.inference.rows.plan import plan_fit
from bayeslat.inference.storage.posterior_file import read_posterior, write_posterior
from bayeslat.posterior import Posterior
from tests.hurdles import BELOW_MS, BELOW_SD, GPUS, SHARED, SPEC, effects_of, make_trace

DRAWS = 399
ALPHA = 1e-3  # of a test that should pass, over three parameters


@lru_cache(maxsize=4)
def fitted(rows: int = 300, spread: float = 0.5, seed: int = 0) -> HurdlePosterior:
    trace = make_trace(rows, effects_of(seed, spread), seed)
    found = fit_hurdle(plan_fit(SPEC, trace), "queueing", DRAWS, seed)
    assert found is not None
    return found


@lru_cache(maxsize=1)
def posterior() -> Posterior:
    return fit(SPEC, make_trace(120, effects_of(0, 0.5)), engine="laplace")


def test_a_stage_without_a_hurdle_has_none() -> None:
    trace = make_trace(20, effects_of(0, 0.5))
    assert fit_hurdle(plan_fit(SPEC, trace), "step", DRAWS, 0) is None


def test_the_prior_is_that_of_groups_round_what_they_share() -> None:
    """c_g = m + 0.7 z_g with m ~ Normal(0, 2.5^2): the covariance, written out."""
    found = np.linalg.inv(hurdle_module._precision(0.7, 3, 2))
    among = np.full((4, 4), 2.5**2) + np.diag([0.7**2] * 3 + [0.0])
    np.testing.assert_allclose(found, np.kron(among, np.eye(2)), atol=1e-9)


def test_the_groups_effects_are_recovered() -> None:
    found, truth = fitted(rows=2000), effects_of(0, 0.5)
    order = [sorted(GPUS).index(gpu) for gpu in GPUS]
    own = found.effects[:, order]
    z = (own.mean(axis=0) - truth) / own.std(axis=0)
    assert (np.abs(z) < 4).all()
    assert np.sqrt(np.mean(z**2)) < 1.6


def test_what_groups_share_is_as_wide_as_they_differ() -> None:
    shared = fitted(rows=2000).effects[:, -1]
    assert (np.abs(shared.mean(axis=0) - SHARED) < 3 * shared.std(axis=0)).all()
    assert fitted(rows=2000, spread=0.0).spread.mean() < 0.3 < fitted(rows=2000).spread.mean()


def test_where_nothing_happens_the_latency_is_that_of_such_rows() -> None:
    found = fitted(rows=2000)
    for below_ms in found.below_ms:
        assert np.median(below_ms) == pytest.approx(BELOW_MS, rel=0.05)
        assert np.log(below_ms).std() == pytest.approx(BELOW_SD, rel=0.15)


def test_a_group_goes_from_the_others_latency_below_to_its_own() -> None:
    """The mean of a Dirichlet process: n of n + 10 parts are the group's rows."""
    found, rng = fitted(rows=600), np.random.default_rng(0)
    slow_ms = 20 * BELOW_MS
    medians = []
    for count in (0, 5, 15, 1000):
        rows = HurdleRows(np.full((count, 2), 0.5), np.zeros(count, bool), np.full(count, slow_ms))
        below_ms = condition_hurdle(found, None, rows, rng).below_ms
        assert (np.diff(below_ms) >= 0).all()
        of_own = (below_ms > 0.9 * slow_ms).mean()
        assert of_own == pytest.approx(count / (count + 10), abs=4 / 64)  # between both, some
        medians.append(np.median(below_ms))
    np.testing.assert_allclose(medians[:2], BELOW_MS, rtol=0.4)
    np.testing.assert_allclose(medians[2:], slow_ms, rtol=0.1)


def test_rows_that_all_take_time_leave_the_latency_below_as_it_was() -> None:
    """The quantiles of what has these quantiles are they themselves."""
    found = fitted(rows=600)
    rows = HurdleRows(np.full((5, 2), 0.5), np.ones(5, bool), np.full(5, 30.0))
    drawn = condition_hurdle(found, None, rows, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.below_ms, found.below_ms[-1], rtol=1e-12)
    assert drawn.below_rows == 10.0


def _ranks(simulations: int, spread_of_fit: float | None = None) -> np.ndarray:
    """Rank of a new group's true effects among its draws, given 30 rows. Shape (run, column)."""
    gpu, donors = load_hardware().resolve("b200_sxm"), fitted(rows=600)
    if spread_of_fit is not None:
        donors = replace(donors, spread=np.full_like(donors.spread, spread_of_fit))
    ranks = []
    for seed in range(simulations):
        rng = np.random.default_rng([seed, 9])
        at = rng.integers(DRAWS)
        source = fitted(rows=600)
        truth = source.effects[at, -1] + source.spread[at] * rng.standard_normal(3)
        trace = make_trace(30, truth[None], 1000 + seed, [gpu.key])
        rows = hurdle_rows(SPEC, "queueing", trace, gpu)
        drawn = condition_hurdle(donors, None, rows, np.random.default_rng(seed)).effects
        ranks.append((drawn < truth).sum(axis=0))
    return np.array(ranks)


@pytest.mark.slow
def test_a_new_groups_effects_have_uniform_ranks() -> None:
    assert min(uniformity_p(column, DRAWS) for column in _ranks(400).T) > ALPHA / 3


@pytest.mark.slow
def test_a_spread_that_is_far_too_small_fails() -> None:
    ranks = _ranks(400, spread_of_fit=0.05)
    assert min(uniformity_p(column, DRAWS) for column in ranks.T) < ALPHA / 3


def test_without_rows_a_group_is_as_groups_differ() -> None:
    found = fitted()
    none = HurdleRows(np.empty((0, 2)), np.empty(0, dtype=bool), np.empty(0))
    drawn = condition_hurdle(found, None, none, np.random.default_rng(0)).effects
    assert (drawn.std(axis=0) > found.effects[:, -1].std(axis=0)).all()


def test_rows_of_a_fitted_group_narrow_what_is_known_of_it() -> None:
    found, gpu = fitted(rows=100), load_hardware().resolve(GPUS[0])
    own = found.of_group(sorted(GPUS).index(gpu.key))
    trace = make_trace(400, effects_of(0, 0.5)[:1], 5, [gpu.key])
    drawn = condition_hurdle(
        found, own, hurdle_rows(SPEC, "queueing", trace, gpu), np.random.default_rng(0)
    )
    assert (drawn.effects.std(axis=0) < own.effects.std(axis=0)).all()


def test_beyond_the_training_range_features_count_as_at_its_edge() -> None:
    found = fitted()
    inside, beyond = found.columns(np.array([[20.0, 1.0], [200.0, 5.0]]))
    np.testing.assert_array_equal(inside, beyond)


def test_a_fit_regresses_the_rows_above_alone() -> None:
    data = posterior().data
    trace = make_trace(120, effects_of(0, 0.5))
    above = (trace["t_queueing_ms"] > 1.0).groupby(trace["gpu"]).sum()
    measured = data.stages["queueing"].measured
    assert dict(zip(data.gpus, measured, strict=True)) == above.to_dict()
    assert data.stages["step"].measured == (120,) * 4


def test_a_trace_in_which_nobody_waits_is_refused() -> None:
    trace = make_trace(20, effects_of(0, 0.5)).assign(t_queueing_ms=0.1)
    with pytest.raises(InputError, match=r"is above the hurdle of 1 ms.* under a higher load"):
        fit(SPEC, trace, engine="laplace")


def test_the_file_holds_the_hurdle(tmp_path: object) -> None:
    data = posterior().calibrate(make_trace(15, effects_of(3, 0.5)[:1], 3, ["b200_sxm"]),
                                 gpu="b200_sxm").data  # fmt: skip
    path = tmp_path / "posterior.nc"  # type: ignore[operator]
    write_posterior(data, path)
    again = read_posterior(path)
    first, second = data.stages["queueing"].hurdle, again.stages["queueing"].hurdle
    assert first is not None
    assert second is not None
    for name in ("low", "high", "spread", "effects", "below_ms", "below_rows"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    one, other = (each.targets["b200_sxm", ""].stages["queueing"] for each in (data, again))
    assert one.hurdle is not None
    assert other.hurdle is not None
    np.testing.assert_array_equal(one.hurdle.effects, other.hurdle.effects)
    np.testing.assert_array_equal(one.hurdle.below_ms, other.hurdle.below_ms)
    assert one.hurdle.below_rows == other.hurdle.below_rows > 10
    assert again.stages["step"].hurdle is None


def test_a_stage_may_have_other_numbers_of_features_and_of_hurdle_features(tmp_path: Path) -> None:
    text = SPEC.text.replace('work = "5 * waiting / bf16_tflops"', "")
    spec = Spec.from_text(text)
    data = fit(spec, make_trace(40, effects_of(0, 0.5)), engine="laplace").data
    write_posterior(data, tmp_path / "posterior.nc")
    again = read_posterior(tmp_path / "posterior.nc").stages["queueing"].hurdle
    assert again is not None
    assert data.stages["queueing"].hurdle is not None
    np.testing.assert_array_equal(again.effects, data.stages["queueing"].hurdle.effects)


def test_a_large_group_counts_by_a_part_of_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = make_trace(400, effects_of(0, 0.5))
    plan = plan_fit(SPEC, trace)
    whole = fit_hurdle(plan, "queueing", DRAWS, 0)
    monkeypatch.setattr(hurdle_module, "_ROWS", 200)
    part = fit_hurdle(plan, "queueing", DRAWS, 0)
    assert whole is not None
    assert part is not None
    assert (part.effects.std(axis=0) > whole.effects.std(axis=0))[:-1].mean() > 0.8
