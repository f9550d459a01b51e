"""Rows from which nothing can be learnt are told, or pass without harm."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.predict import predict
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.calibration.calibrate import calibrate_stacks
from bayeslat.inference.engines.diagnose import diagnose
from bayeslat.inference.engines.mode import find_mode
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.fitting.prepare import prepare_stage
from bayeslat.inference.rows.noise import fit_noise_shape
from bayeslat.inference.rows.plan import plan_fit
from bayeslat.model.collapsed_data import collapse
from bayeslat.model.problem import ROUNDING
from bayeslat.model.simulate import draw_parameters, simulate
from bayeslat.model.simulation_parameters import SimulationParameters
from tests.posteriors import GPUS, make_configs, make_frame, small_spec


def test_rows_that_are_all_alike_count_as_one() -> None:
    frame = make_frame().query("gpu == 'a100_sxm'")
    frame = frame.assign(t_decode_ms=3.7, batch_size=4, context=512, output_tokens=9)
    frame = frame.assign(repeat=np.arange(len(frame)))
    problem = prepare_stage(plan_fit(small_spec(), frame), "decode").problem
    np.testing.assert_allclose(problem.statistics.rows, [1.0])
    assert np.abs(find_mode(collapse(problem)).centre).max() < 2.0  # the prior speaks


def exact_frame() -> pd.DataFrame:
    """Simulate a trace without noise."""
    spec, configs = small_spec(), make_configs(40)
    drawn = draw_parameters(spec, GPUS, configs=configs)
    stages = {
        name: part.model_copy(update={"noise": dict.fromkeys(part.noise, 1e-12)})
        for name, part in drawn.stages.items()
    }
    return simulate(spec, configs, GPUS, parameters=SimulationParameters(stages=stages))


def test_a_table_of_computed_latencies_is_fitted_to_within_its_rounding() -> None:
    """Its likelihood would grow without end as the noise goes to zero."""
    frame = exact_frame()
    own = frame["gpu"] == "h200_sxm"
    data = fit_posterior(small_spec(), frame[~own], engine="laplace")
    assert data.diagnostics.converged
    target = load_hardware().resolve("h200_sxm")
    known = calibrate_stacks(data, frame[own][:10], target)
    found = predict(known, frame[own][10:], target).frame
    for stage in ("prefill", "decode"):
        latency = frame[own][10:][f"t_{stage}_ms"].to_numpy()
        np.testing.assert_allclose(found[f"{stage}_q50_ms"], latency, rtol=20 * ROUNDING)
        inside = (found[f"{stage}_q05_ms"] <= latency) & (latency <= found[f"{stage}_q95_ms"])
        assert inside.mean() > 0.9


@pytest.mark.parametrize("factor", [0.3, 20.0, 30.0])
@pytest.mark.parametrize("stage", ["prefill", "decode"])
def test_latencies_far_from_the_data_sheet_have_an_anchor(factor: float, stage: str) -> None:
    """A step of the optimiser that leaps out of range would warn, and stop it."""
    frame = make_frame()
    column = f"t_{stage}_ms"
    plan = plan_fit(small_spec(), frame.assign(**{column: factor * frame[column]}))
    known = prepare_stage(plan_fit(small_spec(), frame), stage).settled
    found = prepare_stage(plan, stage).settled
    slower = found.shared_efficiency + found.departure
    slower = slower - (known.shared_efficiency + known.departure)
    # Some term takes up most of the factor: none can take up more than all of it and its prior.
    assert np.all(np.abs(slower).max(axis=1) > 0.4 * abs(np.log(factor)))


def test_errors_of_zero_have_no_shape() -> None:
    columns = np.linspace(-1, 1, 40)[:, None]
    flat = fit_noise_shape([np.zeros(40)], [columns], [np.ones(40)])
    np.testing.assert_array_equal(flat.slopes, [0.0])


@pytest.mark.parametrize("value", [np.nan, 0.7])
def test_a_parameter_without_a_value_or_that_never_moves_is_no_converged_one(value: float) -> None:
    from bayeslat.inference.engines.laplace import sample_laplace

    problem = prepare_stage(plan_fit(small_spec(), make_frame()), "decode").problem
    drawn = sample_laplace(problem, 0)
    scales = drawn.scales.reshape(2, -1, drawn.scales.shape[2]).copy()
    scales[..., 1] = value
    effects = drawn.effects.reshape(2, -1, *drawn.effects.shape[2:])
    verdict = diagnose("decode", problem, type(drawn)(scales, effects, {}))
    assert any(problem.layout.names[1] in told for told in verdict.problems)
