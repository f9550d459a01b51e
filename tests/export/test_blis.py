"""Files for BLIS: the coefficients stand for the posterior, and the files are what BLIS loads."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from bayeslat.errors import HardwareError, InputError
from bayeslat.export.blis import make_blis, write_blis
from bayeslat.export.blis_basis import BASES, BlisModel, count_as_blis, step_bases_us
from bayeslat.export.blis_between import time_between_us
from bayeslat.export.blis_blackbox import blackbox_columns, fit_blackbox
from bayeslat.export.blis_export import BlisExport
from bayeslat.export.blis_files import command_line, hardware_entry, model_config
from bayeslat.export.blis_model import (
    blis_model,
    cache_blocks,
    find_stack,
    model_knobs,
    peak_tflops,
)
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.fitting.constant_knobs import constant_knobs, constants_where
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.settings import group_settings
from bayeslat.inference.posteriors.thin_draws import DRAWS, thin_draws
from bayeslat.inference.rows.plan import plan_fit
from bayeslat.posterior import Posterior
from bayeslat.report.blis_tables import blis_record, show_blis
from tests.go_programs import go_test, needs_go
from tests.servers import MODEL_KNOBS, fitted_server, make_batches, make_trace

GPU = load_hardware().resolve("h100_sxm")
MODEL = "qwen3"


@lru_cache(maxsize=4)
def exported(draws: int = 3, version: str = "", model: str = MODEL, tp: int = 1) -> BlisExport:
    return make_blis(
        fitted_server().data, GPU, model, draws=draws, blis_version=version, tensor_parallel=tp
    )


def options_of(command: str) -> dict[str, str]:
    program, verb, *words = shlex.split(command)
    assert (program, verb) == ("blis", "run")
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blis") / "out"
    write_blis(exported(), path)
    return path


def formula_us(beta: list[float], batches: pd.DataFrame) -> np.ndarray:
    """The step time as BLIS's own notes write it, term by term, in us; of a dense model."""
    knobs = MODEL_KNOBS
    layers, d, heads = knobs["layers"], knobs["hidden"], knobs["heads"]
    d_head = d / heads
    d_kv, d_ff = knobs["kv_heads"] * d_head, knobs["intermediate"]
    peak, width = 989.5 * 1e6, 3.35 * 1e6
    assert GPU.bf16_tflops == pytest.approx(989.5, rel=0.01)
    peak = (GPU.bf16_tflops or 0) * 1e6
    width = GPU.mem_bw_GBps * 1e3
    tokens, context = batches["prefill_tokens"], batches["decode_context_tokens"]
    decode, attended = batches["decode_requests"], batches["prefill_attended_tokens"]

    def compute(t: pd.Series, attention: pd.Series) -> pd.Series:
        linear = 2 * layers * t * d * (2 * d + 2 * d_kv) + 6 * layers * t * d * d_ff
        return (linear + layers * 4 * heads * attention * d_head) / peak

    weights = 2 * layers * (d * (2 * d + 2 * d_kv) + 3 * d * d_ff) / width
    parts = {
        0: compute(tokens, attended),
        1: compute(decode, context),
        2: weights,
        4: layers,
        5: batches["prefill_requests"] + decode,
        6: 1.0,
        8: 4 * layers * d_kv * tokens / width,
        9: 4 * layers * d_kv * (context + decode) / width,
    }
    total = np.zeros(len(batches))
    for place, basis in parts.items():
        total = total + beta[place] * np.asarray(basis)
    return total


def test_the_exported_step_time_is_the_posterior_mean_within_one_percent(folder: Path) -> None:
    """A thousand random batches, by the formula that BLIS states."""
    content = yaml.safe_load((folder / "coefficients.yaml").read_text())
    beta = content["trained_physics_coefficients"]["beta_coeffs"]
    batches = make_batches(1000, seed=11)
    posterior = fitted_server()
    predicted = posterior.predict(batches, "h100_sxm", stack=f"vllm_1/{MODEL}", of="typical")
    mean_us = 1000.0 * predicted.typical("step").mean(axis=1)
    inside = ~predicted.stages["step"].excess.any(axis=1)  # beyond, predictions are widened
    assert inside.mean() > 0.95
    np.testing.assert_allclose(formula_us(beta, batches)[inside], mean_us[inside], rtol=0.01)
    assert exported().largest_departure < 0.01


def test_the_bases_are_those_of_the_notes() -> None:
    batches = make_batches(50, seed=3)
    bases = step_bases_us(exported().model, batches)
    ones = formula_us([1.0] * len(BASES), batches)
    np.testing.assert_allclose(bases.sum(axis=1), ones, rtol=1e-12)


def test_what_no_batch_tells_is_as_the_posterior_has_it() -> None:
    """On one GPU nothing is sent to others."""
    data = thin_draws(fitted_server().data, DRAWS)
    part, name = data.stages["step"], "tensor_parallel"
    term = list(data.spec.stages["step"].physics).index(name)
    group = [gpu for gpu, _ in data.groups].index(GPU.key)
    effects = part.effects[:, part.problem.tree.node_of(group)]
    slowdown = np.exp(part.shared_efficiency[term] + effects[:, term])
    found = exported().coefficients
    np.testing.assert_allclose(found.draws[:, BASES.index(name)], slowdown)
    assert found.mean[BASES.index(name)] == pytest.approx(slowdown.mean())


def test_each_draw_has_a_file_that_blis_reads_like_the_mean(folder: Path) -> None:
    files = sorted((folder / "draws").glob("*.yaml"))
    assert len(files) == 3
    for path in (*files, folder / "coefficients.yaml"):
        content = yaml.safe_load(path.read_text())
        # Any further key is fatal to BLIS.
        assert set(content) == {"version", "defaults", "trained_physics_coefficients"}
        assert set(content["defaults"]) == {MODEL}
        assert set(content["defaults"][MODEL]) == {"GPU", "tensor_parallelism", "hf_repo"}
        coefficients = content["trained_physics_coefficients"]
        assert set(coefficients) == {"alpha_coeffs", "beta_coeffs"}
        assert len(coefficients["alpha_coeffs"]) == 3
        assert len(coefficients["beta_coeffs"]) == 11
        values = np.array([*coefficients["alpha_coeffs"], *coefficients["beta_coeffs"]])
        assert np.isfinite(values).all()
        assert (values >= 0).all()


def test_the_draws_scatter_as_the_sidecar_says(folder: Path) -> None:
    told = json.loads((folder / "posterior.json").read_text())
    assert told["bases"] == list(told["beta_posterior"]) == list(BASES)
    spread = told["beta_posterior"]["weights"]
    draws = exported().coefficients.draws[:, BASES.index("weights")]
    assert spread["sd"] == pytest.approx(draws.std(ddof=1))
    assert spread["q05"] < spread["q50"] < spread["q95"]


def test_the_sidecar_says_how_far_the_step_times_are_off(folder: Path) -> None:
    told = json.loads((folder / "posterior.json").read_text())["departure_from_posterior_mean"]
    size = np.abs(exported().departure)
    assert told["batches"] == len(size)
    assert told["mean"] == pytest.approx(size.mean())
    assert told["largest"] == pytest.approx(exported().largest_departure)
    assert np.mean(size <= told["q95"]) == pytest.approx(0.95, abs=1.5 / len(size))


def test_the_hardware_is_the_data_sheet_in_units_of_blis(folder: Path) -> None:
    told = json.loads((folder / "hardware.json").read_text())["h100_sxm"]
    assert told["TFlopsPeak"] == GPU.bf16_tflops
    assert told["BwPeakTBs"] == pytest.approx(GPU.mem_bw_GBps / 1000)
    assert told["TFlopsFP8"] == GPU.fp8_tflops
    for name, basis in (("mfuPrefill", "prefill_compute"), ("mfuDecode", "weights")):
        slowdown = exported().coefficients.mean[BASES.index(basis)]
        assert slowdown > 1
        assert told[name] == pytest.approx(1 / slowdown)


def test_the_command_names_the_files(folder: Path) -> None:
    command = (folder / "command.txt").read_text()
    for word in ("--hardware h100_sxm", "--tp 1", "coefficients.yaml", "hardware.json", MODEL):
        assert word in command


def test_the_command_names_the_server_of_the_traces(folder: Path) -> None:
    """BLIS ends where it must compute the cache itself: the files name no vocabulary."""
    options = options_of((folder / "command.txt").read_text())
    assert options["--total-kv-blocks"] == "20000"
    assert options["--block-size-in-tokens"] == "16"
    assert options["--max-num-running-reqs"] == "128"
    assert options["--max-num-scheduled-tokens"] == "4096"
    assert options_of(command_line(exported(tp=2)))["--total-kv-blocks"] == "40000"
    unknown = replace(exported(), kv_blocks=0, knobs={})
    assert options_of(command_line(unknown))["--total-kv-blocks"] == "1000000"
    assert "--max-num-running-reqs" not in options_of(command_line(unknown))


def test_limits_that_the_command_leaves_to_blis_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of servers that differ in them: BLIS would simulate one without a queue."""
    show_blis(blis_record(exported(), tmp_path))
    assert "No one value" not in capsys.readouterr().out
    same = {**exported().knobs}
    del same["max_num_seqs"]
    record = blis_record(replace(exported(), knobs=same), tmp_path)
    assert record["options_left_out"] == {"--max-num-running-reqs": "max_num_seqs"}
    show_blis(record)
    told = " ".join(capsys.readouterr().out.split())
    assert "No one value of max_num_seqs in the traces: put --max-num-running-reqs in" in told


def test_the_command_of_old_versions_names_all_four_keys_of_the_model(tmp_path: Path) -> None:
    write_blis(exported(draws=0, version="v0.7.10"), tmp_path / "old")
    content = yaml.safe_load((tmp_path / "old" / "coefficients.yaml").read_text())
    (model,) = content["models"]
    options = options_of((tmp_path / "old" / "command.txt").read_text())
    assert options["--vllm-version"] == model["vllm_version"]
    assert options["--model"] == model["id"]
    assert options["--hardware"] == model["GPU"]
    assert options["--tp"] == str(model["tensor_parallelism"])


def test_a_model_of_any_name_is_one_word_of_the_command() -> None:
    odd = replace(exported(), model_name="Größe 7B; it's")
    assert options_of(command_line(odd))["--model"] == "größe 7b; it's"


@pytest.mark.parametrize(
    ("name", "width", "told"),
    [
        ("qwen3", 2.0, (2.0, 2.0)),
        ("qwen3", 4.0, (4.0, 4.0)),
        ("qwen3", 1.0, (2.0, 1.0)),
        ("qwen3", 0.5, (2.0, 0.5)),
        ("qwen3-FP8", 2.0, (2.0, 2.0)),
        ("qwen3.w4a16", 2.0, (2.0, 2.0)),
    ],
)
def test_blis_reads_the_width_of_weights_that_the_bases_have(
    name: str, width: float, told: tuple[float, float]
) -> None:
    """It knows few types by name, and takes a name like FP8 for one byte unless told more."""
    knobs = {**MODEL_KNOBS, "dtype_bytes": width}
    export = replace(exported(), model_name=name, model=blis_model(knobs, GPU, 1))
    config = model_config(export)
    values = {"float32": 4.0, "bfloat16": 2.0}[config["torch_dtype"]]
    named = {"qwen3-FP8": 1.0, "qwen3.w4a16": 0.5}.get(name, values)
    quantised = config.get("quantization_config")
    assert (values, named if quantised is None else quantised["bits"] / 8) == told
    assert export.model.activation_bytes == told[0]
    told_peaks = hardware_entry(export)["h100_sxm"]
    peak = told_peaks["TFlopsFP8"] if told[1] == 1.0 else told_peaks["TFlopsPeak"]
    assert export.model.tflops == peak


@pytest.mark.parametrize(("width", "bits"), [(0.515625, 4), (0.5625, 4), (1.03125, 8), (1.0, 8)])
def test_the_bases_of_quantised_weights_have_the_bits_that_blis_reads(
    width: float, bits: int
) -> None:
    model = blis_model({**MODEL_KNOBS, "dtype_bytes": 2.0, "weight_bytes": width}, GPU, 1)
    config = model_config(replace(exported(), model=model))
    assert config["torch_dtype"] == "bfloat16"
    assert config["quantization_config"]["bits"] == bits == 8 * model.weight_bytes
    assert model.tflops == (GPU.fp8_tflops if bits == 8 else GPU.bf16_tflops)


def test_blis_is_told_of_the_weights_of_experts() -> None:
    knobs = {**MODEL_KNOBS, "weight_bytes": 2.0, "expert_weight_bytes": 0.53125}
    experts = {"experts": 8, "experts_per_token": 2, "moe_intermediate": 768}
    assert blis_model({**knobs, **experts}, GPU, 1).weight_bytes == 0.5
    assert blis_model({**knobs, "experts": 0}, GPU, 1).weight_bytes == 2.0


def test_a_model_of_experts_alone_has_the_width_that_blis_wants() -> None:
    experts = {"experts": 8, "experts_per_token": 2, "moe_intermediate": 768, "intermediate": 0}
    model = replace(exported().model, **experts)
    config = model_config(replace(exported(), model=model))
    assert config["intermediate_size"] == config["moe_intermediate_size"] == 768


def test_experts_of_no_width_of_their_own_are_as_wide_as_the_model() -> None:
    sizes = {"layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 8, "dtype_bytes": 2}
    sizes |= {"intermediate": 14336, "experts": 8, "experts_per_token": 2}
    mixtral = blis_model({**sizes, "moe_intermediate": 14336}, GPU, 1)
    assert blis_model({**sizes, "moe_intermediate": 0}, GPU, 1) == mixtral
    assert blis_model(sizes, GPU, 1) == mixtral
    assert blis_model({**sizes, "experts": 0}, GPU, 1).moe_intermediate == 0


def test_heads_are_as_wide_as_blis_divides() -> None:
    odd = replace(exported().model, hidden=4110)  # 128 and a remainder
    even = replace(exported().model, hidden=4096)
    assert (odd.head_dim, odd.kv_dim) == (even.head_dim, even.kv_dim) == (128, 1024)


def test_values_of_four_bytes_are_sent_as_such() -> None:
    two = replace(exported().model, tensor_parallel=2)
    batches = make_batches(5, seed=5)
    link = BASES.index("tensor_parallel")
    sent = [
        step_bases_us(replace(two, weight_bytes=width), batches)[:, link] for width in (0.5, 2, 4)
    ]
    np.testing.assert_allclose(sent[0], sent[1])
    np.testing.assert_allclose(sent[2], 2 * sent[1])


def prompts_in_steps(count: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Batches with one prompt, cut or not; and what BLIS lets its tokens attend to."""
    rng = np.random.default_rng(seed)
    tokens = np.exp(rng.uniform(np.log(64), np.log(1000), count)).round()
    before = np.where(rng.random(count) < 0.5, 0.0, rng.integers(1, 500, count))
    batches = make_batches(count, seed).assign(
        prefill_requests=1.0,
        prefill_tokens=tokens,
        prefill_attended_tokens=tokens * (before + tokens / 2),
    )
    return batches, tokens * (before + tokens + tokens / 2)


def test_the_attention_of_a_prompt_is_counted_as_blis_does() -> None:
    batches, attended = prompts_in_steps(40, seed=2)
    counted = count_as_blis(batches)
    np.testing.assert_allclose(counted["prefill_attended_tokens"], attended)
    alone = batches.assign(prefill_requests=0.0, prefill_tokens=0.0, prefill_attended_tokens=0.0)
    assert (count_as_blis(alone)["prefill_attended_tokens"] == 0).all()


def test_what_blis_counts_beyond_the_posterior_is_told_and_can_be_fitted(tmp_path: Path) -> None:
    usual = exported()
    asked = make_blis(fitted_server().data, GPU, MODEL, draws=1, whole_prompts=True)
    assert usual.largest_departure < 0.01
    assert np.abs(usual.counted_departure).max() > 0.02
    np.testing.assert_allclose(asked.counted_departure, asked.departure)
    for found in (usual.coefficients, asked.coefficients):
        bases = step_bases_us(usual.model, found.batches)
        np.testing.assert_allclose(bases @ found.mean, found.dot_us)
    squares = [float((each.counted_departure**2).sum()) for each in (usual, asked)]
    assert squares[1] < 0.7 * squares[0]
    write_blis(asked, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "posterior.json").read_text())
    assert told["whole_prompts"] is True
    assert told["departure_by_the_count_of_blis"] == {
        name: pytest.approx(value)
        for name, value in told["departure_from_posterior_mean"].items()
        if name != "batches"
    }


def test_the_time_between_steps_is_added_to_each(tmp_path: Path) -> None:
    asked = make_blis(fitted_server().data, GPU, MODEL, draws=1, between_us=1500.0)
    usual = exported().coefficients
    np.testing.assert_allclose(asked.coefficients.predicted_us, usual.predicted_us + 1500.0)
    np.testing.assert_allclose(asked.coefficients.dot_us, usual.dot_us + 1500.0, rtol=0.01)
    write_blis(asked, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "posterior.json").read_text())
    assert told["between_steps_us"] == 1500.0


def test_the_time_between_steps_is_the_median_over_those_of_a_busy_server() -> None:
    between = np.array([1.0, 2.0, 9.0, np.nan, 5.0, -4.0])
    traces = pd.DataFrame(
        {
            "gpu": [GPU.key] * 4 + ["a30", GPU.key],
            "stack": ["v/m"] * 5 + ["v/other"],
            "t_step_ms": 20.0,
            "step_interval_ms": 20.0 + between,
        }
    )
    assert time_between_us(traces, GPU.key, "v/m") == pytest.approx(2000.0)
    assert time_between_us(traces, GPU.key, "v/other") == 0.0  # steps that overlap
    for lacking in (traces.drop(columns="step_interval_ms"), traces.drop(columns="stack")):
        with pytest.raises(InputError, match=r"no row of h100_sxm with stack 'v/m' has both"):
            time_between_us(lacking, GPU.key, "v/m")


def test_the_model_is_written_as_hugging_face_does(folder: Path) -> None:
    config = json.loads((folder / "model" / "config.json").read_text())
    assert config["hidden_size"] == MODEL_KNOBS["hidden"]
    assert config["num_hidden_layers"] == MODEL_KNOBS["layers"]
    assert config["torch_dtype"] == "bfloat16"
    assert "num_local_experts" not in config
    assert "quantization_config" not in config


@needs_go
@pytest.mark.parametrize(
    "changes", [{}, {"hidden": 4110, "weight_bytes": 4.0, "tensor_parallel": 2, "experts": 4}]
)
def test_go_computes_the_same_numbers(changes: dict[str, float], tmp_path: Path) -> None:
    experts = {"experts_per_token": 2, "moe_intermediate": 768}
    model = replace(exported().model, **experts, **changes)  # type: ignore[arg-type]
    write_blis(replace(exported(), model=model), tmp_path / "out")
    copy = tmp_path / "out" / "go"
    done = go_test(copy, tmp_path / "home")
    assert done.returncode == 0, done.stdout + done.stderr
    path = copy / "vectors.json"
    path.write_text(path.read_text().replace('"step_us": ', '"step_us": 1', 1))
    assert go_test(copy, tmp_path / "home").returncode != 0


def test_old_versions_get_the_blackbox_model(tmp_path: Path) -> None:
    write_blis(exported(draws=0, version="v0.7.10"), tmp_path / "old")
    content = yaml.safe_load((tmp_path / "old" / "coefficients.yaml").read_text())
    (model,) = content["models"]
    assert set(model) == {
        *("id", "GPU", "tensor_parallelism", "vllm_version"),
        *("alpha_coeffs", "beta_coeffs", "best_loss"),
    }
    assert len(model["beta_coeffs"]) == 3
    told = json.loads((tmp_path / "old" / "posterior.json").read_text())
    assert model["best_loss"] == pytest.approx(told["departure_from_posterior_mean"]["mean"])
    assert model["best_loss"] > 0
    assert told["bases"] == ["per_step", "per_prefill_token", "per_decode_token"]
    assert told["beta"] == model["beta_coeffs"]
    assert told["beta_posterior"] == {}  # of the coefficients of another backend
    assert "blackbox" in (tmp_path / "old" / "command.txt").read_text()
    assert not (tmp_path / "old" / "draws").exists()


def test_the_blackbox_model_finds_the_times_that_steps_are_made_of() -> None:
    batches = make_batches(40, seed=6)
    step_us = 500.0 + 3.0 * batches["prefill_tokens"] + 20.0 * batches["decode_requests"]
    found = fit_blackbox(batches, step_us.to_numpy())
    np.testing.assert_allclose(found, [500.0, 3.0, 20.0])
    np.testing.assert_allclose(blackbox_columns(batches) @ found, step_us)


def test_an_earlier_export_is_replaced_and_other_folders_are_not(tmp_path: Path) -> None:
    write_blis(exported(), tmp_path / "out")
    write_blis(exported(draws=1), tmp_path / "out")
    assert len(list((tmp_path / "out" / "draws").iterdir())) == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        write_blis(exported(), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


def test_tensor_parallelism_divides_the_work() -> None:
    one = exported().model
    two = BlisModel(**{**one.__dict__, "tensor_parallel": 2})
    batches = make_batches(20, seed=5)
    alone, shared = step_bases_us(one, batches), step_bases_us(two, batches)
    halved = [BASES.index(name) for name in ("prefill_compute", "weights", "decode_kv")]
    np.testing.assert_allclose(shared[:, halved], alone[:, halved] / 2)
    link = BASES.index("tensor_parallel")
    assert (alone[:, link] == 0).all()
    assert (shared[:, link] > 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "llama"}, "model 'llama' is in no group of the posterior; it has qwen3"),
        ({"tensor_parallel": 3}, "does not divide heads"),
        ({"tensor_parallel": 0}, "tp is 0"),
        ({"draws": -1}, "draws is -1"),
        ({"draws": 10**9}, "ask for fewer"),
        ({"alpha_us": (1.0, -2.0, 0.0)}, "alpha is"),
        ({"between_us": -1.0}, "between_us is -1"),
        ({"between_us": float("nan"), "draws": -1}, "draws is -1.*between_us is nan"),
        ({"blis_version": "seven"}, "blis version is 'seven'"),
        ({"blis_version": "v0.7.10", "whole_prompts": True}, "counts no attention of prompts"),
        ({"blis_version": "v0.7.10", "draws": 3, "tensor_parallel": 3}, "heads.*draws is 3"),
    ],
)
def test_what_blis_cannot_take_is_told(changes: dict[str, object], message: str) -> None:
    options = {"model": MODEL, **changes}
    model = str(options.pop("model"))
    with pytest.raises(InputError, match=message):
        make_blis(fitted_server().data, GPU, model, **options)  # type: ignore[arg-type]


def test_a_gpu_without_the_peak_is_told() -> None:
    bare = GPU.model_copy(update={"fp32_tflops": None})
    with pytest.raises(HardwareError, match="fp32_tflops"):
        peak_tflops(bare, weight_bytes=4)


def test_a_gpu_without_bf16_computes_16_bits_in_fp16() -> None:
    old = load_hardware().resolve("t4")
    assert old.bf16_tflops is None
    assert make_blis(fitted_server().data, old, MODEL).model.tflops == old.fp16_tflops == 65.0


def test_a_spec_of_another_kind_is_told(tmp_path: Path) -> None:
    from tests.posteriors import make_data

    with pytest.raises(InputError, match=r"no group|no stage"):
        make_blis(make_data(), GPU, MODEL)


def test_a_gpu_that_ran_another_model_only_is_exported_from_its_data_sheet() -> None:
    posterior: Posterior = fitted_server()
    other = load_hardware().resolve("b200_sxm")
    found = make_blis(posterior.data, other, MODEL)
    assert found.model.tflops == other.bf16_tflops
    assert found.largest_departure < 0.03
    assert found.kv_blocks == 0  # another GPU's cache is none of its own


def test_the_stack_of_a_model_is_that_of_the_gpu_if_it_has_one() -> None:
    groups = [("l4", "vllm_1/qwen3"), ("h100_sxm", "vllm_2/qwen3"), ("h100_sxm", "vllm_2/llama")]
    data = SimpleNamespace(groups=groups, targets={("l4", "vllm_3/llama"): None})
    for gpu, model, stack in (
        ("h100_sxm", "qwen3", "vllm_2/qwen3"),
        ("l4", "qwen3", "vllm_1/qwen3"),
        ("l4", "llama", "vllm_3/llama"),
        ("h100_sxm", "vllm_1/qwen3", "vllm_1/qwen3"),
    ):
        assert find_stack(data, load_hardware().resolve(gpu), model) == stack  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"under several stacks \(vllm_1/qwen3, vllm_2/qwen3\)"):
        find_stack(data, load_hardware().resolve("a40"), "qwen3")  # type: ignore[arg-type]


def test_what_a_gpus_own_rows_say_of_its_server_comes_first() -> None:
    """Another GPU that was calibrated has another cache, and one that varies is not known."""
    data = fitted_server().data
    other = pd.DataFrame([{**dict.fromkeys(data.spec.knobs, 1.0), "kv_blocks": 7000.0}])
    (stack,) = {stack for _, stack in data.groups}
    changed = replace(data, targets={("b200_sxm", stack): SimpleNamespace(rows=other)})  # type: ignore[dict-item]
    assert model_knobs(changed, GPU, stack, 1)["kv_blocks"] == 20000
    b200 = load_hardware().resolve("b200_sxm")
    assert model_knobs(changed, b200, stack, 1)["kv_blocks"] == 7000
    varied = pd.concat([other, other.assign(kv_blocks=8000.0)])
    changed = replace(data, targets={("b200_sxm", stack): SimpleNamespace(rows=varied)})  # type: ignore[dict-item]
    assert "kv_blocks" not in group_settings(changed, ("b200_sxm", stack))
    assert group_settings(changed, ("l4", stack)) == {}


SEQS = {1.0: 128.0, 2.0: 256.0, 4.0: 128.0}


def ran_at(blocks: dict[float, float], *, told: bool = True) -> PosteriorData:
    """A fit whose servers ran at several tensor parallelisms, and what it holds of them."""
    trace, data = make_trace(40), fitted_server().data
    parallel = pd.Series(np.resize(list(blocks), len(trace)))
    trace["tensor_parallel"], trace["kv_blocks"] = parallel, parallel.map(blocks)
    trace["max_num_seqs"] = parallel.map(SEQS)
    plan = plan_fit(data.spec, trace)
    assert plan.groups == data.groups
    known: dict[str, object] = {"constants": constant_knobs(plan)}
    known |= {"constants_where": constants_where(plan)} if told else {}
    return replace(data, attrs={**data.attrs, **known})


@pytest.mark.parametrize(
    ("blocks", "found"),
    [
        ({1.0: 20000.0, 2.0: 45000.0}, {1: 20000, 2: 45000, 4: 90000}),
        ({1.0: 20000.0, 2.0: 20000.0}, {1: 20000, 2: 20000, 4: 40000}),
        ({2.0: 45000.0, 4.0: 95000.0}, {1: 22500, 2: 45000, 4: 95000, 8: 190000}),
        ({2.0: 45000.0}, {1: 22500, 2: 45000, 4: 90000}),
    ],
)
def test_the_cache_is_that_of_the_tensor_parallelism(
    blocks: dict[float, float], found: dict[int, int]
) -> None:
    data = ran_at(blocks)
    (stack,) = {stack for _, stack in data.groups}
    assert {tp: cache_blocks(data, GPU, stack, tp) for tp in found} == found
    assert make_blis(data, GPU, MODEL, tensor_parallel=2).kv_blocks == found[2]


def test_limits_are_those_of_the_tensor_parallelism() -> None:
    data = ran_at({1.0: 20000.0, 2.0: 45000.0})
    (stack,) = {stack for _, stack in data.groups}
    for tp, seqs in ((1, 128.0), (2, 256.0)):
        assert model_knobs(data, GPU, stack, tp)["max_num_seqs"] == seqs
        options = options_of(command_line(make_blis(data, GPU, MODEL, tensor_parallel=tp)))
        assert options["--max-num-running-reqs"] == f"{seqs:.0f}"
    unknown = model_knobs(data, GPU, stack, 4)  # no row has it, and servers differ
    assert "max_num_seqs" not in unknown
    assert unknown["kv_block_tokens"] == 16


def test_settings_over_all_rows_do_not_tell_the_cache() -> None:
    """The broken twin: a fit that does not hold what stands still where."""
    data = ran_at({1.0: 20000.0, 2.0: 45000.0}, told=False)
    (stack,) = {stack for _, stack in data.groups}
    assert cache_blocks(data, GPU, stack, 2) == 0
    assert "max_num_seqs" not in model_knobs(data, GPU, stack, 2)


def test_another_gpus_limits_are_none_of_a_gpus_own_servers() -> None:
    """Of servers that differ in one, the command names none; another GPU's was taken."""
    data = ran_at({1.0: 20000.0, 2.0: 45000.0})
    (stack,) = {stack for _, stack in data.groups}
    row = pd.DataFrame([{**dict.fromkeys(data.spec.knobs, 1.0), "max_num_seqs": 99.0}])
    changed = replace(data, targets={("b200_sxm", stack): SimpleNamespace(rows=row)})  # type: ignore[dict-item]
    assert "max_num_seqs" not in model_knobs(changed, GPU, stack, 4)
    b200 = load_hardware().resolve("b200_sxm")
    assert model_knobs(changed, b200, stack, 4)["max_num_seqs"] == 99
