from __future__ import annotations

import numpy as np
import pandas as pd

from bayeslat.features.residual import span_basis
from bayeslat.features.tasks import NO_TASK, task_names


def test_rows_without_a_task_are_named_alike() -> None:
    names = task_names(["qa ", None, np.nan, pd.NA, " "], 5)
    assert names.tolist() == ["qa", NO_TASK, NO_TASK, NO_TASK, NO_TASK]
    assert task_names(None, 2).tolist() == [NO_TASK, NO_TASK]


def test_each_fitted_task_has_a_column() -> None:
    basis = span_basis(["log(x)"], 1, np.array([[0.0], [1.0]]), tasks=["captioning", "qa"])
    columns = basis.columns(np.zeros((4, 1)), ["qa", pd.NA, "captioning", "ocr"])
    np.testing.assert_array_equal(columns[:, 1:], [[0, 1], [0, 0], [1, 0], [0, 0]])
