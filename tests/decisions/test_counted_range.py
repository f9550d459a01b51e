"""A stage that runs more often than it was seen to is predicted as it is, and never accepted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.counted_range import counted_range
from bayeslat.export import guard_reader, make_bundle
from bayeslat.features.hardware import load_hardware
from bayeslat.posterior import Posterior
from tests.posteriors import make_configs, make_data, make_frame

FITTED, CALIBRATED = "h100_sxm", "l40s"
LONG = 4000  # output tokens; the fit saw 200 at most


def posterior(most: int = 200) -> Posterior:
    """Calibrate, with outputs as long as that."""
    rows = make_frame(5, (CALIBRATED,), rows=12)
    rows.loc[rows.index[-1], "output_tokens"] = most
    return Posterior(make_data()).calibrate(rows, CALIBRATED)


def inside(count: int = 8) -> pd.DataFrame:
    return make_configs(count).assign(context=np.linspace(200, 2000, count), output_tokens=100)


@pytest.mark.parametrize("tokens", [0, LONG])
@pytest.mark.parametrize("gpu", [FITTED, CALIBRATED])
def test_what_was_not_seen_is_never_accepted(gpu: str, tokens: int) -> None:
    near, far = inside(), inside().assign(output_tokens=tokens)
    guard = posterior().guard(gpu, 1e12)
    assert set(guard.decide(near)["decision"]) == {"accept"}
    decided = guard.decide(far)
    assert set(decided["decision"]) == {"measure"}
    assert set(decided["reason"]) == {"leaves the range of the fit"}
    assert set(decided["left_in"]) == {"output_tokens"}
    frame = posterior().predict(far, gpu).frame
    assert set(frame["extrapolates_in"]) == {"decode: output_tokens"}


def test_the_latency_is_what_the_spec_says() -> None:
    """Nothing in the physics of a step moves, so nothing widens."""
    near, far = (posterior().predict(inside().assign(output_tokens=n), FITTED) for n in (100, LONG))
    np.testing.assert_array_equal(near.draws("decode"), far.draws("decode"))


def test_a_gpu_that_ran_it_so_often_knows() -> None:
    known = posterior(LONG)
    assert counted_range(known.data, "decode", CALIBRATED)["output_tokens"][1] == LONG
    far = inside().assign(output_tokens=LONG)
    assert set(known.guard(CALIBRATED, 1e12).decide(far)["decision"]) == {"accept"}
    assert set(known.guard(FITTED, 1e12).decide(far)["decision"]) == {"measure"}


@pytest.mark.parametrize("most", [200, LONG])
def test_the_bundle_answers_alike(most: int) -> None:
    found = posterior(most)
    bundle = make_bundle(found.data, load_hardware().resolve(CALIBRATED))
    reader = guard_reader.GuardBundle(bundle.header, bundle.arrays)
    configs = inside(12).assign(output_tokens=[0, 1, 100, 1000, LONG, LONG + 1] * 2)
    expected = found.guard(CALIBRATED, 1e12).decide(configs)["decision"].tolist()
    columns = {str(name): configs[name].to_numpy() for name in configs}
    assert reader.decide(columns, 1e12)[0].tolist() == expected
    rows = [{name: column[at] for name, column in columns.items()} for at in range(len(configs))]
    one = [reader.decide_one(row, 1e12)[0] for row in rows]
    assert one == expected
    assert len(set(expected)) == 2
