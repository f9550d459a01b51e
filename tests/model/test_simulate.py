"""Simulated traces have the physics, the noise and the groups that their parameters say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import HardwareError, InputError
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import load_spec
from bayeslat.inference.fit import fit_posterior
from bayeslat.model.knob_range import parse_knob, sample_configs
from bayeslat.model.simulate import draw_parameters, simulate
from bayeslat.model.simulation_parameters import SimulationParameters
from bayeslat.traces import provenances, read_traces, write_traces
from tests.posteriors import GPUS, make_configs, small_spec

ROOT = Path(__file__).resolve().parents[2]
RANGES = {
    "vision_tokens": "144:2880",
    "image_crops": "1:8",
    "prompt_tokens": "16:2048:log",
    "top_k": "1:8",
    "active_blocks": "4:48",
    "batch_size": "1,2,4,8",
    "output_tokens": "1:256:log",
    "dtype_bytes": "2,4",
}


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


def test_the_seed_decides(configs: pd.DataFrame) -> None:
    first, again, other = (simulate(small_spec(), configs, GPUS, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["t_decode_ms"] != other["t_decode_ms"]).all()


def test_aliases_become_keys(configs: pd.DataFrame) -> None:
    frame = simulate(small_spec(), configs, ["NVIDIA H100 80GB HBM3", "h100_sxm"])
    assert set(frame["gpu"]) == {"h100_sxm"}


def test_the_file_says_simulated_and_from_what(
    configs: pd.DataFrame, truth: SimulationParameters, tmp_path: Path
) -> None:
    frame = simulate(small_spec(), configs, GPUS, parameters=truth, seed=7)
    write_traces(frame, tmp_path / "trace.parquet")
    (found,) = provenances(read_traces(tmp_path / "trace.parquet"))
    assert found is not None
    assert found.source == "simulated"
    assert found.parameters is not None
    assert found.parameters["seed"] == 7
    true = SimulationParameters.from_json(json.dumps(found.parameters["true"]))
    assert true == truth


def test_parameters_go_to_text_and_back(truth: SimulationParameters) -> None:
    assert SimulationParameters.from_json(truth.to_json()) == truth


def test_members_of_a_family_are_drawn_together(configs: pd.DataFrame) -> None:
    """Correlation of two Hoppers' offsets over draws of the scales; 4 standard errors from 0."""
    pairs = np.array(
        [
            [
                t.offset["h100_sxm"]["launch"],
                t.offset["h200_sxm"]["launch"],
                t.offset["a100_sxm"]["launch"],
            ]
            for t in (
                draw_parameters(small_spec(), GPUS, configs=configs, seed=s).stages["decode"]
                for s in range(300)
            )
        ]
    )
    related, stranger = np.corrcoef(pairs.T)[0, 1:]
    assert related > stranger + 4 / np.sqrt(300)


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


@pytest.mark.parametrize("text", ["{", "[]", '{"stages": {"decode": {"noise": {"a": -1}}}}'])
def test_text_that_is_no_parameters(text: str) -> None:
    with pytest.raises(InputError, match="simulation parameters: "):
        SimulationParameters.from_json(text)


def test_bad_arguments(configs: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="repeats is 0"):
        simulate(small_spec(), configs, GPUS, repeats=0)
    with pytest.raises(InputError, match=r"knob 'context' is missing.*there is no GPU"):
        simulate(small_spec(), configs.drop(columns="context"), [])
    with pytest.raises(HardwareError, match="'h1000'"):
        simulate(small_spec(), configs, ["h1000"])


@pytest.mark.parametrize(
    "path", sorted((ROOT / "models").glob("*.toml")), ids=lambda path: path.stem
)
def test_every_shipped_spec_recovers_what_was_simulated(path: Path) -> None:
    """Of the coefficients of every term and GPU, 90 % intervals hold about 90 %."""
    spec = load_spec(path)
    gpus = ("epyc_1t_bf16", "epyc_2t_bf16", "a100_sxm", "h100_sxm", "l40s")
    ranges = [parse_knob(f"{knob}={RANGES[knob]}") for knob in spec.knobs]
    configs = sample_configs(ranges, 60, seed=0)
    truth = draw_parameters(spec, gpus, configs=configs, seed=2)
    data = fit_posterior(
        spec, simulate(spec, configs, gpus, parameters=truth, seed=2), engine="laplace"
    )
    inside = []
    for stage, part in data.stages.items():
        true = truth.stages[stage]
        for gpu in data.gpus:
            node = part.problem.tree.index(gpu)
            log = part.shared_efficiency + part.effects[:, node, : part.terms]
            low, high = np.quantile(log, [0.05, 0.95], axis=0)
            value = [
                true.shared_efficiency[k] + true.offset[gpu][k] for k in spec.stages[stage].physics
            ]
            inside += list((low <= value) & (value <= high))
    # Terms of a GPU are not independent: count GPUs and stages, not terms.
    error = np.sqrt(0.9 * 0.1 / (len(data.gpus) * len(data.stages)))
    assert abs(np.mean(inside) - 0.9) < 3 * error
