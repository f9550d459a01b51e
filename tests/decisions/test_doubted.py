"""A configuration whose own measurement was set aside is measured again, not accepted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.doubted import doubted_configs
from bayeslat.export import guard_reader, make_bundle
from bayeslat.features.hardware import load_hardware
from bayeslat.posterior import Posterior
from tests.posteriors import make_data, make_frame, small_spec

pytestmark = pytest.mark.xdist_group("small posterior")

TARGET = "l40s"
GPU = load_hardware().resolve(TARGET)
KNOBS = list(small_spec().knobs)


def calibrated(slow: tuple[float, ...]) -> tuple[Posterior, pd.DataFrame]:
    """Rows of twelve configurations; the first ran several times, each so many times slower."""
    rows = make_frame(3, (TARGET,), rows=12)
    more = [rows.iloc[[0]].assign(t_prefill_ms=lambda row: 1.002 * row["t_prefill_ms"])] * (
        len(slow) - 1
    )
    rows = pd.concat([rows.iloc[[0]], *more, rows.iloc[1:]], ignore_index=True)
    rows["repeat"] = np.arange(len(rows))
    rows.loc[: len(slow) - 1, "t_prefill_ms"] *= list(slow)
    return Posterior(make_data()).calibrate(rows, gpu=TARGET), rows


@pytest.mark.parametrize(
    ("slow", "is_doubted"),
    [((20.0,), True), ((20.0, 20.0), True), ((20.0, 1.0), False), ((1.5,), False), ((1.0,), False)],
)
def test_it_is_measured_unless_another_run_is_sound(
    slow: tuple[float, ...], is_doubted: bool
) -> None:
    posterior, rows = calibrated(slow)
    configs = rows[KNOBS].drop_duplicates(ignore_index=True)
    budget = 5.0 * float(posterior.predict(configs, TARGET).frame["total_q95_ms"].max())
    decided = posterior.guard(TARGET, budget).decide(configs)
    expected = ["measure" if is_doubted else "accept"] + ["accept"] * (len(configs) - 1)
    assert decided["decision"].tolist() == expected
    if is_doubted:
        assert decided["reason"][0] == "its own measurement was set aside"
        assert decided["p_exceed"][0] < 0.01  # by the others, it keeps the budget
    assert len(doubted_configs(posterior.data, TARGET, "")) == is_doubted

    bundle = make_bundle(posterior.data, GPU)
    reader = guard_reader.GuardBundle(bundle.header, bundle.arrays)
    columns = {name: configs[name].to_numpy() for name in KNOBS}
    assert reader.decide(columns, budget)[0].tolist() == expected
    ones = [
        reader.decide_one(dict(zip(KNOBS, row, strict=True)), budget)[0]
        for row in configs.itertuples(index=False)
    ]
    assert ones == expected


def test_it_is_doubted_of_its_own_gpu_and_stack_alone() -> None:
    posterior, rows = calibrated((20.0,))
    beside = posterior.calibrate(rows.iloc[1:].assign(stack="v2"), TARGET)
    data = beside.calibrate(rows.iloc[1:].assign(gpu="a40"), "a40").data
    counts = {
        (gpu, stack): len(doubted_configs(data, gpu, stack))
        for gpu, stack in ((TARGET, ""), (TARGET, None), (TARGET, "v2"), ("a40", ""), ("a40", None))
    }
    assert counts.pop((TARGET, "")) == counts.pop((TARGET, None)) == 1
    assert set(counts.values()) == {0}


def test_no_max_risk_accepts_it() -> None:
    posterior, rows = calibrated((20.0,))
    guard = posterior.guard(TARGET, 1e9)
    prediction = posterior.predict(rows[KNOBS], TARGET)
    least = guard.judge(prediction).least_max_risk
    assert least[0] == 1.0
    assert (least[1:] < 0.05).all()


def test_slow_runs_are_no_gross_errors() -> None:
    """Beside donors that are steady to 1 %, half as much again is far, and what runs may do."""
    data, rows = make_data(seed=3), make_frame(3, (TARGET,), rows=30)
    found = {}
    for times in (1.0, 1.5, 4.0):
        slow = rows.copy()
        slow.loc[[3, 17], "t_prefill_ms"] *= times
        part = (
            Posterior(data).calibrate(slow, gpu=TARGET).data.targets[TARGET, ""].stages["prefill"]
        )
        found[times] = part.set_aside.tolist(), float(part.noise_sd.mean())
    assert [found[times][0] for times in found] == [[], [], [3, 17]]
    assert found[1.5][1] > 1.3 * found[1.0][1]
