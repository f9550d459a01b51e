"""Linearising where rows tell much about terms that take little of the time."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from bayeslat.errors import ConvergenceError
from bayeslat.features.hardware import load_hardware
from bayeslat.features.knob_range import parse_knobs
from bayeslat.features.spec import load_spec
from bayeslat.inference.engines.mode import find_mode, held_mode
from bayeslat.inference.fitting import relinearise
from bayeslat.inference.fitting.prepare import prepare_stage
from bayeslat.inference.rows.plan import FitPlan, plan_fit
from bayeslat.model.collapsed_data import CollapsedData, collapse
from bayeslat.model.problem import MOST_COUNTED
from bayeslat.model.sample_configs import sample_configs
from bayeslat.model.simulate import draw_parameters, simulate
from tests.posteriors import make_frame, small_spec
from tests.problems import CASES, make_case

KNOBS = (
    "vision_tokens=144:2880", "image_crops=1:20", "prompt_tokens=16:4096:log", "top_k=1,2,4,8",
    "active_blocks=8:48", "batch_size=1,2,4,8,16,32", "output_tokens=16:512",
)  # fmt: skip


@lru_cache(maxsize=1)
def sharp_plan(gpus: int, rows: int, seed: int) -> FitPlan:
    """GPUs whose launches take some thousandth of their prefill."""
    spec = load_spec("models/vlm.toml")
    table = load_hardware().gpus
    full = [key for key, gpu in table.items() if gpu.bf16_tflops]
    configs = sample_configs(parse_knobs(KNOBS), rows, seed)
    truth = draw_parameters(spec, full[:gpus], configs=configs, seed=seed)
    return plan_fit(spec, simulate(spec, configs, full[:gpus], parameters=truth, seed=seed))


@pytest.mark.slow
def test_rows_in_plenty_are_linearised_where_they_lead_to(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare_stage(sharp_plan(20, 4000, 0), "llm_prefill")
    mode = find_mode(collapse(prepared.problem))
    assert np.abs(mode.centre).max() < 4.0
    # The broken twin: Gauss and Newton's steps as they are.
    monkeypatch.setattr(relinearise, "_LEAP", np.inf)
    monkeypatch.setattr(relinearise, "_relinearise_damped", give_up)
    with pytest.raises(ConvergenceError):
        find_mode(collapse(prepare_stage(sharp_plan(20, 4000, 0), "llm_prefill").problem))


def give_up(*_: object) -> None:
    raise ConvergenceError("steps that leap")


def no_point(*_: object) -> None:
    return None


def test_damped_steps_arrive_where_plain_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where these do not leap."""
    plan = plan_fit(small_spec(), make_frame(1, rows=60))
    plain = prepare_stage(plan, "prefill").settled.departure
    monkeypatch.setattr(relinearise, "_relinearise", no_point)
    damped = prepare_stage(plan, "prefill").settled.departure
    np.testing.assert_allclose(damped, plain, atol=2 * relinearise._SETTLED)
    # The broken twin: no steps at all.
    monkeypatch.setattr(relinearise, "_DAMPED_STEPS", 0)
    still = prepare_stage(plan, "prefill").settled.departure
    assert np.abs(still - plain).max() > 2 * relinearise._SETTLED


@pytest.mark.parametrize("name", CASES)
def test_a_held_mode_is_the_mode_where_the_bound_is_far(name: str) -> None:
    data = collapse(make_case(11, **CASES[name]).problem)
    mode = find_mode(data)
    sd = np.sqrt(np.sum(mode.root**2, axis=1))
    np.testing.assert_allclose((held_mode(data, 7.0) - mode.centre) / sd, 0.0, atol=0.2)
    held = held_mode(data, -0.5)
    assert held[data.half_normal > 0].max() <= -0.5


def test_rows_count_for_fewer_until_there_is_a_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no steps settle, a posterior tells; it is no error."""
    plan = plan_fit(small_spec(), make_frame(1, rows=400))
    asked: list[float] = []

    def mode(data: CollapsedData) -> tuple[NDArray[np.float64], bool]:
        asked.append(float(data.rows.max()))
        return find_mode(data).centre, asked[-1] < 100.0

    monkeypatch.setattr(relinearise, "_mode", mode)
    problem = prepare_stage(plan, "prefill").problem
    np.testing.assert_allclose(asked[-3:], [400.0, 300.0, 60.0], rtol=0.2)
    assert problem.counted.rows.max() == pytest.approx(60.0)
    assert problem.statistics.rows.max() > 300.0


@pytest.mark.slow
def test_a_term_that_runs_away_from_rows_in_plenty_is_untold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here the weights do, and the view of them is then off by a tenth on some GPU."""
    prepared = prepare_stage(sharp_plan(20, 1000, 3), "llm_prefill")
    assert prepared.problem.layout.untold == ("weights",)
    assert prepared.problem.most_counted == MOST_COUNTED
    assert np.abs(find_mode(collapse(prepared.problem)).centre).max() < 3.0
    # The broken twin: as far as steps lead.
    monkeypatch.setattr(relinearise, "find_astray", no_point)
    twin = prepare_stage(sharp_plan(20, 1000, 3), "llm_prefill")
    assert np.abs(find_mode(collapse(twin.problem)).centre).max() > 3.0


@pytest.mark.slow
def test_a_smooth_correction_that_stands_in_for_a_term_is_no_error() -> None:
    """Here it takes what a term that takes little of the time could take as well."""
    problem = prepare_stage(sharp_plan(20, 1000, 5), "llm_prefill").problem
    assert problem.most_counted < MOST_COUNTED
    assert np.abs(find_mode(collapse(problem)).centre).max() < 4.0
