from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeslat.collect.drift import reference_drift
from bayeslat.collect.summary import check_collected, stage_sum_ratio, summarise, summarise_stages
from bayeslat.errors import InputError
from bayeslat.report.collection_tables import show_collections
from bayeslat.traces import read_traces, write_traces


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "gpu": ["a", "a", "a", "a", "b"],
            "config_id": [0, 0, 1, 0, 0],
            "repeat": [0, 1, 0, 2, 0],
            "reference": [False, False, False, True, False],
            "collected_at": "2026-01-31T12:00:00Z",
            "outcome": ["measured", "measured", "out_of_memory", "measured", "measured"],
            "steady": [True, False, False, True, True],
            "shared": [True, False, False, True, False],
            "t_llm_prefill_ms": [9.0, 11.0, np.nan, 100.0, 4.0],
            "stage_sum_ms": [19.0, 22.0, np.nan, 110.0, 6.0],
            "end_to_end_ms": [20.0, 20.0, np.nan, 110.0, 5.0],
        }
    )


def test_the_ratio_is_of_the_stages_to_the_whole(frame: pd.DataFrame) -> None:
    expected = [0.95, 1.1, np.nan, 1.0, 1.2]
    assert stage_sum_ratio(frame).tolist() == pytest.approx(expected, nan_ok=True)


def test_spread_is_that_of_repeats_without_the_reference(frame: pd.DataFrame) -> None:
    stages = summarise_stages(frame[frame["gpu"] == "a"]).set_index("stage")
    # By hand: the repeats 9 and 11 of config 0 around their median 10.
    assert stages.loc["llm_prefill", "spread"] == pytest.approx(0.2)
    assert stages.loc["llm_prefill", "q50_ms"] == 11.0
    assert stages.loc["total", "q50_ms"] == 22.0


def test_each_device_is_summarised(frame: pd.DataFrame) -> None:
    first, second = summarise(frame)
    assert (first.gpu, first.configs, first.rows, first.out_of_memory) == ("a", 2, 4, 1)
    assert (first.unsteady, first.shared, first.throttled) == (1, 2, 0)
    assert first.sum_ratio[1] == pytest.approx(1.0)
    assert first.adds_up
    assert [finding[:2] for finding in first.findings] == ["1 ", "1 ", "2 "]
    assert second.sum_ratio[1] == pytest.approx(1.2)
    assert not second.adds_up
    assert "sum to 1.200" in second.findings[0]


def test_flags_of_a_csv_with_an_empty_cell_are_what_they_say(frame: pd.DataFrame) -> None:
    flags = ["reference", "steady", "shared"]
    for kind in (str, int, float):
        told = summarise(frame.assign(**frame[flags].astype(kind)))
        pd.testing.assert_frame_equal(
            pd.DataFrame([each.record() for each in told]),
            pd.DataFrame([each.record() for each in summarise(frame)]),
        )
    shared = pd.Series(["False", None, "False", "False", "False"], dtype=object)
    (first, _) = summarise(frame.assign(shared=shared))
    assert first.shared == 0


@pytest.mark.parametrize("moment", [None, "yesterday", "2026-01-31T12:00Z"])
def test_a_drift_is_of_the_times_that_are_known(moment: str | None) -> None:
    hours = [f"2026-01-31T{hour:02}:00:00.123Z" for hour in range(6)]
    rows = pd.DataFrame({"reference": True, "stage_sum_ms": 10.0, "collected_at": hours})
    rows.loc[2, "collected_at"] = moment
    drift = reference_drift(rows)
    assert drift is not None
    assert drift.measurements == (6 if moment and moment[0].isdigit() else 5)
    assert reference_drift(rows.drop(columns="collected_at")) is None


def test_two_versions_of_the_software_are_two_collections(frame: pd.DataFrame) -> None:
    # Each counts its configurations from 0: a config_id of one says nothing about the other's.
    one = frame[frame["gpu"] == "a"]
    both = pd.concat([one.assign(stack="x_1"), one.assign(stack="x_2", t_llm_prefill_ms=1e6)])
    first, second = summarise(both)
    assert (first.gpu, first.stack, first.rows, first.configs) == ("a", "x_1", 4, 2)
    assert first.stages.equals(summarise(one)[0].stages)
    assert (second.stack, summarise(one)[0].stack) == ("x_2", None)


def test_two_files_are_two_collections(
    frame: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = frame[frame["gpu"] == "a"].reset_index(drop=True)
    paths = [tmp_path / "first.parquet", tmp_path / "second.parquet"]
    write_traces(one, paths[0])
    later = one.assign(collected_at="2026-02-01T12:00:00Z", t_llm_prefill_ms=1e6)
    write_traces(later, paths[1])
    both = summarise(read_traces(*paths))
    assert [(each.gpu, each.file, each.rows) for each in both] == [
        ("a", str(path), 4) for path in paths
    ]
    assert both[0].stages.equals(summarise(one)[0].stages)
    show_collections([each.record() for each in both])
    assert f"a, {paths[1]}: 2 configs, 4 rows" in capsys.readouterr().out
    show_collections([both[0].record()])
    assert "a: 2 configs, 4 rows" in capsys.readouterr().out


def test_a_device_without_a_measurement_has_dashes(
    frame: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = summarise(frame[frame["outcome"] == "out_of_memory"])
    show_collections([found.record()])
    shown = capsys.readouterr().out
    assert "a: 1 config, 1 row\n" in shown
    assert "1 config ran out of memory" in shown
    assert "nan" not in shown


def test_drift_is_a_finding(frame: pd.DataFrame) -> None:
    rows = pd.DataFrame(
        {
            **{name: [frame[name].iloc[0]] * 8 for name in frame},
            "reference": True,
            "collected_at": [f"2026-01-31T{hour:02d}:00:00Z" for hour in range(8)],
            "stage_sum_ms": 100 * 1.2 ** np.linspace(0, 1, 8),
        }
    )
    (found,) = summarise(rows)
    assert any("drifted by +20.0%" in finding for finding in found.findings)


def test_a_record_holds_plain_values(frame: pd.DataFrame) -> None:
    record = summarise(frame)[0].record()
    assert record["stages"][0]["stage"] == "llm_prefill"
    assert record["reference_drift"] is None
    assert record["findings"]


def test_other_traces_are_refused(frame: pd.DataFrame) -> None:
    assert check_collected(frame) is frame
    with pytest.raises(InputError, match="no column outcome, stage_sum_ms"):
        check_collected(frame.drop(columns=["outcome", "stage_sum_ms"]))
    of_others = frame[["gpu", "t_llm_prefill_ms"]].iloc[:2]
    mixed = pd.concat([frame, of_others], ignore_index=True)
    with pytest.raises(InputError, match=r"rows 6-7: `bayeslat collect` has not written this"):
        check_collected(mixed)
