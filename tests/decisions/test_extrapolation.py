"""Beyond the training range the correction stays, and what may become of it grows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.predict import predict
from bayeslat.features.design import physics_ms, stage_inputs
from bayeslat.features.hardware import load_hardware
from bayeslat.features.hold_knobs import hold_knobs
from bayeslat.features.residual import span_basis
from bayeslat.features.spec import Spec
from bayeslat.inference.calibration.widening import correction_rms, widening
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.walk import walked
from tests.posteriors import SPEC_TEXT, make_configs, make_data, make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

REFERENCE = pd.DataFrame({"batch_size": [1, 8, 4], "context": [64.0, 128.0, 4096.0]})
KNOBS = ("batch_size", "context")


def test_knobs_are_held_at_the_nearest_value_inside() -> None:
    configs = pd.DataFrame({"batch_size": [2, 16], "context": [8192.0, 1.0], "note": ["a", "b"]})
    held = hold_knobs(configs, REFERENCE, KNOBS)
    assert held["batch_size"].tolist() == [2, 8]
    assert held["context"].tolist() == [4096.0, 64.0]
    assert held["note"].tolist() == ["a", "b"]
    assert configs["batch_size"].tolist() == [2, 16]  # nothing is changed in place


def test_configs_inside_are_returned_as_they_are() -> None:
    configs = pd.DataFrame({"batch_size": [1, 8], "context": [64.0, 4096.0]})
    assert hold_knobs(configs, REFERENCE, KNOBS) is configs


def test_departures_have_the_stated_sd_and_are_shared_by_configs() -> None:
    draws = 20_000
    excess = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 0.0], [1.0, 3.0]])
    basis = span_basis(["x"], 1, np.array([[0.0], [1.0]]))  # and features together
    drawn = widening(walked(excess), basis, np.full(draws, 0.04), np.random.default_rng(0))
    one = np.hypot(0.08, 0.05)
    expected = one * np.sqrt([2.0, 12.0, 0.0, 14.0])
    error = expected / np.sqrt(2 * draws)  # Monte Carlo error of an sd
    assert np.all(np.abs(drawn.std(axis=1) - expected) <= 4 * error)
    np.testing.assert_allclose(drawn[1], np.sqrt(6.0) * drawn[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("rms", "expected"),
    [
        (0.01, [np.hypot(0.02, 0.05), 0.2, np.hypot(0.02, 0.05)]),
        (0.3, [np.hypot(0.6, 0.05), 0.2, 0.2]),
        (5.0, [1.0, 0.2, 0.2]),  # so large a correction is not doubled
    ],
)
def test_the_size_of_the_correction_tells_only_of_knobs_that_it_saw_move(
    rms: float, expected: list[float]
) -> None:
    """In order: a feature, one that never moved, and a knob that no feature has."""
    raw = np.array([[0.0, 3.0, 1.0], [1.0, 3.0, 2.0]])
    basis = span_basis(["x", "still"], 1, raw, watched=["z"])
    excess, draws = np.eye(3, 4), 1000
    drawn = widening(walked(excess), basis, np.full(draws, rms), np.random.default_rng(0))
    sds = drawn.std(axis=1) / np.sqrt(2.0)
    np.testing.assert_allclose(sds, expected, rtol=1 / np.sqrt(2 * draws))


def test_a_knob_that_never_moved_is_not_beyond_all_bounds() -> None:
    """A width of 11008 that becomes 28672 is one power of e away, not 17 664 half ranges."""
    text = SPEC_TEXT.replace('"output_tokens"]', '"output_tokens", "inner"]')
    spec = Spec.from_text(text.replace("1e5 * batch", "10 * inner * batch"))
    data = fit_posterior(spec, make_frame().assign(inner=11008), engine="laplace")
    inner = np.array([11008, 28672, 80000, 3])
    configs = make_configs(4).assign(batch_size=8, context=1000, inner=inner)
    frame = predict(data, configs, load_hardware().resolve("a100_sxm")).frame
    assert frame["extrapolates_in"].tolist() == ["", *["decode: inner"] * 3]
    width = np.log(frame["decode_q95_ms"] / frame["decode_q05_ms"])
    # 2 x 1.645 sds of the walk, beside what is unsure without it.
    distance = np.abs(np.log(inner / 11008))
    walk = 2 * 1.645 * 0.2 * np.sqrt(distance + distance**2)
    np.testing.assert_allclose(width[1:], np.hypot(walk, width[0])[1:], rtol=0.3)
    # The median goes on as the physics does, which only in part is proportional to the knob.
    grown = (frame["decode_q50_ms"] / frame["decode_q50_ms"][0]).to_numpy()
    assert np.all((grown[1:3] > 1.0) & (grown[1:3] < inner[1:3] / 11008))
    assert inner[3] / 11008 < grown[3] < 1.0


def test_the_size_of_a_correction_is_its_root_mean_square() -> None:
    data = make_data()
    part = data.stages["prefill"]
    columns = np.array([[1.0, 0.0], [-1.0, 2.0]])
    effects = np.zeros((3, part.terms + 2))
    effects[:, part.terms :] = [[0.0, 0.0], [0.1, 0.0], [0.1, 0.1]]
    np.testing.assert_allclose(correction_rms(part, columns, effects), [0, 0.1, 0.1], atol=1e-12)


def test_without_a_correction_its_size_is_a_guess() -> None:
    part = make_data().stages["decode"]
    assert not part.basis.features
    sizes = correction_rms(part, np.empty((5, 0)), np.zeros((4, part.terms)))
    assert np.all(sizes > 0.04)


def growth_beyond_the_range() -> tuple[float, float]:
    """How much the median latency grows far beyond the range, and how much the physics does."""
    data, gpu = make_data(), load_hardware().resolve("a100_sxm")
    part = data.stages["prefill"]
    # A GPU that is exactly known, with a large correction.
    effects = np.broadcast_to(np.median(part.effects, axis=0), part.effects.shape).copy()
    effects[..., part.terms :] = 0.6
    data = replace(data, stages={**data.stages, "prefill": replace(part, effects=effects)})
    edge = float(make_frame()["context"].max())
    configs = pd.DataFrame({"batch_size": 1, "context": [edge, 4096 * edge], "output_tokens": 9})
    median = np.median(predict(data, configs, gpu, of="typical").draws("prefill"), axis=1)
    node = part.problem.tree.index("a100_sxm")
    # Log latency is linear in the effects round the point where the GPU was linearised.
    at = data.gpus.index("a100_sxm")
    inputs = stage_inputs(data.spec, "prefill", configs, gpu)
    log_ms, shares = physics_ms(inputs.terms_ms, part.shared_efficiency + part.departure[at])
    log_ms = log_ms + shares @ (effects[0, node, : part.terms] - part.departure[at])
    return float(np.log(median[1] / median[0])), float(log_ms[1] - log_ms[0])


def test_far_out_latency_grows_as_the_physics_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken off the correction with the shares must not act as physics there."""
    monkeypatch.setattr(
        "bayeslat.decisions.predict_stage.widening", lambda excess, *_: 0.0 * excess[:, :1]
    )
    grown, physics = growth_beyond_the_range()
    assert physics > 5.0
    assert grown == pytest.approx(physics, rel=1e-9)
    # The broken twin: columns that are evaluated far out, where the shares have moved.
    monkeypatch.setattr("bayeslat.decisions.predict_stage.hold_knobs", lambda configs, *_: configs)
    assert growth_beyond_the_range()[0] != pytest.approx(physics, abs=0.05)
