"""The traces of the repository are what their README says."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayeslat as bl
from bayeslat.collect.summary import summarise
from bayeslat.traces import provenances, read_traces

ROOT = Path(__file__).resolve().parents[2]
DEVICES = ("milan_1t_fp32", "milan_1t_bf16", "milan_2t_fp32", "milan_2t_bf16")
KNOBS = [
    *("image_crops", "image_pixels", "prompt_tokens", "output_tokens"),
    *("top_k", "active_blocks", "batch_size"),
]
CONFIGS, REPEATS = 150, 3

# What each stage's work grows with, if all of the others stay or grow too.
WORK = {
    "t_vision_encoder_ms": ("image_crops", "image_pixels", "batch_size"),
    "t_projector_ms": ("image_crops", "image_pixels", "batch_size"),
    "t_llm_prefill_ms": ("context", "top_k", "active_blocks", "batch_size"),
    "t_llm_decode_per_token_ms": ("context", "top_k", "active_blocks", "batch_size"),
}


@pytest.fixture(scope="module")
def traces() -> dict[str, pd.DataFrame]:
    return {key: read_traces(ROOT / "traces" / f"{key}.parquet") for key in DEVICES}


@pytest.mark.parametrize("key", DEVICES)
def test_every_configuration_is_measured_three_times(
    traces: dict[str, pd.DataFrame], key: str
) -> None:
    frame = traces[key]
    own = frame[~frame["reference"]]
    assert set(frame["gpu"]) == {key}
    assert own.groupby("config_id").size().tolist() == [REPEATS] * CONFIGS
    assert set(frame["outcome"]) == {"measured"}
    assert bl.load_hardware().find(key) is not None


@pytest.mark.parametrize("key", DEVICES)
def test_the_origin_is_told(traces: dict[str, pd.DataFrame], key: str) -> None:
    origin = provenances(traces[key])[0]
    assert origin is not None
    assert origin.source == "measured"
    assert isinstance(origin.gpu, dict)
    assert origin.gpu["threads"] == int(key.split("_")[1][0])
    assert str(origin.gpu["dtype"])[0] == key.split("_")[2][0]
    assert origin.model_dump()["reference_drift"] is not None


def test_all_devices_measured_the_same_configurations(traces: dict[str, pd.DataFrame]) -> None:
    designs = [
        frame.drop_duplicates("config_id").set_index("config_id").sort_index()[KNOBS]
        for frame in traces.values()
    ]
    for design in designs[1:]:
        pd.testing.assert_frame_equal(design, designs[0])


@pytest.mark.parametrize("key", DEVICES)
def test_stages_add_up_to_the_request(traces: dict[str, pd.DataFrame], key: str) -> None:
    (summary,) = summarise(traces[key])
    assert summary.adds_up


@pytest.mark.parametrize("key", DEVICES)
@pytest.mark.parametrize("column", WORK)
def test_more_work_is_never_faster_beyond_the_noise(
    traces: dict[str, pd.DataFrame], key: str, column: str
) -> None:
    less, more, logs, error = dominating_pairs(traces[key], column)
    assert len(less) > 100
    faster = logs[less] - logs[more]
    # Some thousand pairs: five standard errors of a difference of two medians.
    assert faster.max() <= 5 * error


@pytest.mark.parametrize("column", WORK)
def test_the_twin_whose_times_are_shuffled_is_not_monotone(
    traces: dict[str, pd.DataFrame], column: str
) -> None:
    frame = traces["milan_1t_fp32"].copy()
    ids = np.unique(frame["config_id"])
    other = dict(zip(ids, np.random.default_rng(0).permutation(ids), strict=True))
    median = frame.groupby("config_id")[column].median()
    frame[column] = frame[column] / frame["config_id"].map(median)
    frame[column] *= frame["config_id"].map(other).map(median)
    less, more, logs, error = dominating_pairs(frame, column)
    assert (logs[less] - logs[more]).max() > 5 * error


def dominating_pairs(
    frame: pd.DataFrame, column: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return pairs of configurations, one with at least the other's work in every respect.

    Returns
    -------
    less, more : ndarray of int, dim (pair,)
        Positions in `logs`.
    logs : ndarray of float, dim (config,)
        Median log latency.
    error : float
        Standard error of the difference of two medians, from the scatter of repeats.
    """
    frame = frame.assign(context=frame["vision_tokens"] + frame["prompt_tokens"])
    log = np.log(frame[column])
    by_config = log.groupby(frame["config_id"])
    logs = by_config.median()
    scatter = np.sqrt((by_config.var() * (by_config.count() - 1)).sum() / len(frame))
    work = frame.drop_duplicates("config_id").set_index("config_id")[list(WORK[column])]
    values = work.loc[logs.index].to_numpy()
    pairs = [
        (first, second)
        for first, second in itertools.permutations(range(len(values)), 2)
        if (values[second] >= values[first]).all() and (values[second] > values[first]).any()
    ]
    less, more = np.array(pairs).T
    # The median of three has 1.35 times the variance of their mean (Gaussian).
    return less, more, logs.to_numpy(), float(scatter * np.sqrt(2 * 1.35 / REPEATS))
