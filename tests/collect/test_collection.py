from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bayeslat.collect.collection import Plan, collect, visits
from bayeslat.collect.knobs import Knobs
from bayeslat.errors import InputError
from bayeslat.traces import check_frame


@pytest.fixture
def plan(config_path: Path, crop_pixels: int, knobs: Knobs) -> Plan:
    return Plan(
        device_key="epyc_1t_fp32",
        config_path=config_path,
        design=(knobs, replace(knobs, top_k=1), replace(knobs, batch_size=1)),
        repeats=2,
        crop_pixels=crop_pixels,
    )


def test_every_repeat_visits_all_configurations_in_an_order_of_its_own() -> None:
    order = visits(configs=20, repeats=3, seed=0)
    rounds = [order[start : start + 20] for start in (0, 20, 40)]
    for repeat, visited in enumerate(rounds):
        assert sorted(visited) == [(config_id, repeat) for config_id in range(20)]
    assert len({tuple(config_id for config_id, _ in visited) for visited in rounds}) == 3
    assert order == visits(configs=20, repeats=3, seed=0)
    assert order != visits(configs=20, repeats=3, seed=1)


def test_rows_make_a_valid_trace(transformers: Any, plan: Plan) -> None:
    frame = pd.DataFrame(list(collect(plan)))
    assert check_frame(frame) == ()
    assert len(frame) == 6
    assert set(frame["gpu"]) == {"epyc_1t_fp32"}
    assert set(frame["stack"]) == {f"transformers_{transformers.__version__}"}
    assert set(frame["dtype_bytes"]) == {4}
    assert (frame["vision_tokens"] == 4 * frame["image_crops"]).all()
    batch_sizes = frame.sort_values(["config_id", "repeat"])["batch_size"]
    assert batch_sizes.tolist() == [2, 2, 2, 2, 1, 1]


def test_measurements_that_are_done_are_left_out(transformers: Any, plan: Plan) -> None:
    done = {(0, 0), (2, 1)}
    rows = list(collect(plan, done))
    left = {(row["config_id"], row["repeat"]) for row in rows}
    assert left == {(0, 1), (1, 0), (1, 1), (2, 0)}
    assert len(rows) == 4


def test_nothing_is_measured_when_one_configuration_is_impossible(plan: Plan, knobs: Knobs) -> None:
    broken = replace(plan, design=(knobs, replace(knobs, top_k=9)))
    with pytest.raises(InputError, match="top_k = 9"):
        next(collect(broken))
