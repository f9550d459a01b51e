from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.evaluation.baselines import BASELINES, find_baseline
from bayeslat.evaluation.baselines.affine import AffineModel, fit_affine
from bayeslat.evaluation.baselines.observations import Observations
from tests.evaluation.baselines.problem import gpu, make_configs, shared_donors

pytestmark = pytest.mark.xdist_group("baselines")

CONFIGS = make_configs(12, seed=21)


class Contexts:
    """A source that predicts the context."""

    def ms(self, configs: pd.DataFrame) -> np.ndarray:
        return configs["context"].to_numpy(float)


@pytest.mark.parametrize("name", [name for name in BASELINES if name.startswith("A")])
def test_slope_and_intercept_of_each_stage_are_recovered(name: str) -> None:
    trained = find_baseline(name).train(shared_donors())
    model = name.removeprefix("A").removeprefix("_ols").removeprefix("_") or None
    source = shared_donors().source_model(model).models
    rows = CONFIGS.assign(
        t_prefill_ms=3.0 * source["prefill"].ms(CONFIGS) + 2.0,
        t_decode_ms=0.5 * source["decode"].ms(CONFIGS) + 7.0,
    )
    estimator = trained.calibrate(rows, gpu())
    lines = estimator.models  # type: ignore[attr-defined]
    assert (lines["prefill"].slope, lines["prefill"].intercept_ms) == pytest.approx((3.0, 2.0))
    assert (lines["decode"].slope, lines["decode"].intercept_ms) == pytest.approx((0.5, 7.0))
    new = make_configs(5, seed=22)
    found = estimator.predict(new)
    np.testing.assert_allclose(found.stages["prefill"], 3.0 * source["prefill"].ms(new) + 2.0)


def test_two_rows_are_enough_for_a_line() -> None:
    rows = Observations(CONFIGS.iloc[:2], 2.0 * CONFIGS["context"].to_numpy()[:2] + 1.0)
    line = fit_affine(Contexts(), rows, relative=True)
    assert (line.slope, line.intercept_ms) == pytest.approx((2.0, 1.0))


def test_errors_are_in_ms_or_relative() -> None:
    context = CONFIGS["context"].to_numpy(float)
    ms = (2.0 * context + 5.0) * np.exp(0.3 * np.random.default_rng(0).standard_normal(12))
    plain = fit_affine(Contexts(), Observations(CONFIGS, ms), relative=False)
    relative = fit_affine(Contexts(), Observations(CONFIGS, ms), relative=True)
    for line, weight in ((plain, np.ones(12)), (relative, 1.0 / ms)):
        expected = np.polyfit(context, ms, 1, w=weight)
        np.testing.assert_allclose([line.slope, line.intercept_ms], expected)
    assert plain.slope != pytest.approx(relative.slope, rel=0.01)


def test_a_line_stops_at_its_floor() -> None:
    falling = AffineModel(Contexts(), slope=1.0, intercept_ms=-1e6, floor_ms=0.25)
    np.testing.assert_array_equal(falling.ms(CONFIGS), 0.25)
    rows = Observations(CONFIGS, np.linspace(8.0, 9.0, 12))
    assert fit_affine(Contexts(), rows, relative=True).floor_ms == 4.0


def test_a_source_that_never_changes_gives_the_mean() -> None:
    same = CONFIGS.assign(context=100)
    ms = np.array([9.0, 11.0] * 6)
    line = fit_affine(Contexts(), Observations(same, ms), relative=False)
    np.testing.assert_allclose(line.ms(same), 10.0)
