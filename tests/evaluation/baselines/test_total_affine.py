from __future__ import annotations

import numpy as np
import pytest

from bayeslat.errors import InputError
from bayeslat.evaluation.baselines import BASELINES, find_baseline
from bayeslat.evaluation.baselines.point_estimator import PointEstimator
from tests.evaluation.baselines.problem import SOURCE, SPEC, gpu, make_configs, shared_donors

pytestmark = pytest.mark.xdist_group("baselines")

CONFIGS = make_configs(12, seed=21).assign(output_tokens=lambda rows: rows["output_tokens"] + 1)


@pytest.mark.parametrize("name", [name for name in BASELINES if name.startswith("B")])
def test_slope_and_intercept_of_the_total_are_recovered(name: str) -> None:
    model = name.removeprefix("B").removeprefix("_ols").removeprefix("_") or None
    source = PointEstimator(SPEC, gpu(SOURCE), shared_donors().source_model(model).models)
    # Whatever part of it is prefill: decode takes the rest.
    total = 2.5 * source.predict(CONFIGS).total + 40.0
    rows = CONFIGS.assign(
        t_prefill_ms=10.0, t_decode_ms=(total - 10.0) / (CONFIGS["output_tokens"] - 1)
    )
    found = find_baseline(name).train(shared_donors()).calibrate(rows, gpu())
    line = found.models["total"]  # type: ignore[attr-defined]
    assert (line.slope, line.intercept_ms) == pytest.approx((2.5, 40.0))
    np.testing.assert_allclose(found.predict(CONFIGS).total, total)
    assert found.predict(CONFIGS).stages == {}


def test_only_rows_with_all_stages_count() -> None:
    rows = CONFIGS.assign(t_prefill_ms=10.0, t_decode_ms=1.0)
    rows.loc[rows.index[1:], "t_prefill_ms"] = np.nan
    with pytest.raises(InputError, match=r"B_linear: of 12 rows of l40s, all stages are in 1; "):
        find_baseline("B_linear").train(shared_donors()).calibrate(rows, gpu())
