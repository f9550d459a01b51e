from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeslat.traces import check_frame, read_traces, stage_columns
from bayeslat.traces.violations import TABLE


def test_stage_columns_are_found_by_name() -> None:
    names = [
        "t_a_ms",
        "gpu",
        "t_b2_c_ms",
        "t__ms",
        "t_ms",
        "t_a_us",
        "xt_a_ms",
        "true_a_ms",
        "t_é_ms",
    ]
    assert stage_columns(pd.DataFrame(columns=names)) == ("t_a_ms", "t_b2_c_ms")


def test_reference_data_is_valid_and_unchanged(shared_data: Path) -> None:
    path = shared_data / "vlm_stages.parquet"
    frame = read_traces(path)
    pd.testing.assert_frame_equal(frame, pd.read_parquet(path))
    assert len(stage_columns(frame)) == 4


def test_reference_data_without_stage_columns_says_how_to_name_them(shared_data: Path) -> None:
    (violation,) = check_frame(read_traces(shared_data / "vidur_mlp.parquet", check=False))
    assert "'t_input_layernorm_ms'" in violation.message


def test_check_changes_nothing(trace: pd.DataFrame) -> None:
    trace.loc[2, "t_prefill_ms"] = -1.0
    before = trace.copy()
    assert len(check_frame(trace)) == 1
    pd.testing.assert_frame_equal(trace, before)


@pytest.mark.parametrize(
    "convert",
    [
        lambda frame: frame,
        lambda frame: frame.astype({"gpu": "category", "stack": "category"}),
        lambda frame: frame.astype({"gpu": object, "t_prefill_ms": object}),
        lambda frame: frame.convert_dtypes(),
        lambda frame: frame.astype({"t_prefill_ms": "float32", "config_id": "uint8"}),
        lambda frame: frame.set_axis(list("abcabc"), axis="index"),
        lambda frame: frame.assign(nested=[[1], [2]] * 3).drop(columns="config_id"),
        lambda frame: frame.assign(repeat=[0, None, 1, 0, 0, 0]),
    ],
)
def test_valid_in_every_storage(trace: pd.DataFrame, convert: object) -> None:
    assert callable(convert)
    assert check_frame(convert(trace)) == ()


def test_stages_of_one_config_in_several_rows(trace: pd.DataFrame) -> None:
    first = trace.assign(t_decode_ms=np.nan)
    second = trace.assign(t_prefill_ms=np.nan).dropna(subset="t_decode_ms")
    split = pd.concat([first, second], ignore_index=True)
    assert check_frame(split) == ()
    (violation,) = check_frame(pd.concat([split, second], ignore_index=True))
    assert violation.rows == (12, 13, 14, 15, 16)
    assert violation.found[0] == f"row 12 repeats row 7 of {TABLE}"


def test_repeats_are_told_apart_by_their_number(trace: pd.DataFrame) -> None:
    both = [trace.assign(repeat=0), trace.assign(repeat=1)]
    assert check_frame(pd.concat(both, ignore_index=True)) == ()
    alone = pd.concat([trace, trace], ignore_index=True)
    (violation,) = check_frame(alone)
    assert violation.rows == tuple(range(7, 13))
    later = pd.concat([trace.assign(collected_at="1"), trace.assign(collected_at="2")])
    assert [item.rows for item in check_frame(later)] == [violation.rows]


MONDAY, TUESDAY = "2026-01-05T12:00:00.250Z", "2026-01-06T12:00:00Z"


def two_days(trace: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return what two boards of a kind told of the same configurations, of a day each."""
    numbered = trace.assign(repeat=0)
    slower = {name: 1.01 * trace[name] for name in stage_columns(trace)}
    return {
        "monday": numbered.assign(collected_at=MONDAY),
        "tuesday": numbered.assign(collected_at=TUESDAY, **slower),
    }


def faults(tmp_path: Path, *frames: pd.DataFrame) -> list[tuple[str, tuple[int, ...]]]:
    """Read frames from files, and return the rows at fault."""
    paths = [tmp_path / f"{number}.parquet" for number in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        frame.to_parquet(path)
    found = check_frame(read_traces(*paths, check=False))
    return [(Path(item.file).name, item.rows) for item in found]


def test_each_file_numbers_its_own_repeats(trace: pd.DataFrame, tmp_path: Path) -> None:
    days, rows = two_days(trace), tuple(range(1, 7))
    assert faults(tmp_path, *days.values()) == []
    assert faults(tmp_path, *days.values(), days["monday"]) == [("2.parquet", rows)]
    doubled = pd.concat(days.values()).sort_values("config_id", kind="stable")
    assert faults(tmp_path, doubled) == [("0.parquet", (3, 4, 7, 8, 11, 12))]
    untimed = days["monday"].assign(collected_at=None)
    assert faults(tmp_path, days["tuesday"], untimed) == [("1.parquet", rows)]


@pytest.mark.parametrize("bare", ["repeat", "collected_at"])
def test_a_file_that_tells_less_says_nothing_of_others(
    trace: pd.DataFrame, tmp_path: Path, bare: str
) -> None:
    days = two_days(trace)
    third = days["monday"].head(3).assign(gpu="t4").drop(columns=bare)
    assert faults(tmp_path, *days.values(), third) == []


@pytest.mark.parametrize(
    "again",
    ["2026-01-05 12:00:00.250+00:00", "2026-01-05T13:00:00.250+01:00", "2026-01-05", "1767614400"],
)
def test_a_copy_is_one_however_its_times_are_written(
    trace: pd.DataFrame, tmp_path: Path, again: str
) -> None:
    monday = two_days(trace)["monday"]
    copy = monday.assign(collected_at=again)
    assert faults(tmp_path, monday, copy) == [("1.parquet", tuple(range(1, 7)))]


def test_rows_without_config_id_are_compared_by_their_knobs(trace: pd.DataFrame) -> None:
    trace["config_id"] = [0.0, np.nan, np.nan, 0.0, 1.0, 2.0]
    assert check_frame(trace) == ()
    trace["batch_size"] = 2
    (violation,) = check_frame(trace)
    assert violation.rows == (3,)
    assert violation.message.startswith("the same config as another row")


def test_violations_come_in_the_order_of_rows(trace: pd.DataFrame) -> None:
    trace.loc[4, "t_prefill_ms"] = 0.0
    trace.loc[1, "t_decode_ms"] = -1.0
    trace.loc[2, "gpu"] = ""
    assert [violation.row for violation in check_frame(trace)] == [2, 3, 5]


def test_names_that_cannot_be_told_apart_are_reported_alone(trace: pd.DataFrame) -> None:
    twice = pd.concat([trace, trace[["gpu"]] * 2], axis="columns")
    (violation,) = check_frame(twice)
    assert (violation.column, violation.rows) == ("gpu", ())
    numbered = trace.rename(columns={"batch_size": 7})
    (violation,) = check_frame(numbered)
    assert violation.column == "7"


def test_empty_frame(trace: pd.DataFrame) -> None:
    for frame in (pd.DataFrame(), trace.head(0)):
        (violation,) = check_frame(frame)
        assert (violation.file, violation.rows) == (TABLE, ())
        assert "no rows" in violation.message


def _many(n_rows: int) -> pd.DataFrame:
    """Return a long valid trace."""
    rng = np.random.default_rng(0)
    gpus = pd.Series(["h100_sxm", "l40s"], dtype="str")
    knobs = {f"knob_{index}": rng.integers(0, 100, n_rows) for index in range(8)}
    stages = {f"t_stage_{index}_ms": rng.random(n_rows) + 0.1 for index in range(4)}
    columns = {"gpu": gpus.iloc[rng.integers(0, 2, n_rows)].array, "config_id": np.arange(n_rows)}
    return pd.DataFrame(columns | knobs | stages)


def test_checking_is_vectorised() -> None:
    # A loop over the rows in Python takes several times longer than this, also on a slow machine.
    frame = _many(200_000)
    times = []
    for _ in range(3):
        start = time.process_time()
        assert check_frame(frame) == ()
        times.append(time.process_time() - start)
    assert min(times) < 1.0


def test_a_row_without_latencies_says_why_by_its_outcome() -> None:
    frame = pd.DataFrame({"gpu": "l4", "t_a_ms": [1.0, *[np.nan] * 3]})
    frame["outcome"] = ["measured", "measured", "out of memory", None]
    found = check_frame(frame)
    assert [violation.rows for violation in found] == [(2, 4)]
    assert "a row must hold a latency" in found[0].message
