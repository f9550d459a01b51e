from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from bayeslat.collect.knobs import Knobs
from bayeslat.collect.schedule import Visit
from bayeslat.errors import InputError
from bayeslat.traces import check_frame


@pytest.fixture
def configs(knobs: Knobs) -> dict[int, Knobs]:
    return {0: knobs, 1: replace(knobs, top_k=1), 2: replace(knobs, batch_size=1, task="qa")}


def collected(vlm: Any, configs: dict[int, Knobs], visits: list[Visit]) -> list[dict[str, Any]]:
    from bayeslat.collect.collection import collect
    from bayeslat.collect.telemetry import open_telemetry

    return list(collect(lambda _: vlm, configs, visits, open_telemetry("cpu"), seed=0))


def test_rows_make_a_valid_trace(transformers: Any, vlm: Any, configs: dict[int, Knobs]) -> None:
    visits = [Visit(0, 0), Visit(1, 0), Visit(2, 0), Visit(1)]
    rows = collected(vlm, configs, visits)
    frame = pd.DataFrame(rows).assign(gpu="epyc_1t_fp32", repeat=[0, 0, 0, 1])
    assert check_frame(frame) == ()
    assert frame["config_id"].tolist() == [0, 1, 2, 1]
    assert frame["reference"].tolist() == [False, False, False, True]
    assert rows[3]["repeat"] is None
    assert set(frame["stack"]) == {f"transformers_{transformers.__version__}"}
    assert set(frame["dtype_bytes"]) == {4}
    assert set(frame["vision_tokens"]) == {8}
    assert set(frame["outcome"]) == {"measured"}
    assert frame["batch_size"].tolist() == [2, 2, 1, 2]
    assert frame["task"].tolist()[2] == "qa"
    stages = [name for name in map(str, frame) if name.startswith("t_")]
    once = frame[stages].sum(axis=1) - frame["t_llm_decode_per_token_ms"]
    total = once + (frame["output_tokens"] - 1) * frame["t_llm_decode_per_token_ms"]
    assert frame["stage_sum_ms"].tolist() == pytest.approx(total.tolist())


def test_experts_are_counted_once_a_configuration(vlm: Any, configs: dict[int, Knobs]) -> None:
    first, again, other = collected(vlm, configs, [Visit(0, 0), Visit(0, 1), Visit(1, 0)])
    assert first["routed_experts_decode"] == again["routed_experts_decode"] >= 3
    assert 1 <= other["routed_experts_decode"] <= 2  # two sequences, an expert each


def test_out_of_memory_is_a_row_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, vlm: Any, configs: dict[int, Knobs]
) -> None:
    from bayeslat.collect import collection
    from bayeslat.collect.measure import measure as real

    def measure(vlm: Any, request: Any) -> Any:
        if request.batch_size == 1:
            raise MemoryError
        return real(vlm, request)

    monkeypatch.setattr(collection, "measure", measure)
    rows = collected(vlm, configs, [Visit(2, 0), Visit(0, 0), Visit(2, 1), Visit(1, 0)])
    assert [(row["config_id"], row["outcome"]) for row in rows] == [
        (2, "out_of_memory"),
        (0, "measured"),
        (1, "measured"),
    ]
    frame = pd.DataFrame(rows).assign(gpu="epyc_1t_fp32")
    assert check_frame(frame) == ()
    assert frame["t_llm_prefill_ms"].isna().tolist() == [True, False, False]


def test_another_error_names_the_configuration(
    monkeypatch: pytest.MonkeyPatch, vlm: Any, configs: dict[int, Knobs]
) -> None:
    from bayeslat.collect import collection

    def measure(*_: Any) -> Any:
        raise RuntimeError("CUDA error: invalid argument\nCUDA kernel errors might be late")

    monkeypatch.setattr(collection, "measure", measure)
    told = r"config 1 \(image_crops=2, .*top_k=1.*RuntimeError: CUDA error: invalid argument\)\. "
    with pytest.raises(InputError, match=told) as caught:
        collected(vlm, configs, [Visit(1, 0)])
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_second_dtype_that_does_not_fit_beside_the_first_is_told_so(
    vlm: Any, knobs: Knobs
) -> None:
    from bayeslat.collect.collection import collect
    from bayeslat.collect.telemetry import open_telemetry

    asked: list[str] = []

    def load(dtype: str) -> Any:
        asked.append(dtype)
        if dtype == "float16":
            raise InputError("does not fit")
        return vlm

    configs = {0: knobs, 1: replace(knobs, dtype="float16")}
    visits = [Visit(0, 0), Visit(0, 1), Visit(1, 0)]
    rows = collect(load, configs, visits, open_telemetry("cpu"), seed=0)
    assert [next(rows)["repeat"] for _ in range(2)] == [0, 1]
    with pytest.raises(InputError, match=r"does not fit\. It is loaded in float32 too: .*--dtype"):
        next(rows)
    assert asked == ["float32", "float16"]
    with pytest.raises(InputError, match=r"does not fit$"):
        next(collect(load, configs, visits[2:], open_telemetry("cpu"), seed=0))
