"""Far beyond the range of knobs that a feature has lost sight of, nothing is accepted."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from bayeslat.export import guard_reader, make_bundle
from bayeslat.features import design
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec
from bayeslat.fitting import fit
from bayeslat.model.simulate import draw_parameters, simulate
from bayeslat.posterior import Posterior
from tests.posteriors import GPUS, SPEC_TEXT, make_configs

FLAT = SPEC_TEXT.replace('["log(context)"]', '["minimum(context, 256) / 256"]', 1)
FAR = {"batch_size": [4, 4], "context": [512, 100_000], "output_tokens": [50, 50]}


@lru_cache(maxsize=1)
def fitted() -> Posterior:
    spec, configs = Spec.from_text(FLAT).only(["prefill"]), make_configs(40)
    truth = draw_parameters(spec, GPUS, configs=configs, seed=0)
    return fit(spec, simulate(spec, configs, GPUS, parameters=truth, seed=0), engine="laplace")


def test_a_context_that_its_feature_does_not_tell_leaves_the_range() -> None:
    frame = fitted().predict(pd.DataFrame(FAR), GPUS[0]).frame
    assert frame["extrapolates"].tolist() == [False, True]
    decided = fitted().guard(GPUS[0], budget_ms=1e9).decide(pd.DataFrame(FAR))
    assert decided["decision"].tolist() == ["accept", "measure"]


def test_a_bundle_measures_it_too() -> None:
    bundle = make_bundle(fitted().data, load_hardware().resolve(GPUS[0]))
    reader = guard_reader.GuardBundle(bundle.header, bundle.arrays)
    assert reader.decide(FAR, 1e9)[0].tolist() == ["accept", "measure"]
    assert reader.decide_one({name: each[1] for name, each in FAR.items()}, 1e9)[0] == "measure"


def test_a_broken_twin_without_the_watch_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was so: each knob that a feature names counted as told by it."""
    monkeypatch.setattr(design, "covered_knobs", lambda spec, stage: {"context"})
    design.coordinates.cache_clear()
    fitted.cache_clear()
    try:
        decided = fitted().guard(GPUS[0], budget_ms=1e9).decide(pd.DataFrame(FAR))
    finally:
        design.coordinates.cache_clear()
        fitted.cache_clear()
    assert decided["decision"].tolist() == ["accept", "accept"]


def test_the_noise_beyond_a_knobs_range_is_that_of_the_range_in_bundles_too() -> None:
    """A product of knobs may be within its range where one of them is not."""
    joint = SPEC_TEXT.replace('["log(context)"]', '["log(batch_size * context)"]', 1)
    spec, configs = Spec.from_text(joint).only(["prefill"]), make_configs(60)
    truth = draw_parameters(spec, GPUS, configs=configs, seed=0)
    frame = simulate(spec, configs, GPUS, parameters=truth, seed=0)
    size = np.log(frame["batch_size"] * frame["context"])
    scatter = 0.02 * (size - size.min()) * np.random.default_rng(0).standard_normal(len(frame))
    frame["t_prefill_ms"] *= np.exp(scatter)  # larger ones scatter more
    posterior = fit(spec, frame, engine="laplace")
    far = pd.DataFrame({"batch_size": [64, 256], "context": 128, "output_tokens": 50})
    bundle = make_bundle(posterior.data, load_hardware().resolve(GPUS[0]))
    reader = guard_reader.GuardBundle(bundle.header, bundle.arrays)
    middle = posterior.predict(far, GPUS[0]).frame["total_q50_ms"]
    for budget in np.concatenate([1.05 * middle, 1.1 * middle]):
        expected = posterior.guard(GPUS[0], budget).decide(far)["p_exceed"]
        found = reader.decide({str(name): far[name].to_numpy() for name in far}, budget)[1]
        np.testing.assert_allclose(found, expected, atol=0.005)
