"""The measured traces in `traces/`: what the README and the demo rely on."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from bayeslat.collect.knobs import Knobs
from bayeslat.traces import provenances, read_traces

ROOT = Path(__file__).resolve().parents[2]
DEVICES = ("epyc_1t_fp32", "epyc_1t_bf16", "epyc_2t_fp32", "epyc_2t_bf16")
KNOBS = [knob.name for knob in fields(Knobs)]


@pytest.fixture(scope="module")
def traces() -> dict[str, pd.DataFrame]:
    return {key: read_traces(ROOT / "traces" / f"{key}.parquet") for key in DEVICES}


@pytest.mark.parametrize("key", DEVICES)
def test_each_device_was_measured_whole(traces: dict[str, pd.DataFrame], key: str) -> None:
    frame = traces[key]
    assert set(frame["gpu"]) == {key}
    repeats = {tuple(sorted(group)) for _, group in frame.groupby("config_id")["repeat"]}
    assert len(repeats) == 1
    assert len(repeats.pop()) >= 2
    (origin,) = provenances(frame)
    assert origin is not None
    assert origin.source == "measured"
    assert isinstance(origin.gpu, dict)
    assert f"{origin.gpu['threads']}t" in key
    assert {"float32": "fp32", "bfloat16": "bf16"}[str(origin.gpu["dtype"])] in key


def test_all_devices_measured_the_same_configurations(traces: dict[str, pd.DataFrame]) -> None:
    designs = [
        frame.drop_duplicates("config_id").sort_values("config_id")[["config_id", *KNOBS]]
        for frame in traces.values()
    ]
    for design in designs[1:]:
        pd.testing.assert_frame_equal(
            design.reset_index(drop=True), designs[0].reset_index(drop=True)
        )


@pytest.mark.parametrize("key", DEVICES)
def test_stages_add_up_to_the_request(traces: dict[str, pd.DataFrame], key: str) -> None:
    frame = traces[key]
    parts = ["t_vision_encoder_ms", "t_projector_ms", "t_llm_prefill_ms"]
    steps = frame["output_tokens"] - 1
    total = frame[parts].sum(axis=1) + steps * frame["t_llm_decode_per_token_ms"]
    ratio = total / frame["end_to_end_ms"]
    assert ratio.max() < 1.0
    assert ratio.median() > 0.97
    assert ratio.min() > 0.9
