"""What every baseline keeps: checks that a method passes, or fails with an AssertionError."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bayeslat.errors import InputError
from bayeslat.evaluation.baselines import (
    Baseline,
    Donors,
    Estimate,
    TrainedBaseline,
    what_it_lacks,
)
from bayeslat.evaluation.baselines.point_estimator import add_stages
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.evaluation.metrics import coverage, mape
from bayeslat.features.spec import Spec
from tests.evaluation.baselines import problem, serving_problem
from tests.evaluation.baselines.problem import gpu

type Check = Callable[[Baseline], None]


@dataclass(frozen=True)
class Problem:
    """What a method is asked: a spec, and configurations with their latencies."""

    spec: Spec
    make_configs: Callable[..., pd.DataFrame]
    measure: Callable[..., pd.DataFrame]
    true_total: Callable[..., NDArray[np.float64]]
    donors: Callable[[int, bool], Donors]
    row_count: int
    few_rows: int
    needed_knob: str
    far: tuple[dict[str, Any], ...]
    """Columns of configurations far from all that was measured."""

    @cached_property
    def configs(self) -> pd.DataFrame:
        return self.make_configs(30, seed=99)

    @cached_property
    def rows(self) -> pd.DataFrame:
        return self.measure(self.make_configs(self.row_count, seed=5))

    @property
    def columns(self) -> list[str]:
        """Of latencies."""
        return [stage.column for stage in self.spec.stages.values()]


SMALL = Problem(
    problem.SPEC,
    problem.make_configs,
    problem.measure,
    problem.true_total,
    problem.shared_donors,
    row_count=50,
    few_rows=12,
    needed_knob="context",
    far=({"context": 40_000, "batch_size": 1024}, {"context": 1}),
)
SERVER = Problem(
    serving_problem.SPEC,
    serving_problem.make_configs,
    serving_problem.measure,
    serving_problem.true_total,
    serving_problem.shared_donors,
    row_count=150,
    few_rows=120,
    needed_knob="waiting",
    far=(
        {"prefill_tokens": 100_000, "waiting": 5000, "kv_usage": 1.0},
        {"prefill_tokens": 0, "decode_requests": 0, "running": 0, "waiting": 0, "kv_usage": 0.0},
    ),
)


def problem_of(method: Baseline) -> Problem:
    """Return the first problem that suits a method."""
    return SERVER if what_it_lacks(method, SMALL.spec) else SMALL


_TRAINED: dict[tuple[str, int, bool], TrainedBaseline] = {}


def trained(method: Baseline, twin: int = 0, tasks: bool = False) -> TrainedBaseline:
    """Train once, which all checks share; `twin` and `tasks` choose the donors."""
    key = (repr(method), twin, tasks)
    if key not in _TRAINED:
        _TRAINED[key] = method.train(problem_of(method).donors(twin, tasks))
    return _TRAINED[key]


def estimate(method: Baseline, rows: pd.DataFrame | None = None, twin: int = 0) -> Estimate:
    asked = problem_of(method)
    rows = asked.rows if rows is None else rows
    return trained(method, twin).calibrate(rows, gpu()).predict(asked.configs)


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
    found, asked = estimate(method), problem_of(method)
    assert list(found.stages) in ([], list(asked.spec.stages))
    for name, values in contents(found).items():
        assert len(values) == len(asked.configs), name
        assert np.isfinite(values).all(), name
        assert (values > 0).all(), name
    for held in (found.draws, found.quantiles):
        assert held is None or set(held) == {*asked.spec.stages, "total"}


def check_stages_add_up(method: Baseline) -> None:
    found, asked = estimate(method), problem_of(method)
    if found.stages:
        total = add_stages(asked.spec, asked.configs, gpu(), found.stages)
        np.testing.assert_allclose(found.total, total)


def check_same_again(method: Baseline) -> None:
    """Training and calibrating anew gives the same numbers, to the last bit."""
    assert_same(estimate(method), estimate(method, twin=1))


def check_travels(method: Baseline) -> None:
    """A trained method, and an estimator, can be sent to a worker process."""
    sent: TrainedBaseline = ForkingPickler.loads(ForkingPickler.dumps(trained(method)))
    asked = problem_of(method)
    estimator = ForkingPickler.loads(ForkingPickler.dumps(sent.calibrate(asked.rows, gpu())))
    assert_same(estimate(method), estimator.predict(asked.configs))


def check_calibrations_are_apart(method: Baseline) -> None:
    """Calibrating again changes no earlier estimator."""
    asked = problem_of(method)
    first = trained(method).calibrate(asked.rows, gpu())
    before = first.predict(asked.configs)
    slower = asked.rows.assign(**9 * asked.rows[asked.columns])
    trained(method).calibrate(slower, gpu()).predict(asked.configs)
    assert_same(before, first.predict(asked.configs))
    assert_same(before, estimate(method))


def check_configs_are_apart(method: Baseline) -> None:
    """A config's estimate does not depend on the others, their order, index or further columns."""
    some, asked = [7, 3, 28], problem_of(method)
    chosen = asked.configs.iloc[some].set_index(pd.Index(["a", "b", "c"])).assign(note="x", gpu="?")
    estimator = trained(method).calibrate(asked.rows, gpu())
    alone = contents(estimator.predict(chosen))
    together = contents(estimator.predict(asked.configs))
    for name, values in alone.items():
        np.testing.assert_allclose(values, together[name][some], rtol=1e-6, err_msg=name)


def check_no_configs(method: Baseline) -> None:
    asked = problem_of(method)
    found = trained(method).calibrate(asked.rows, gpu()).predict(asked.configs.iloc[:0])
    assert all(len(values) == 0 for values in contents(found).values())


def check_far_configs(method: Baseline) -> None:
    """Far outside what was measured, latencies stay positive and finite."""
    asked = problem_of(method)
    estimator = trained(method).calibrate(asked.rows.iloc[: asked.few_rows], gpu())
    for columns in asked.far:
        found = estimator.predict(asked.configs.assign(**columns))
        for name, values in contents(found).items():
            assert np.isfinite(values).all(), name
            assert (values > 0).all(), name


def check_inputs_are_kept(method: Baseline) -> None:
    asked = problem_of(method)
    rows, configs = asked.rows.copy(), asked.configs.copy()
    trained(method).calibrate(rows, gpu()).predict(configs)
    pd.testing.assert_frame_equal(rows, asked.rows)
    pd.testing.assert_frame_equal(configs, asked.configs)


def check_least_rows(method: Baseline) -> None:
    """As few rows as it says are enough; with fewer the message says how many it needs."""
    asked = problem_of(method)
    assert method.least_rows <= 5
    enough = asked.rows.iloc[: method.least_rows]
    found = contents(trained(method).calibrate(enough, gpu()).predict(asked.configs))
    assert all(np.isfinite(values).all() for values in found.values())
    if method.least_rows:
        wanted = rf"{method.name}.*l40s.*at least {method.least_rows}"
        for rows in (asked.rows.iloc[:0], enough.iloc[1:]):
            with pytest.raises(InputError, match=wanted):
                trained(method).calibrate(rows, gpu())


def check_missing_stages(method: Baseline) -> None:
    """A stage is learnt from the rows that hold it, and other rows change nothing about it."""
    asked = problem_of(method)
    stage, column = list(asked.spec.stages)[-1], asked.columns[-1]
    partial = asked.rows.copy()
    partial.loc[partial.index[:20], column] = np.nan
    held, fewer = estimate(method, partial), estimate(method, partial.iloc[20:])
    if stage in held.stages:
        np.testing.assert_allclose(held.stages[stage], fewer.stages[stage])
    else:
        np.testing.assert_allclose(held.total, fewer.total)
    if method.least_rows:
        with pytest.raises(InputError, match=rf"'{stage}'|all stages"):
            trained(method).calibrate(asked.rows.drop(columns=column), gpu())


def check_learns(method: Baseline) -> None:
    """With its rows a method that calibrates errs by far less than one that does not."""
    asked = problem_of(method)
    total = asked.true_total(asked.configs)
    error = mape(estimate(method).total, total)
    uncalibrated = mape(asked.true_total(asked.configs, "h100_sxm"), total)
    assert uncalibrated > 0.5
    if method.least_rows:
        assert error < 0.15
    else:
        assert error < 1.2 * uncalibrated


def check_distribution(method: Baseline) -> None:
    """Quantiles are in order, and an interval is neither a point nor certain to hold."""
    found, asked = estimate(method), problem_of(method)
    if not found.has_distribution:
        with pytest.raises(InputError, match="no distribution"):
            found.quantile("total", 0.5)
        return
    measured = asked.measure(asked.configs, seed=3)
    total = measured_latencies(asked.spec, measured, gpu())["total"]
    levels = [found.quantile("total", level) for level in (0.05, 0.25, 0.5, 0.75, 0.9, 0.95)]
    assert (np.diff(levels, axis=0) >= 0).all()
    assert 0.5 < coverage(levels[0], levels[-1], total) <= 1.0
    assert mape(levels[2], total) < 0.2


def check_missing_knob(method: Baseline) -> None:
    asked = problem_of(method)
    estimator = trained(method).calibrate(asked.rows, gpu())
    with pytest.raises(InputError, match=asked.needed_knob):
        estimator.predict(asked.configs.drop(columns=asked.needed_knob))


def check_tasks(method: Baseline) -> None:
    """A category is taken, one that the donors lack too."""
    asked = problem_of(method)
    rows = asked.measure(asked.make_configs(asked.row_count, 5, tasks=True))
    configs = asked.make_configs(20, 8, tasks=True)
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
