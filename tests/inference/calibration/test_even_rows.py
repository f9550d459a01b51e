"""Rows of a target as a regression: with the design that they will be predicted with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.group_view import view_group
from bayeslat.decisions.predict_stage import held_design
from bayeslat.features.design import stage_inputs
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.calibration.even_rows import even_rows
from bayeslat.inference.rows.repeats import number_configs
from bayeslat.inference.rows.stage_rows import held_rows
from tests.posteriors import make_configs, make_data

pytestmark = pytest.mark.xdist_group("small posterior")

GPU = "l40s"


def frame(context: float) -> pd.DataFrame:
    """Rows of which the first lies inside the training range, the others as far as asked."""
    rows = make_configs(4).assign(context=[1000.0, *[context] * 3])
    return rows.assign(t_prefill_ms=[20.0, 500.0, 600.0, 700.0], t_decode_ms=10.0)


@pytest.mark.parametrize("context", [500.0, 100_000.0], ids=["inside", "beyond"])
def test_rows_have_the_design_of_their_prediction(context: float) -> None:
    data, gpu, rows = make_data(), load_hardware().resolve(GPU), frame(context)
    part, view = data.stages["prefill"], view_group(data, "prefill", gpu, None, rng())
    inputs = stage_inputs(data.spec, "prefill", rows, gpu)
    centre, expected, _ = held_design(data, "prefill", rows, gpu, view, inputs)
    labels = number_configs(rows[list(data.reference)])

    def regression(reference: pd.DataFrame | None) -> tuple[np.ndarray, np.ndarray]:
        held = held_rows(data.spec, "prefill", rows, gpu, labels, reference)
        design, response = even_rows(part, view.point, view.departure, held)
        spread = part.noise_shape.spread(part.basis, inputs.raw)
        return design * spread[:, None], response * spread

    design, response = regression(data.reference)
    np.testing.assert_allclose(design, expected, rtol=1e-12)
    np.testing.assert_allclose(response, np.log(rows["t_prefill_ms"]) - centre, rtol=1e-9)
    # The broken twin: a correction that goes on beyond the range.
    twin = np.allclose(regression(None)[0], expected, atol=1e-3)
    assert twin == (context < 1000)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)
