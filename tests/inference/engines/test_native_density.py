"""The density as nutpie's threads call it: that of the model, or the code of a divergence."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from numpy.typing import NDArray

from bayeslat.inference.engines.mode import Mode
from bayeslat.inference.engines.native_density import native_model
from bayeslat.model.collapsed import log_posterior
from bayeslat.model.collapsed_data import collapse
from tests.posteriors import make_data

pytestmark = pytest.mark.xdist_group("small posterior")


def pointer(array: NDArray[np.float64]) -> object:
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_double))


@pytest.mark.parametrize("stage", ["prefill", "decode"])
def test_the_density_is_the_models_and_where_there_is_none_it_is_a_divergence(stage: str) -> None:
    data = collapse(make_data().stages[stage].problem)
    rng, size = np.random.default_rng(0), len(data.half_normal)
    mode = Mode(0.1 * rng.standard_normal(size), np.eye(size) + 0.1 * rng.random((size, size)))
    model = native_model(data, mode)
    white, gradient, value = rng.standard_normal(size), np.empty(size), np.empty(1)

    def call(at: NDArray[np.float64]) -> int:
        arrays = [pointer(each) for each in (at, gradient, value, model.user_data)]
        return int(model.compiled_logp_func.ctypes(size, *arrays))

    assert call(white) == 0
    expected, slope = log_posterior(white, mode.centre, mode.root, data)
    assert value[0] == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-12)
    assert call(np.full(size, np.nan)) == 4
