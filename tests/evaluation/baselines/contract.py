"""What every baseline keeps: checks that a method passes, or fails with an AssertionError."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import InputError
from bayeslat.evaluation.baselines import Baseline, Estimate, TrainedBaseline
from bayeslat.evaluation.baselines.point_estimator import add_stages
from bayeslat.evaluation.metrics import coverage, mape
from tests.evaluation.baselines.problem import (
    SPEC,
    gpu,
    make_configs,
    measure,
    shared_donors,
    true_total,
)

CONFIGS = make_configs(30, seed=99)
ROWS = measure(make_configs(50, seed=5))
NO_ROWS = ROWS.iloc[:0]

type Check = Callable[[Baseline], None]


_TRAINED: dict[tuple[str, int, bool], TrainedBaseline] = {}


def trained(method: Baseline, twin: int = 0, tasks: bool = False) -> TrainedBaseline:
    """Train once, which all checks share; `twin` and `tasks` choose the donors."""
    key = (repr(method), twin, tasks)
    if key not in _TRAINED:
        _TRAINED[key] = method.train(shared_donors(twin, tasks))
    return _TRAINED[key]


def estimate(method: Baseline, rows: pd.DataFrame = ROWS, twin: int = 0) -> Estimate:
    return trained(method, twin).calibrate(rows, gpu()).predict(CONFIGS)


def contents(found: Estimate) -> dict[str, Any]:
    """Return every array of an estimate by name."""
    arrays = {"total": found.total, **{f"stage {k}": v for k, v in found.stages.items()}}
    arrays |= {f"draws {name}": values for name, values in (found.draws or {}).items()}
    for name, levels in (found.quantiles or {}).items():
        arrays |= {f"quantile {level} of {name}": values for level, values in levels.items()}
    return arrays


def assert_same(one: Estimate, other: Estimate) -> None:
    """Compare to the last bit."""
    left, right = contents(one), contents(other)
    assert left.keys() == right.keys()
    for name, values in left.items():
        np.testing.assert_array_equal(values, right[name], err_msg=name)


def check_shapes(method: Baseline) -> None:
    found = estimate(method)
    assert list(found.stages) in ([], list(SPEC.stages))
    for name, values in contents(found).items():
        assert len(values) == len(CONFIGS), name
        assert np.isfinite(values).all(), name
        assert (values > 0).all(), name
    for held in (found.draws, found.quantiles):
        assert held is None or set(held) == {*SPEC.stages, "total"}


def check_stages_add_up(method: Baseline) -> None:
    found = estimate(method)
    if found.stages:
        total = add_stages(SPEC, CONFIGS, gpu(), found.stages)
        np.testing.assert_allclose(found.total, total)


def check_same_again(method: Baseline) -> None:
    """Training and calibrating anew gives the same numbers, to the last bit."""
    assert_same(estimate(method), estimate(method, twin=1))


def check_travels(method: Baseline) -> None:
    """A trained method, and an estimator, can be sent to a worker process."""
    sent: TrainedBaseline = ForkingPickler.loads(ForkingPickler.dumps(trained(method)))
    estimator = ForkingPickler.loads(ForkingPickler.dumps(sent.calibrate(ROWS, gpu())))
    assert_same(estimate(method), estimator.predict(CONFIGS))


def check_calibrations_are_apart(method: Baseline) -> None:
    """Calibrating again changes no earlier estimator."""
    first = trained(method).calibrate(ROWS, gpu())
    before = first.predict(CONFIGS)
    slower = ROWS.assign(t_prefill_ms=9 * ROWS["t_prefill_ms"], t_decode_ms=ROWS["t_decode_ms"] * 9)
    trained(method).calibrate(slower, gpu()).predict(CONFIGS)
    assert_same(before, first.predict(CONFIGS))
    assert_same(before, estimate(method))


def check_configs_are_apart(method: Baseline) -> None:
    """A config's estimate does not depend on the others, their order, index or further columns."""
    some = [7, 3, 28]
    chosen = CONFIGS.iloc[some].set_index(pd.Index(["a", "b", "c"])).assign(note="x", gpu="?")
    estimator = trained(method).calibrate(ROWS, gpu())
    alone, together = contents(estimator.predict(chosen)), contents(estimator.predict(CONFIGS))
    for name, values in alone.items():
        np.testing.assert_allclose(values, together[name][some], rtol=1e-6, err_msg=name)


def check_no_configs(method: Baseline) -> None:
    found = trained(method).calibrate(ROWS, gpu()).predict(CONFIGS.iloc[:0])
    assert all(len(values) == 0 for values in contents(found).values())


def check_far_configs(method: Baseline) -> None:
    """Far outside what was measured, latencies stay positive and finite."""
    far = CONFIGS.assign(context=10 * CONFIGS["context"], batch_size=1024)
    near = CONFIGS.assign(context=1)
    for configs in (far, near):
        for name, values in contents(
            trained(method).calibrate(ROWS.iloc[:12], gpu()).predict(configs)
        ).items():
            assert np.isfinite(values).all(), name
            assert (values > 0).all(), name


def check_inputs_are_kept(method: Baseline) -> None:
    rows, configs = ROWS.copy(), CONFIGS.copy()
    trained(method).calibrate(rows, gpu()).predict(configs)
    pd.testing.assert_frame_equal(rows, ROWS)
    pd.testing.assert_frame_equal(configs, CONFIGS)


def check_least_rows(method: Baseline) -> None:
    """As few rows as it says are enough; with fewer the message says how many it needs."""
    assert method.least_rows <= 5
    enough = ROWS.iloc[: method.least_rows]
    found = contents(trained(method).calibrate(enough, gpu()).predict(CONFIGS))
    assert all(np.isfinite(values).all() for values in found.values())
    if method.least_rows:
        wanted = rf"{method.name}.*l40s.*at least {method.least_rows}"
        for rows in (NO_ROWS, enough.iloc[1:]):
            with pytest.raises(InputError, match=wanted):
                trained(method).calibrate(rows, gpu())


def check_missing_stages(method: Baseline) -> None:
    """A stage is learnt from the rows that hold it, and other rows change nothing about it."""
    partial = ROWS.copy()
    partial.loc[partial.index[:20], "t_decode_ms"] = np.nan
    held, fewer = estimate(method, partial), estimate(method, partial.iloc[20:])
    if "decode" in held.stages:
        np.testing.assert_allclose(held.stages["decode"], fewer.stages["decode"])
    else:
        np.testing.assert_allclose(held.total, fewer.total)
    if method.least_rows:
        with pytest.raises(InputError, match=r"'decode'|all stages"):
            trained(method).calibrate(ROWS.drop(columns="t_decode_ms"), gpu())


def check_learns(method: Baseline) -> None:
    """With 50 rows a method that calibrates errs by far less than one that does not."""
    error = mape(estimate(method).total, true_total(CONFIGS))
    uncalibrated = mape(true_total(CONFIGS, "h100_sxm"), true_total(CONFIGS))
    assert uncalibrated > 0.5
    if method.least_rows:
        assert error < 0.15
    else:
        assert error < 1.2 * uncalibrated


def check_distribution(method: Baseline) -> None:
    """Quantiles are in order, and an interval is neither a point nor certain to hold."""
    found = estimate(method)
    if not found.has_distribution:
        with pytest.raises(InputError, match="no distribution"):
            found.quantile("total", 0.5)
        return
    measured = measure(CONFIGS, seed=3)
    times = CONFIGS["output_tokens"].to_numpy() - 1
    total = measured["t_prefill_ms"].to_numpy() + times * measured["t_decode_ms"].to_numpy()
    levels = [found.quantile("total", level) for level in (0.05, 0.25, 0.5, 0.75, 0.9, 0.95)]
    assert (np.diff(levels, axis=0) >= 0).all()
    assert 0.5 < coverage(levels[0], levels[-1], total) <= 1.0
    assert mape(levels[2], total) < 0.2


def check_missing_knob(method: Baseline) -> None:
    estimator = trained(method).calibrate(ROWS, gpu())
    with pytest.raises(InputError, match="context"):
        estimator.predict(CONFIGS.drop(columns="context"))


def check_tasks(method: Baseline) -> None:
    """A category is taken, one that the donors lack too."""
    rows, configs = measure(make_configs(50, 5, tasks=True)), make_configs(20, 8, tasks=True)
    estimator = trained(method, tasks=True).calibrate(rows, gpu())
    assert np.isfinite(estimator.predict(configs).total).all()
    assert np.isfinite(estimator.predict(configs.assign(task="other")).total).all()
    assert np.isfinite(estimator.predict(configs.drop(columns="task")).total).all()


CHECKS: dict[str, Check] = {
    name.removeprefix("check_"): check
    for name, check in list(globals().items())
    if name.startswith("check_")
}
"""All checks by name."""
