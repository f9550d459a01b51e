"""A GPU that was measured beyond the donors' range is known there, and not farther out."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bayeslat.export import guard_reader, make_bundle
from bayeslat.export.bundle import Bundle
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.walk import find_trail
from bayeslat.model.simulate import draw_parameters, simulate
from bayeslat.posterior import Posterior, load_posterior
from tests.posteriors import GPUS, make_configs, small_spec
from tests.targets import draw_targets

pytestmark = pytest.mark.xdist_group("measured beyond")

TARGET = "l40s"
MOST = 500  # of the donors' context
KNOBS = ["batch_size", "context", "output_tokens"]
SLOWER = 1.4  # prefill, at the longest context


@lru_cache(maxsize=1)
def make_trace() -> pd.DataFrame:
    configs, gpus = make_configs(300, 5), (*GPUS, TARGET)
    truth = draw_parameters(small_spec(), gpus, configs=configs, seed=6)
    trace = simulate(small_spec(), configs, gpus, parameters=truth, seed=6)
    return trace.assign(t_prefill_ms=trace["t_prefill_ms"] * SLOWER ** far(trace))


def far(configs: pd.DataFrame) -> NDArray[np.float64]:
    """How far beyond the donors' range, 1 at the longest context."""
    ratio = configs["context"].to_numpy() / MOST
    return np.maximum(np.log(ratio), 0.0) / np.log(4096 / MOST)


@lru_cache(maxsize=1)
def donors() -> PosteriorData:
    trace = make_trace()
    kept = trace["gpu"].isin(GPUS) & (trace["context"] <= MOST)
    return fit_posterior(small_spec(), trace[kept], engine="laplace")


def own(low: float, high: float) -> pd.DataFrame:
    """The target's rows with contexts between."""
    trace = make_trace()
    return trace[(trace["gpu"] == TARGET) & trace["context"].between(low, high, inclusive="right")]


def calibrated(beyond: int = 8) -> Posterior:
    rows = [own(0, MOST).head(15), own(MOST, 2000).head(beyond)]
    return Posterior(donors()).calibrate(pd.concat(rows), TARGET)


def test_what_was_measured_is_no_extrapolation() -> None:
    near, farther = own(MOST, 1200)[KNOBS], own(3000, 4096)[KNOBS]
    blind, seeing = calibrated(0), calibrated()
    assert blind.predict(near, TARGET).extrapolates.all()
    found = seeing.predict(near, TARGET)
    assert not found.extrapolates.any()
    assert set(found.frame["extrapolates_in"]) == {""}
    assert seeing.predict(farther, TARGET).extrapolates.all()
    # Nor does anything else become known: of the donors, and of other GPUs, no more is.
    assert seeing.predict(near, GPUS[0]).extrapolates.all()
    assert seeing.predict(near, "a40").extrapolates.all()


def test_the_guard_no_longer_asks_for_what_was_measured() -> None:
    """It said `measure`, and went on to say so after that was done."""
    near, farther = own(MOST, 1200)[KNOBS], own(3000, 4096)[KNOBS]
    for posterior, expected in ((calibrated(0), "measure"), (calibrated(), "accept")):
        guard = posterior.guard(TARGET, 1e6)
        assert set(guard.decide(near)["decision"]) == {expected}
        assert set(guard.decide(farther)["decision"]) == {"measure"}


def test_rows_beyond_the_range_tell_the_departure_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """And bend nothing within it, as they do without a walk: the broken twin."""
    within, beyond = own(0, MOST)[15:], own(1200, 1900)

    def errors(posterior: Posterior) -> tuple[float, float]:
        found = [posterior.predict(each, TARGET).frame for each in (within, beyond)]
        logs = [(each["prefill_q50_ms"] / each["t_prefill_ms"]).apply(np.log) for each in found]
        return float(np.sqrt(np.mean(logs[0] ** 2))), float(np.mean(logs[1]))

    blind, seeing = errors(calibrated(0)), errors(calibrated())
    nowhere = find_trail(np.zeros((1, 1)))
    monkeypatch.setattr("bayeslat.inference.calibration.calibrate.find_trail", lambda _: nowhere)
    twin = errors(calibrated())
    assert blind[1] < -0.1  # the departure
    assert abs(seeing[1]) < 0.03
    assert seeing[0] < 1.1 * blind[0]
    assert max(abs(twin[1]) - 0.03, twin[0] - 1.1 * blind[0]) > 0


def test_farther_out_intervals_widen_from_where_it_was_measured() -> None:
    configs = pd.DataFrame({"batch_size": 4, "context": [400, 2000, 4000, 16000, 64000]})
    configs["output_tokens"] = 10
    widths = []
    for posterior in (calibrated(0), calibrated()):
        found = posterior.predict(configs, TARGET, of="typical").frame
        ratio = (found["prefill_q95_ms"] / found["prefill_q05_ms"]).to_numpy()
        widths.append(np.log(ratio))
    blind, seeing = widths
    assert (np.diff(seeing[1:]) > 0).all()
    assert (seeing[1:] < blind[1:]).all()
    assert seeing[1] < 0.5 * blind[1]


def test_intervals_cover_walks_that_are_drawn() -> None:
    """Targets of the donors' family, whose prefill departs as the widening says."""
    data, rng = donors(), np.random.default_rng(8)
    configs, covered = make_configs(60, 9), list[float]()
    sd = 2.0 * np.log(SLOWER)  # far more than the correction's size: the prior must not decide
    gone = 2.0 * far(configs)
    order = np.argsort(gone)
    for truth in draw_targets(data, configs, 40, 10):
        walk = np.zeros(len(gone))
        increments = np.sqrt(np.diff(gone[order], prepend=0.0)) * rng.standard_normal(len(gone))
        walk[order] = np.cumsum(increments)
        departure = 0.5 * sd * (gone * rng.standard_normal() + walk)
        column = truth.frame["t_prefill_ms"]
        frame = truth.frame.assign(t_prefill_ms=column * np.exp(departure))
        shuffled = frame.sample(frac=1.0, random_state=len(covered))
        rows, test = shuffled[:30], shuffled[30:]
        posterior = Posterior(data).calibrate(rows, TARGET)
        found = posterior.predict(test, TARGET).frame
        out = ~found["extrapolates"] & (test["context"].to_numpy() > MOST)
        at = found["t_prefill_ms"].between(found["prefill_q05_ms"], found["prefill_q95_ms"])
        covered.append(float(at[out].mean()))
    # Of windows, whose rows share a walk: the mean over 40 has an sd of some 0.02.
    assert 0.8 < np.mean(covered) < 0.98


def test_bundle_and_file_know_it_too(tmp_path: Path) -> None:
    posterior = calibrated()
    posterior.save(tmp_path / "p.nc")
    again = load_posterior(tmp_path / "p.nc")
    bundle = make_bundle(posterior.data, load_hardware().resolve(TARGET))
    (tmp_path / "guard.bundle").write_bytes(bundle.to_bytes())
    reader = guard_reader.load(tmp_path / "guard.bundle")
    configs = own(0, 4096)[KNOBS].reset_index(drop=True)
    columns = {name: configs[name].to_numpy() for name in KNOBS}
    budget = float(np.median(posterior.predict(configs, TARGET).frame["total_q50_ms"]))
    expected = posterior.guard(TARGET, budget).decide(configs)
    pd.testing.assert_frame_equal(again.guard(TARGET, budget).decide(configs), expected)
    decisions, p_exceed = reader.decide(columns, budget)
    assert np.abs(p_exceed - expected["p_exceed"]).max() < 0.005
    assert (decisions == expected["decision"]).mean() > 0.99
    for at in range(0, len(configs), 7):
        decision, chance = reader.decide_one({name: columns[name][at] for name in KNOBS}, budget)
        assert decision == decisions[at]
        assert chance == pytest.approx(p_exceed[at], abs=1e-5)
    # The broken twin: a bundle of the donors' range alone asks for what was measured.
    stages = [stage | {"walk": []} for stage in bundle.header["stages"]]
    blind = guard_reader.GuardBundle({**bundle.header, "stages": stages}, _without_walk(bundle))
    assert (blind.decide(columns, budget)[0] != decisions).any()


def test_a_bundle_knows_a_gpu_that_was_measured_beyond_both_ends() -> None:
    trace = make_trace()
    kept = trace["gpu"].isin(GPUS) & trace["context"].between(250, MOST)
    narrow = Posterior(fit_posterior(small_spec(), trace[kept], engine="laplace"))
    rows = [own(0, 250).head(8), own(250, MOST).head(8), own(MOST, 4096).head(8)]
    posterior = narrow.calibrate(pd.concat(rows), TARGET)
    bundle = make_bundle(posterior.data, load_hardware().resolve(TARGET))
    reader = guard_reader.GuardBundle(bundle.header, bundle.arrays)
    configs = own(0, 4096)[KNOBS].reset_index(drop=True)
    columns = {name: configs[name].to_numpy() for name in KNOBS}
    prediction = posterior.predict(configs, TARGET)
    out = configs["context"].lt(250) | configs["context"].gt(MOST)
    assert 0.1 < prediction.extrapolates[out].mean() < 0.9
    budget = float(np.median(prediction.frame["total_q50_ms"]))
    expected = posterior.guard(TARGET, budget).decide(configs)
    decisions, p_exceed = reader.decide(columns, budget)
    assert np.abs(p_exceed - expected["p_exceed"]).max() < 0.005
    assert (decisions == expected["decision"]).mean() > 0.99


def _without_walk(bundle: Bundle) -> dict[str, NDArray[np.float64]]:
    """Arrays of a bundle, whose loads have no columns of a walk."""
    arrays = dict(bundle.arrays)
    for stage in bundle.header["stages"]:
        name = f"{stage['name']} loads"
        arrays[name] = arrays[name][: len(arrays[name]) - len(stage["walk"])]
    return arrays
