"""Simulated traces have the physics, the noise and the groups that their parameters say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import HardwareError, InputError, TraceError
from bayeslat.features.hardware import load_hardware
from bayeslat.model.simulate import draw_parameters, simulate
from bayeslat.model.simulation_parameters import SimulationParameters
from bayeslat.traces import provenances, read_traces, write_traces
from tests.posteriors import GPUS, make_configs, small_spec


def without_noise(truth: SimulationParameters, *, residual: bool = True) -> SimulationParameters:
    """Set the noise, and if wanted the residual, to zero."""
    content = truth.model_dump(mode="json")
    for stage in content["stages"].values():
        stage["noise"] = dict.fromkeys(stage["noise"], 0.0)
        if not residual:
            stage["residual"] = {g: dict.fromkeys(w, 0.0) for g, w in stage["residual"].items()}
    return SimulationParameters.model_validate(content)


@pytest.fixture
def configs() -> pd.DataFrame:
    return make_configs(30)


@pytest.fixture
def truth(configs: pd.DataFrame) -> SimulationParameters:
    return draw_parameters(small_spec(), GPUS, configs=configs, seed=4)


def test_without_noise_and_residual_it_is_the_additive_physics(
    configs: pd.DataFrame, truth: SimulationParameters
) -> None:
    exact = without_noise(truth, residual=False)
    frame = simulate(small_spec(), configs, GPUS, parameters=exact)
    stage = truth.stages["decode"]
    for gpu in GPUS:
        rows = frame[frame["gpu"] == gpu]
        scale = {k: np.exp(v + stage.offset[gpu][k]) for k, v in stage.shared_efficiency.items()}
        bytes_read = 2 * (1e9 + 1e5 * rows["batch_size"] * rows["context"])
        bandwidth = load_hardware().resolve(gpu).mem_bw_GBps * 1e6
        expected = scale["memory"] * bytes_read / bandwidth + scale["launch"] * 0.5
        np.testing.assert_allclose(rows["t_decode_ms"], expected, rtol=1e-12)


def test_the_residual_is_orthogonal_to_the_shares(
    configs: pd.DataFrame, truth: SimulationParameters
) -> None:
    plain = simulate(small_spec(), configs, GPUS, parameters=without_noise(truth, residual=False))
    bent = simulate(small_spec(), configs, GPUS, parameters=without_noise(truth))
    bend = np.log((bent["t_prefill_ms"] / plain["t_prefill_ms"]).to_numpy()).reshape(len(GPUS), -1)
    assert np.abs(bend).max() > 1e-3
    # The shares sum to 1, so what is orthogonal to them sums to 0 over the configurations.
    np.testing.assert_allclose(bend.sum(axis=1), 0.0, atol=1e-9)


@pytest.mark.parametrize("dof", [None, 6.0])
def test_repeats_scatter_as_the_noise_says(
    configs: pd.DataFrame, truth: SimulationParameters, dof: float | None
) -> None:
    content = truth.model_dump(mode="json")
    content["stages"]["decode"] |= {"noise": dict.fromkeys(GPUS, 0.04), "noise_dof": dof}
    noisy = SimulationParameters.model_validate(content)
    frame = simulate(small_spec(), configs, GPUS, parameters=noisy, repeats=200, seed=1)
    exact = simulate(small_spec(), configs, GPUS, parameters=without_noise(truth), repeats=200)
    standard = np.log(frame["t_decode_ms"] / exact["t_decode_ms"]) / 0.04
    variance = 1.0 if dof is None else dof / (dof - 2)
    kurtosis = 3.0 if dof is None else 3 + 6 / (dof - 4)
    error = variance * np.sqrt((kurtosis - 1) / len(frame))
    assert abs(standard.var() - variance) < 4 * error
    assert abs((1.05 * standard).var() - variance) > 4 * error  # 5 % more noise is found out
    assert abs(standard.mean()) < 4 * np.sqrt(variance / len(frame))


def test_rows_are_gpu_by_stack_by_config_by_repeat(configs: pd.DataFrame) -> None:
    spec, stacks = small_spec(), ("v1", "v2")
    frame = simulate(spec, configs.assign(note="x"), GPUS, stacks=stacks, repeats=3)
    assert len(frame) == len(GPUS) * 2 * len(configs) * 3
    assert list(frame.columns[:4]) == ["gpu", "stack", "config_id", "repeat"]
    assert (frame["note"] == "x").all()
    assert not frame.duplicated(["gpu", "stack", "config_id", "repeat"]).any()
    by_config = frame.groupby(["gpu", "stack", "config_id"])
    assert (by_config["context"].nunique() == 1).all()


def test_what_configs_hold_besides_knobs(configs: pd.DataFrame) -> None:
    """A measured trace serves as configurations: none of its latencies stay, nor who ran it."""
    named = [f"c{i}" for i in range(len(configs))]
    measured = configs.assign(
        gpu="l40s", stack="v9", repeat=7, config_id=named, t_decode_ms=1.0, t_step_ms=1.0
    )
    frame = simulate(small_spec(), measured, ["h100_sxm"], repeats=2)
    assert {"stack", "t_step_ms"}.isdisjoint(frame.columns)
    assert set(frame["gpu"]) == {"h100_sxm"}
    assert frame["config_id"].tolist() == list(np.repeat(named, 2))
    assert frame["repeat"].tolist() == [0, 1] * len(configs)
    twice = simulate(small_spec(), measured.assign(config_id="same"), ["h100_sxm"])
    assert twice["config_id"].tolist() == list(range(len(configs)))


def test_parameters_of_more_gpus_do_not_matter(
    configs: pd.DataFrame, truth: SimulationParameters
) -> None:
    exact = without_noise(truth)
    part = simulate(small_spec(), configs, GPUS[1:2], parameters=exact)
    whole = simulate(small_spec(), configs, GPUS, parameters=exact)
    whole = whole[whole["gpu"] == GPUS[1]].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, whole)


def test_tasks_have_effects_of_their_own() -> None:
    spec, configs = small_spec(), make_configs(20, tasks=("chat", "code"))
    truth = draw_parameters(spec, GPUS, configs=configs)
    assert "task=chat" in truth.stages["prefill"].residual[GPUS[0]]
    frame = simulate(spec, configs, GPUS, parameters=without_noise(truth))
    swapped = simulate(
        spec,
        configs.assign(task=configs["task"].map({"chat": "code", "code": "chat"})),
        GPUS,
        parameters=without_noise(truth),
    )
    assert (frame["task"] == [*configs["task"]] * len(GPUS)).all()
    assert (frame["t_prefill_ms"] != swapped["t_prefill_ms"]).all()


def test_the_seed_decides(configs: pd.DataFrame) -> None:
    first, again, other = (simulate(small_spec(), configs, GPUS, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["t_decode_ms"] != other["t_decode_ms"]).all()


def test_aliases_become_keys(configs: pd.DataFrame) -> None:
    frame = simulate(small_spec(), configs, ["NVIDIA H100 80GB HBM3", "h100_sxm"])
    assert set(frame["gpu"]) == {"h100_sxm"}


@pytest.mark.parametrize("name", ["trace.parquet", "trace.csv", "trace.jsonl"])
def test_the_file_says_simulated_and_from_what(
    configs: pd.DataFrame, truth: SimulationParameters, tmp_path: Path, name: str
) -> None:
    frame = simulate(small_spec(), configs, GPUS, parameters=truth, seed=7)
    write_traces(frame, tmp_path / name)
    again = read_traces(tmp_path / name)
    assert (again["t_decode_ms"] == frame["t_decode_ms"]).all()
    (found,) = provenances(again)
    assert found is not None
    assert found.source == "simulated"
    assert found.tool is not None
    assert found.tool.startswith("bayeslat simulate ")
    assert found.parameters is not None
    assert found.parameters["seed"] == 7
    true = SimulationParameters.from_json(json.dumps(found.parameters["true"]))
    assert true == truth


def test_parameters_go_to_text_and_back(truth: SimulationParameters) -> None:
    assert SimulationParameters.from_json(truth.to_json()) == truth


def test_everything_wrong_with_parameters_is_told_at_once(
    configs: pd.DataFrame, truth: SimulationParameters
) -> None:
    content = truth.model_dump(mode="json")
    del content["stages"]["decode"]["offset"]["h100_sxm"]
    del content["stages"]["prefill"]["shared_efficiency"]["memory"]
    content["stages"]["vision"] = content["stages"]["decode"]
    with pytest.raises(InputError) as caught:
        simulate(
            small_spec(), configs, GPUS, parameters=SimulationParameters.model_validate(content)
        )
    message = str(caught.value)
    assert "stage vision is unknown" in message
    assert "decode: offset of h100_sxm is missing" in message
    assert "prefill: shared_efficiency of memory is missing" in message


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("{", ["Invalid JSON"]),
        ("[]", ["should be an object"]),
        (
            '{"stages": {"decode": {"noise": {"a": -1}, "offset": {"a": {"k": 99}}}}}',
            [
                "stages.decode.noise.a: Input should be greater than or equal to 0",
                "stages.decode.offset.a.k: Input should be less than or equal to 50",
                "stages.decode.shared_efficiency: Field required",
                "stages.decode.residual: Field required",
            ],
        ),
    ],
)
def test_text_that_is_no_parameters(text: str, messages: list[str]) -> None:
    with pytest.raises(InputError, match="simulation parameters: ") as caught:
        SimulationParameters.from_json(text)
    assert all(message in str(caught.value) for message in messages)


def test_bad_arguments(configs: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="repeats is 0"):
        simulate(small_spec(), configs, GPUS, repeats=0)
    with pytest.raises(InputError, match="there is no GPU"):
        simulate(small_spec(), configs, [])
    with pytest.raises(TraceError, match=r"knob 'context' of spec 'small' is missing"):
        simulate(small_spec(), configs.drop(columns="context"), GPUS)
    negative = configs.assign(output_tokens=[5, -1, *[5] * (len(configs) - 2)])
    with pytest.raises(TraceError, match=r"row 2, column 'output_tokens': times 'output_tokens'"):
        simulate(small_spec(), negative, GPUS)
    with pytest.raises(InputError, match="seed is -1"):
        simulate(small_spec(), configs, GPUS, seed=-1)
    with pytest.raises(InputError, match=r"gpus is the text 'l40s'.*stacks is the text 'v1'"):
        simulate(small_spec(), configs, "l40s", stacks="v1")
    with pytest.raises(HardwareError, match="'h1000'"):
        simulate(small_spec(), configs, ["h1000"])


def test_latencies_that_no_trace_can_hold(
    configs: pd.DataFrame, truth: SimulationParameters
) -> None:
    content = truth.model_dump(mode="json")
    content["stages"]["decode"]["noise_dof"] = 0.05
    wild = SimulationParameters.model_validate(content)
    with pytest.raises(InputError, match=r"decode on .*found (inf|0\.0).*noise_dof"):
        simulate(small_spec(), configs, GPUS, parameters=wild)
