from __future__ import annotations

import enum
import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bayeslat.serving.server_row import server_row
from tests.serving import vllm_stats as vllm


def _row(config: Any) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(json.dumps(server_row(config, 2, "1a2b", 3), allow_nan=False))
    return row


def test_the_server_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0-2,5")
    monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))
    sys.modules["vllm"].__version__ = "0.32.0"  # type: ignore[attr-defined]
    row = _row(vllm.config())
    assert (row["kind"], row["schema"], row["run"], row["file"], row["engine"]) == (
        *("server", 1, "1a2b", 3),
        2,
    )
    assert row["software"]["vllm"] == "0.32.0"
    assert row["device"]["type"] == "cpu"
    assert row["device"]["threads"] == 4
    assert row["config"] == {
        "model": "models/tiny",
        "dtype": "float32",
        "max_model_len": 2048,
        "max_num_seqs": 8,
        "max_num_batched_tokens": 512,
        "chunked_prefill": True,
        "prefix_caching": False,
        "block_size_tokens": 128,
        "kv_blocks": 24,
        "tensor_parallel_size": 1,
        "iteration_details": True,
    }
    assert row["architecture"] == {"hidden_size": 256, "eps": 1e-6}


@pytest.mark.parametrize(
    ("bind", "threads"),
    [("0", 1), ("0-31|32-63", 32), ("0-3,8", 5), ("auto", None), ("nobind", None), ("", None)],
)
def test_threads_are_counted_where_cores_are_listed(
    monkeypatch: pytest.MonkeyPatch, bind: str, threads: int | None
) -> None:
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", bind)
    assert _row(vllm.config())["device"].get("threads") == threads


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [("model name\t: AMD EPYC 7763\n", "AMD EPYC 7763"), ("CPU part\t: 0xd4f\n", "aarch64")],
)
def test_a_cpu_that_tells_no_model_is_named_by_its_architecture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cpuinfo: str, name: str
) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo, encoding="utf-8")
    monkeypatch.setattr("bayeslat.serving.server_row._CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.processor", lambda: "aarch64")
    assert _row(vllm.config())["device"]["name"] == name


def _on_gpu(monkeypatch: pytest.MonkeyPatch, platform: object) -> dict[str, Any]:
    platforms = ModuleType("vllm.platforms")
    platforms.current_platform = platform  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)
    config = vllm.config()
    config.device_config.device_type = "cuda"
    device: dict[str, Any] = _row(config)["device"]
    return device


class NonNvmlCudaPlatform:
    def get_device_name(self) -> str:
        raise AssertionError("asking takes memory of the GPU")


class NvmlCudaPlatform:
    def get_device_name(self) -> str:
        return "NVIDIA A100-SXM4-80GB"

    def get_device_capability(self) -> object:
        return SimpleNamespace(major=8, minor=0)


class FailingNvmlPlatform(NvmlCudaPlatform):
    def get_device_capability(self) -> object:
        raise RuntimeError("the driver went away")


FailingNvmlPlatform.__name__ = "NvmlCudaPlatform"


def test_what_an_nvidia_gpu_can_do_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"type": "cuda", "name": "NVIDIA A100-SXM4-80GB"}
    assert _on_gpu(monkeypatch, NvmlCudaPlatform()) == {**named, "capability": 80}
    assert _on_gpu(monkeypatch, FailingNvmlPlatform()) == named


def test_a_gpu_is_named_by_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    named = SimpleNamespace(get_device_name=lambda: "NVIDIA H100 80GB HBM3")
    assert _on_gpu(monkeypatch, named) == {"type": "cuda", "name": "NVIDIA H100 80GB HBM3"}
    assert _on_gpu(monkeypatch, SimpleNamespace()) == {"type": "cuda"}
    assert _on_gpu(monkeypatch, NonNvmlCudaPlatform()) == {"type": "cuda"}


def test_settings_of_any_type_are_told_as_json_has_them() -> None:
    config = vllm.config()
    config.parallel_config.distributed_executor_backend = object
    config.compilation_config = SimpleNamespace(
        cudagraph_mode=enum.Enum("Mode", "FULL PIECEWISE").FULL  # type: ignore[attr-defined]
    )
    config.model_config.served_model_name = ["a", "b"]
    config.cache_config.block_size = float("inf")
    told = _row(config)["config"]
    assert told["cudagraph_mode"] == "FULL"
    assert told["served_model_name"] == ["a", "b"]
    assert told["block_size_tokens"] == "inf"


def test_of_an_architecture_all_is_told_that_json_can_hold() -> None:
    entries = {
        "hidden_size": np.int64(64),
        "eps": np.float32(0.5),
        "tied": np.bool_(True),
        "layer_types": ["full_attention", "linear_attention"],
        "intermediate_size": (np.int32(7), 7),
        "quantization_config": {"bits": 4, "deep": {"a": 1}, "modules": ["lm_head"], "none": None},
        3: "three",
        "none": None,
        "nan": float("nan"),
        "infinite": np.float64("inf"),
        "list_with_none": [1, None],
        "empty": [],
        "no_part": {},
        "array": np.arange(3),
        "dtype": object(),
        "tokens": list(range(100_000)),
        "labels": {str(each): each for each in range(100_000)},
    }
    config = vllm.config()
    config.model_config.hf_text_config = SimpleNamespace(to_dict=lambda: entries)
    assert _row(config)["architecture"] == {
        "hidden_size": 64,
        "eps": 0.5,
        "tied": True,
        "layer_types": ["full_attention", "linear_attention"],
        "intermediate_size": [7, 7],
        "quantization_config": {"bits": 4, "modules": ["lm_head"]},
        "3": "three",
    }


@pytest.mark.parametrize("answer", [None, 3, [1], "text"])
def test_an_architecture_that_cannot_be_read_is_empty(answer: object) -> None:
    config = vllm.config()
    config.model_config.hf_text_config = SimpleNamespace(to_dict=lambda: answer)
    assert _row(config)["architecture"] == {}


@pytest.mark.parametrize("config", [None, object(), SimpleNamespace(model_config=None)])
def test_a_server_that_tells_nothing_has_a_row_too(config: Any) -> None:
    row = _row(config)
    assert row["config"] == {}
    assert row["device"]["type"] == "unknown"


def test_front_ends_of_a_server_say_which_belong_together() -> None:
    config = vllm.config()
    config.parallel_config._api_process_count = 2
    config.parallel_config._api_process_rank = 1
    row = _row(config)
    assert (row["config"]["front_ends"], row["config"]["front_end"]) == (2, 1)
    assert row["launch"].split(".")[0] == str(os.getppid())
    assert row["launch"] == _row(config)["launch"]
