"""Compression against the rows themselves: exact where both see them, and at the same point."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from bayeslat.errors import InputError, TraceError
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec
from bayeslat.inference.compression.compress import compress_files
from bayeslat.inference.compression.compressed import Compressed
from bayeslat.inference.compression.fit_compressed import fit_compressed, stage_problems
from bayeslat.inference.compression.settled_rows import settled_rows
from bayeslat.inference.compression.stream import (
    files,
    outliers,
    row_group,
    run_pass,
    sample,
    scan,
    settle,
)
from bayeslat.inference.compression.stream.sample import SAMPLE_ROWS
from bayeslat.inference.compression.stream.settle import point_of
from bayeslat.inference.compression.update import update_posterior
from bayeslat.inference.engines.engine import EngineOptions
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.fitting.prepare import prepare_stage
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.rows.plan import plan_fit
from bayeslat.inference.rows.windows import StageSums, total_sums
from bayeslat.model.problem import MOST_COUNTED
from bayeslat.model.statistics import Statistics, summarise
from bayeslat.posterior import Posterior
from bayeslat.traces import read_traces, write_traces
from tests import hurdles
from tests.posteriors import SPEC_TEXT, make_data, make_frame, small_spec

NAMES = ("gram", "moment", "square", "rows")
SHAPES = {
    "GPUs": {},
    "stacks": {"stacks": ("a", "b")},
    "stacks and tasks": {"stacks": ("a", "b"), "tasks": ("ocr", "qa")},
}


def assert_equal(one: Statistics, other: Statistics, rtol: float = 1e-10) -> None:
    """Compare each array in units of its largest number."""
    for name in NAMES:
        left, right = getattr(one, name), getattr(other, name)
        assert np.abs(left - right).max() <= rtol * np.abs(left).max(), name


def write(frame: pd.DataFrame, folder: Path, files: int, row_group: int | None = None) -> Path:
    """Write a trace as several files, rows dealt out one by one."""
    folder.mkdir(exist_ok=True)
    for number in range(files):
        path = folder / f"{number}.parquet"
        write_traces(frame.iloc[number::files], path)
        if row_group is not None:
            pq.write_table(pq.read_table(path), path, row_group_size=row_group)
    return folder


def gappy(frame: pd.DataFrame) -> pd.DataFrame:
    """Take latencies out here and there."""
    frame = frame.copy()
    frame.loc[frame.index % 10 == 4, "t_decode_ms"] = np.nan
    frame.loc[frame.index % 10 == 1, "t_prefill_ms"] = np.nan
    return frame


def sample_of(folder: Path, most: int) -> sample.Sample:
    opened, table = files.open_files([folder], small_spec()), load_hardware()
    scanned = scan.scan_files(opened, small_spec(), table)
    return sample.take_sample(opened, scanned, small_spec(), table, most)


def sums_of(data: Compressed, stage: str) -> StageSums:
    return total_sums(data.windows.values(), stage)


@pytest.mark.parametrize("shape", SHAPES)
def test_small_traces_have_the_statistics_of_their_rows(shape: str, tmp_path: Path) -> None:
    """Every number that a fit keeps of the rows."""
    frame = gappy(make_frame(3, rows=50, **SHAPES[shape]))
    folder = write(frame, tmp_path / "t", 3, row_group=17)
    data = compress_files(small_spec(), [folder])
    plan = plan_fit(small_spec(), read_traces(folder))
    assert data.point.groups == plan.groups
    for stage in small_spec().stages:
        prepared, sums = prepare_stage(plan, stage), sums_of(data, stage)
        assert_equal(prepared.problem.statistics, sums.statistics)
        assert prepared.measured == tuple(sums.measured)
        np.testing.assert_array_equal(
            data.point.stages[stage].departure, prepared.settled.departure
        )
        assert not sums.beyond


def test_their_posterior_is_that_of_the_rows(tmp_path: Path) -> None:
    frame = gappy(make_frame(3, rows=50))
    folder = write(frame, tmp_path / "t", 2)
    rows = fit_posterior(small_spec(), read_traces(folder), engine="laplace", seed=5)
    data = compress_files(small_spec(), [folder])
    sums = fit_compressed(data, EngineOptions("laplace", seed=5))
    for stage, part in rows.stages.items():
        # Draws are resampled: a rounding error may move one of them, not their mean.
        for name in ("scales", "effects"):
            one, other = getattr(part, name), getattr(sums.stages[stage], name)
            sd = one.std(axis=0)
            np.testing.assert_allclose(other.mean(axis=0) / sd, one.mean(axis=0) / sd, atol=0.02)
    assert rows.attrs["constants"] == sums.attrs["constants"]
    assert rows.attrs["rows"] == sums.attrs["rows"]
    pd.testing.assert_frame_equal(rows.reference, sums.reference)


@pytest.mark.parametrize("shape", SHAPES)
def test_large_traces_have_the_statistics_of_their_rows_at_the_point(
    shape: str, tmp_path: Path
) -> None:
    """All rows, linearised and calmed one group at a time by what `fit` uses."""
    frame = gappy(make_frame(4, rows=300, **SHAPES[shape]))
    folder = write(frame, tmp_path / "t", 2, row_group=100)
    data = compress_files(small_spec(), [folder], sample_rows=30)
    assert len(data.sample) <= 30 * len(data.point.groups)
    plan = plan_fit(small_spec(), read_traces(folder))
    for stage in small_spec().stages:
        sums = sums_of(data, stage)
        for number, group in enumerate(plan.groups):
            rows = settled_rows(plan, data.point, stage, group)
            pilots = data.point.stages[stage].pilots
            weights = np.full(len(rows.response), pilots.weight[number])
            held = sums.statistics
            own = Statistics(*(getattr(held, name)[[number]] for name in NAMES))
            assert_equal(summarise(rows.design, rows.calmed, weights), own)


SPOILT = "h100_sxm"


def spoilt(frame: pd.DataFrame, part: float, factor: float, every: int = 1) -> pd.DataFrame:
    """Make some prefills of a donor wrong."""
    own = np.flatnonzero((frame["gpu"] == SPOILT) & frame["t_prefill_ms"].notna())[::every]
    gross = np.random.default_rng(7).choice(own, int(part * len(own)), replace=False)
    wrong = np.isin(np.arange(len(frame)), gross)
    return frame.assign(t_prefill_ms=frame["t_prefill_ms"] * np.where(wrong, factor, 1.0))


def set_aside(data: Compressed) -> list[tuple[str, str, int]]:
    return [(each["gpu"], each["stage"], each["rows"]) for each in data.set_aside]


@pytest.mark.parametrize(("part", "factor"), [(0.2, 0.001), (0.1, 100.0), (0.45, 0.001)])
def test_gross_errors_do_not_count_as_they_do_not_in_a_fit(
    part: float, factor: float, tmp_path: Path
) -> None:
    frame = spoilt(gappy(make_frame(3, rows=60)), part, factor)
    folder = write(frame, tmp_path / "t", 3, row_group=17)
    data = compress_files(small_spec(), [folder])
    prepared = prepare_stage(plan_fit(small_spec(), read_traces(folder)), "prefill")
    assert_equal(prepared.problem.statistics, sums_of(data, "prefill").statistics)
    assert prepared.measured == tuple(sums_of(data, "prefill").measured)
    told = sum(rows for _, _, rows in set_aside(data))
    assert told == len(prepared.set_aside) == (0 if part > 0.25 else int(part * 54))
    assert {(gpu, stage) for gpu, stage, _ in set_aside(data)} <= {(SPOILT, "prefill")}
    # Nor in the sample, which errors are shown by.
    assert data.sample["t_prefill_ms"].notna().sum() == 3 * 54 - told


@pytest.mark.parametrize("factor", [0.001, 100.0])
def test_gross_errors_of_an_update_do_not_count(
    factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = fit_posterior(small_spec(), make_frame(3, rows=60), engine="laplace")
    frame = make_frame(8, rows=60)
    wrong = spoilt(frame, 0.1, factor)
    gross = (wrong["t_prefill_ms"] != frame["t_prefill_ms"]).to_numpy()
    lacking = frame.assign(t_prefill_ms=frame["t_prefill_ms"].mask(gross))

    def compressed(trace: pd.DataFrame, name: str) -> Compressed:
        folder = write(trace, tmp_path / name, 2, row_group=25)
        return compress_files(small_spec(), [folder], like=point_of(held))

    data, clean = compressed(wrong, "wrong"), compressed(lacking, "lacking")
    assert sum(rows for _, _, rows in set_aside(data)) == gross.sum() == 6
    assert {each["window"] for each in data.set_aside} <= {"0.parquet", "1.parquet"}
    assert not clean.set_aside
    for stage in small_spec().stages:
        one, other = sums_of(data, stage), sums_of(clean, stage)
        assert_equal(one.statistics, other.statistics)
        np.testing.assert_array_equal(one.measured, other.measured)
    # The broken twin: calmed, they count all the same.
    monkeypatch.setattr(outliers, "IMPOSSIBLE", np.inf)
    every = compressed(wrong, "twin")
    assert not every.set_aside
    with pytest.raises(AssertionError):
        assert_equal(sums_of(every, "prefill").statistics, sums_of(clean, "prefill").statistics)


def test_a_group_that_has_changed_is_no_error_of_single_rows(tmp_path: Path) -> None:
    """Half of its rows, though all of one file: they count, calmed round the point."""
    point = compress_files(small_spec(), [write(make_frame(3, rows=60), tmp_path / "t", 1)]).point
    folder = write(spoilt(make_frame(8, rows=60), 0.5, 30.0), tmp_path / "new", 2)
    data = compress_files(small_spec(), [folder], like=point)
    assert not data.set_aside
    plan, pilots = plan_fit(small_spec(), read_traces(folder)), point.stages["prefill"].pilots
    group = point.groups.index((SPOILT, ""))
    rows = settled_rows(plan, point, "prefill", (SPOILT, ""))
    held = sums_of(data, "prefill").statistics
    own = Statistics(*(getattr(held, name)[[group]] for name in NAMES))
    assert_equal(summarise(rows.design, rows.calmed, np.full(60, pilots.weight[group])), own)


def test_rows_beyond_the_range_are_no_gross_errors(tmp_path: Path) -> None:
    point = compress_files(small_spec(), [write(make_frame(3, rows=60), tmp_path / "t", 1)]).point
    frame = make_frame(8, rows=60)
    far = np.arange(len(frame)) % 20 == 3
    longer = frame.assign(context=frame["context"].where(~far, 10**6))  # yet as fast as before
    data = compress_files(small_spec(), [write(longer, tmp_path / "b", 1)], like=point)
    # The decode's range is that of other features: its physics alone knows the context.
    assert {stage for _, stage, _ in set_aside(data)} == {"decode"}
    assert sums_of(data, "prefill").beyond >= far.sum()


def test_gross_errors_and_broken_rows_are_told_apart(tmp_path: Path) -> None:
    point = compress_files(small_spec(), [write(make_frame(3, rows=60), tmp_path / "t", 1)]).point
    frame = spoilt(make_frame(8, rows=60), 0.1, 100.0)
    broken = frame.assign(t_decode_ms=frame["t_decode_ms"].where(frame.index % 30 != 4, -1.0))
    folder = write(broken, tmp_path / "new", 1)
    data = compress_files(small_spec(), [folder], like=point, drop_invalid=True)
    kept = broken[broken["t_decode_ms"] > 0]
    other = compress_files(small_spec(), [write(kept, tmp_path / "k", 1)], like=point)
    assert data.left_out == 6
    assert set_aside(data) == set_aside(other) != []
    assert_equal(sums_of(data, "prefill").statistics, sums_of(other, "prefill").statistics)


def test_other_outliers_are_seen(tmp_path: Path) -> None:
    """The broken twin of the tests above: one latency of 900 is another."""
    frame = make_frame(3, rows=300)
    wild = frame.copy()
    wild["t_decode_ms"] *= np.where(wild.index == 250, 1.05, 1.0)
    one = compress_files(small_spec(), [write(frame, tmp_path / "t", 1)])
    two = compress_files(small_spec(), [write(wild, tmp_path / "u", 1)])
    with pytest.raises(AssertionError):
        assert_equal(sums_of(one, "decode").statistics, sums_of(two, "decode").statistics)


def test_workers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(make_frame(4, rows=300), tmp_path / "t", 3, row_group=100)
    monkeypatch.setattr(run_pass, "_PART_ROWS", 200)
    monkeypatch.setattr(scan, "_MANY_ROWS", 0)
    monkeypatch.setattr(sample, "_MANY_ROWS", 0)
    monkeypatch.setattr(settle, "_LARGE_SAMPLE", 0)
    one, two = (compress_files(small_spec(), [folder], jobs=n) for n in (1, 2))
    assert one.point.hash == two.point.hash
    for name, window in one.windows.items():
        for stage, part in window.stages.items():
            for each in NAMES:
                np.testing.assert_array_equal(
                    getattr(part.statistics, each),
                    getattr(two.windows[name].stages[stage].statistics, each),
                )


def test_parts_at_one_point_add_up_to_the_whole(tmp_path: Path) -> None:
    folder = write(make_frame(4, rows=300), tmp_path / "t", 2)
    first, second = folder / "0.parquet", folder / "1.parquet"
    one = compress_files(small_spec(), [first], sample_rows=50)
    two = compress_files(small_spec(), [second], like=one.point, sample_rows=50)
    both = compress_files(small_spec(), [folder], like=one.point, sample_rows=50)
    merged = one.merged(two)
    assert list(merged.windows) == ["0.parquet", "1.parquet"]
    for stage in small_spec().stages:
        assert_equal(sums_of(merged, stage).statistics, sums_of(both, stage).statistics, 1e-14)
    retired = merged.retired(["1.parquet"])
    assert_equal(sums_of(retired, "decode").statistics, sums_of(one, "decode").statistics, 0.0)
    # The broken twin: the whole is not its first part.
    with pytest.raises(AssertionError):
        assert_equal(sums_of(merged, "decode").statistics, sums_of(one, "decode").statistics)


def test_statistics_of_two_points_do_not_add(tmp_path: Path) -> None:
    folder = write(make_frame(4, rows=60), tmp_path / "t", 2)
    one, two = (compress_files(small_spec(), [folder / f"{n}.parquet"]) for n in (0, 1))
    with pytest.raises(InputError, match=r"different points.*--like"):
        one.merged(two)
    with pytest.raises(InputError, match=r"window 0.parquet is there already.*--window"):
        one.merged(one)
    with pytest.raises(InputError, match=r"no window x to retire; there are 0.parquet"):
        one.retired(["x"])


def test_rows_of_a_new_gpu_are_refused_with_the_cure(tmp_path: Path) -> None:
    one = compress_files(small_spec(), [write(make_frame(4, rows=60), tmp_path / "t", 1)])
    other = make_frame(4, ("l40s", "h100_sxm"), rows=20)
    folder = write(other, tmp_path / "u", 1)
    with pytest.raises(InputError, match=r"rows of l40s.*`calibrate`"):
        compress_files(small_spec(), [folder], like=one.point)


def test_every_group_has_its_sample(tmp_path: Path) -> None:
    """A GPU with a handful of rows in the last of many row groups too."""
    frame = make_frame(5, rows=200)
    rare = frame["gpu"] == "a100_sxm"
    frame = pd.concat([frame[~rare], frame[rare].head(7)])
    folder = write(frame, tmp_path / "t", 1, row_group=20)
    counts = compress_files(small_spec(), [folder], sample_rows=60).sample["gpu"].value_counts()
    assert counts.to_dict() == {"a100_sxm": 7, "h100_sxm": 60, "h200_sxm": 60}


def test_a_rare_stage_has_a_sample_of_its_own(tmp_path: Path) -> None:
    """As a server's requests among its steps; one that most rows hold has none."""
    frame = make_frame(5, rows=600)
    rare = frame.index % 20 == 3
    frame["t_decode_ms"] = frame["t_decode_ms"].where(rare)
    frame["t_prefill_ms"] = frame["t_prefill_ms"].mask(rare)
    folder = write(frame, tmp_path / "t", 2, row_group=100)
    found = compress_files(small_spec(), [folder], sample_rows=40).sample
    measured = found.groupby("gpu")[["t_prefill_ms", "t_decode_ms"]].count()
    assert measured["t_decode_ms"].tolist() == [30, 30, 30]  # all
    assert measured["t_prefill_ms"].between(35, 40).all()


def test_a_row_of_the_sample_stands_for_several(tmp_path: Path) -> None:
    """Of 1000 rows of a GPU, each twentieth holds the second stage."""
    frame = make_frame(5, gpus=("a100_sxm", "h100_sxm"), rows=1000)
    frame["t_decode_ms"] = frame["t_decode_ms"].where(frame.index % 20 == 3)
    folder = write(frame, tmp_path / "t", 1, row_group=500)
    found = sample_of(folder, 40)
    for gpu, rows in found.frame.groupby("gpu"):
        for stage, total in (("prefill", 1000), ("decode", 50)):
            held = rows[f"t_{stage}_ms"].notna().sum()
            assert found.stands_for[(str(gpu), ""), stage] == pytest.approx(total / held)
        assert rows["t_decode_ms"].notna().sum() >= 40


def test_row_groups_that_another_group_is_read_from_do_not_count(tmp_path: Path) -> None:
    """One GPU in all row groups, another in the last half of them: they are read apart."""
    frame = make_frame(5, gpus=("a100_sxm",), rows=1000)
    mixed = pd.concat([frame.iloc[500:], make_frame(6, gpus=("h100_sxm",), rows=200)])
    mixed = mixed.sample(frac=1.0, random_state=1)
    frame = pd.concat([frame.iloc[:500], mixed], ignore_index=True).assign(repeat=0)
    found = sample_of(write(frame, tmp_path / "t", 1, row_group=10), 60)
    assert found.frame["gpu"].value_counts().to_dict() == {"a100_sxm": 60, "h100_sxm": 60}
    for gpu, total in (("a100_sxm", 1000), ("h100_sxm", 200)):
        assert found.stands_for[(gpu, ""), "decode"] == pytest.approx(total / 60)


def test_a_stage_that_one_of_many_row_groups_holds_is_not_missed(tmp_path: Path) -> None:
    """As a server's requests in a file of their own, beside hours of its steps."""
    steps = make_frame(5, gpus=("a100_sxm",), rows=1200).drop(columns="t_decode_ms")
    requests = make_frame(6, gpus=("a100_sxm",), rows=10).drop(columns="t_prefill_ms")
    frame = pd.concat([steps.iloc[:690], requests, steps.iloc[690:]], ignore_index=True)
    folder = write(frame.assign(repeat=0), tmp_path / "t", 1, row_group=10)
    found = sample_of(folder, 60)
    assert found.frame["t_decode_ms"].notna().sum() == 10
    assert found.stands_for[("a100_sxm", ""), "decode"] == 1.0
    prefill = found.frame["t_prefill_ms"].notna().sum()
    assert found.stands_for[("a100_sxm", ""), "prefill"] == pytest.approx(1200 / prefill)


def test_a_sample_reads_few_of_many_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(make_frame(5, rows=400), tmp_path / "t", 1, row_group=10)
    read: set[int] = set()
    batches = files.read_batches

    def watched(file, row_groups, columns=None):  # type: ignore[no-untyped-def]
        read.update(row_groups)
        return batches(file, row_groups, columns)

    monkeypatch.setattr(row_group, "read_batches", watched)
    compress_files(small_spec(), [folder], sample_rows=30)
    assert 0 < len(read) <= 3 * 16 < 120


def test_memory_does_not_grow_with_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the pass holds at once is a batch, however long the file."""
    frame = make_frame(6, rows=400)
    seen: list[int] = []
    read = files.read_batches

    def watched(*args, **kwargs):  # type: ignore[no-untyped-def]
        before = pa.total_allocated_bytes()
        for item in read(*args, **kwargs):
            yield item
            seen.append(pa.total_allocated_bytes() - before)

    monkeypatch.setattr(run_pass, "read_batches", watched)
    peaks = []
    for copies in (1, 8):
        more = pd.concat([frame.assign(repeat=n) for n in range(copies)], ignore_index=True)
        folder = write(more, tmp_path / str(copies), 1, row_group=1200)
        point = None
        compress_files(small_spec(), [folder], like=point)
        peaks.append(max(seen))
        seen.clear()
    assert peaks[1] <= 1.5 * peaks[0]


def test_rows_beyond_the_sample_count_at_its_edge_and_are_told(tmp_path: Path) -> None:
    frame = make_frame(4, rows=200).assign(repeat=0)
    first = compress_files(small_spec(), [write(frame, tmp_path / "t", 1)])
    far = frame.head(5).assign(context=10**6)
    far[["t_prefill_ms", "t_decode_ms"]] *= 1e3
    more = compress_files(small_spec(), [write(far, tmp_path / "u", 1)], like=first.point)
    assert sums_of(more, "prefill").beyond == 5
    assert sums_of(more, "decode").beyond == 0  # no feature


def test_repeats_are_weighed_as_their_number_in_all_rows_says(tmp_path: Path) -> None:
    """With one configuration in ten, of many repeats, a row counts for less."""
    frame = make_frame(4, rows=40)
    often = pd.concat([frame.assign(repeat=n) for n in range(30)], ignore_index=True)
    rng = np.random.default_rng(0)
    often = often.iloc[rng.permutation(len(often))]
    once = compress_files(small_spec(), [write(make_frame(4, rows=1200), tmp_path / "t", 1)])
    many = compress_files(small_spec(), [write(often, tmp_path / "u", 1)], sample_rows=200)
    whole = compress_files(small_spec(), [tmp_path / "u"], sample_rows=2000)
    plain, sampled, exact = (
        each.point.stages["prefill"].pilots.weight for each in (once, many, whole)
    )
    np.testing.assert_allclose(plain, 1.0, atol=0.2)
    # The same latencies thirty times are one: 1/30 of a row each.
    np.testing.assert_allclose(exact, 1 / 30, rtol=1e-6)
    np.testing.assert_allclose(sampled, 1 / 30, rtol=0.5)


@pytest.mark.parametrize("sample_rows", [30, 300])
def test_statistics_hold_all_rows_and_fits_count_as_many_as_they_may(
    sample_rows: int, tmp_path: Path
) -> None:
    folder = write(make_frame(4, rows=300), tmp_path / "t", 1)
    data = compress_files(small_spec(), [folder], sample_rows=sample_rows)
    few = {stage: replace(part, most_counted=50.0) for stage, part in data.point.stages.items()}
    sums = {stage: sums_of(data, stage) for stage in data.point.stages}
    problems = stage_problems(replace(data.point, stages=few), sums)
    for stage, problem in problems.items():
        np.testing.assert_allclose(sums[stage].statistics.rows, 300.0, rtol=1e-12)
        np.testing.assert_allclose(problem.counted.rows, 50.0, rtol=1e-12)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[PosteriorData, Compressed]:
    """Twice as many rows a group as count: their fit, and their statistics by a sample."""
    rows = int(2 * MOST_COUNTED)
    folder = write(make_frame(4, rows=rows), tmp_path_factory.mktemp("large") / "t", 1)
    frame = read_traces(folder)
    return (
        fit_posterior(small_spec(), frame, engine="laplace", seed=5),
        compress_files(small_spec(), [folder]),
    )


def test_large_traces_are_fitted_as_their_rows_are(
    large: tuple[PosteriorData, Compressed],
) -> None:
    """Settled by half of the rows."""
    rows, data = large
    assert len(data.sample) == SAMPLE_ROWS * len(data.point.groups)
    gaps, ratios = compare(rows, fit_compressed(data, EngineOptions("laplace", seed=5)))
    assert gaps.max() < 0.1
    np.testing.assert_allclose(ratios, 1.0, atol=0.15)


def test_rows_that_all_count_make_surer(large: tuple[PosteriorData, Compressed]) -> None:
    """The broken twin: each row of a million would make a fit surer of what its model misses."""
    rows, data = large
    stages = {
        stage: replace(part, most_counted=np.inf) for stage, part in data.point.stages.items()
    }
    sure = replace(data, point=replace(data.point, stages=stages))
    _, ratios = compare(rows, fit_compressed(sure, EngineOptions("laplace", seed=5)))
    assert np.median(ratios) < 0.8  # 1 / sqrt(2)


def compare(one: PosteriorData, other: PosteriorData) -> tuple[NDArray[np.float64], ...]:
    """Gaps of latencies by the effects alone, in sd of theirs, and ratios of the sd."""
    configs = make_frame(9, rows=40)[["batch_size", "context", "output_tokens"]]
    gaps, ratios = [], []
    for gpu in one.gpus:
        left, right = (
            Posterior(each).predict(configs, gpu, of="typical").frame for each in (one, other)
        )
        for stage in (*one.stages, "total"):
            mean, sd = f"{stage}_mean_ms", f"{stage}_epistemic_sd_ms"
            gaps.append(np.abs(left[mean] - right[mean]) / left[sd])
            ratios.append(right[sd] / left[sd])
    return np.concatenate(gaps), np.concatenate(ratios)


BROKEN = {
    "missing knob": ("context", np.nan, "'context' must be a finite number"),
    "impossible knob": ("context", 0.0, r"feature 'log\(context\)' of stage prefill"),
    "latency below zero": ("t_decode_ms", -1.0, "finite and above 0 ms"),
    "infinite latency": ("t_decode_ms", np.inf, "finite and above 0 ms"),
    "unknown GPU": ("gpu", "h1000", "'h1000' is not in the hardware table"),
    "no GPU": ("gpu", None, "a GPU must be named in every row"),
    "negative times": ("output_tokens", -1, "times 'output_tokens' of stage decode"),
}


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("name", BROKEN)
def test_broken_rows_can_be_left_out(name: str, sampled: bool, tmp_path: Path) -> None:
    """What is left has the statistics that it has alone."""
    column, value, told = BROKEN[name]
    frame = make_frame(7, rows=200)
    rows = [20, 335, 336]
    whole = write(frame.drop(rows), tmp_path / "w", 1)
    frame = frame.astype({column: object if column == "gpu" else float})
    frame.loc[rows, column] = value  # type: ignore[call-overload]
    folder = write(frame, tmp_path / "t", 1, row_group=50)
    most = 1000 if sampled else 10
    point = compress_files(small_spec(), [whole], sample_rows=most).point
    left = compress_files(small_spec(), [folder], like=point, drop_invalid=True)
    alone = compress_files(small_spec(), [whole], like=point)
    for stage in small_spec().stages:
        assert_equal(sums_of(left, stage).statistics, sums_of(alone, stage).statistics)
    assert left.left_out == 3
    assert left.rows == alone.rows == len(frame) - 3
    assert re.search(told, left.left_out_why)
    assert "0.parquet rows 21, 336-337" in left.left_out_why
    settled = compress_files(small_spec(), [folder], sample_rows=most, drop_invalid=True)
    assert settled.left_out == 3


def test_columns_that_break_a_rule_cannot_be_left_out(tmp_path: Path) -> None:
    folder = write(make_frame(7, rows=20).drop(columns="context"), tmp_path / "t", 1)
    with pytest.raises(TraceError, match="knob 'context'"):
        compress_files(small_spec(), [folder], drop_invalid=True)
    nobody = make_frame(7, rows=20).assign(gpu="h1000")
    with pytest.raises(TraceError, match="h1000"):
        compress_files(small_spec(), [write(nobody, tmp_path / "u", 1)], drop_invalid=True)


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("name", BROKEN)
def test_broken_rows_are_told_by_file_and_row(name: str, sampled: bool, tmp_path: Path) -> None:
    """Those that the sample holds, and those that only the pass sees."""
    column, value, told = BROKEN[name]
    frame = make_frame(7, rows=200)
    frame = frame.astype({column: object if column == "gpu" else float})
    rows = [20, 335, 336]  # which an even sample of ten of 200 does not hold
    frame.loc[rows, column] = value  # type: ignore[call-overload]
    folder = write(frame, tmp_path / "t", 1, row_group=50)
    with pytest.raises(TraceError, match=told) as caught:
        compress_files(small_spec(), [folder], sample_rows=1000 if sampled else 10)
    assert "0.parquet rows 21, 336-337" in str(caught.value)


def test_every_damaged_file_is_told_at_once(tmp_path: Path) -> None:
    folder = write(make_frame(rows=20), tmp_path / "t", 3)
    cut = folder / "1.parquet"
    cut.write_bytes(cut.read_bytes()[:-40])
    (folder / "2.parquet").unlink()
    (folder / "2.csv").write_text("gpu\n")
    pq.write_table(pa.table({"gpu": pa.array([], pa.string())}), folder / "3.parquet")
    (folder / "4.parquet").write_text("gpu,t_a_ms\n")
    (folder / "5.csv").write_bytes((folder / "0.parquet").read_bytes())
    with pytest.raises(TraceError) as caught:
        compress_files(small_spec(), [folder, tmp_path / "none.parquet"])
    for told in ("4.parquet: seems to be CSV; name it 4.csv", "name it 5.parquet"):
        assert told in str(caught.value)
    for told in ("1.parquet", "cut short", "2.csv", "from Parquet", "3.parquet", "no rows", "none"):
        assert told in str(caught.value)


def test_a_file_that_is_damaged_inside_is_told(tmp_path: Path) -> None:
    folder = write(make_frame(rows=300), tmp_path / "t", 1)
    path = folder / "0.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(TraceError, match=r"0.parquet: cannot be read as Parquet"):
        compress_files(small_spec(), [folder])


@pytest.mark.parametrize("column", ["gpu", "context", "t_prefill_ms"])
def test_wrong_columns_are_told(column: str, tmp_path: Path) -> None:
    frame = make_frame(rows=30).rename(columns={column: "other"})
    if column == "t_prefill_ms":
        frame = frame.drop(columns="t_decode_ms")
    with pytest.raises(TraceError, match=column):
        compress_files(small_spec(), [write(frame, tmp_path / "t", 1)])


def test_text_in_a_knob_is_told(tmp_path: Path) -> None:
    frame = make_frame(rows=30).astype({"context": str})
    with pytest.raises(TraceError, match=r"'context' must be a finite number"):
        compress_files(small_spec(), [write(frame, tmp_path / "t", 1)])


def test_a_hurdle_takes_the_rows_above_it_and_is_that_of_the_sample(tmp_path: Path) -> None:
    frame = hurdles.make_trace(200, hurdles.effects_of(1, 0.3))
    folder = write(frame, tmp_path / "t", 2, row_group=70)
    rows = fit_posterior(hurdles.SPEC, read_traces(folder), engine="laplace", seed=5)
    data = compress_files(hurdles.SPEC, [folder])
    above = int((frame["t_queueing_ms"] > 1.0).sum())
    assert sums_of(data, "queueing").measured.sum() == above < len(frame)
    assert sums_of(data, "step").measured.sum() == len(frame)
    assert sums_of(data, "queueing").beyond == 0
    sums = fit_compressed(data, EngineOptions("laplace", seed=5))
    for stage, part in rows.stages.items():
        assert_equal(sums.stages[stage].problem.statistics, part.problem.statistics)
    one, other = rows.stages["queueing"].hurdle, sums.stages["queueing"].hurdle
    assert one is not None
    assert other is not None
    for name in ("low", "high", "spread", "effects", "below_ms", "below_rows"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-9)
    assert sums.stages["step"].hurdle is None


def test_an_update_keeps_the_hurdle(tmp_path: Path) -> None:
    frame = hurdles.make_trace(100, hurdles.effects_of(1, 0.3))
    before = fit_posterior(hurdles.SPEC, frame, engine="laplace")
    new = compress_files(
        hurdles.SPEC,
        [write(hurdles.make_trace(50, hurdles.effects_of(2, 0.3)), tmp_path / "t", 1)],
        like=point_of(before),
    )
    options = EngineOptions("nuts", seed=1, chains=2, draws=300, tune=100)
    after = update_posterior(before, new, options).stages["queueing"]
    kept = before.stages["queueing"].hurdle
    assert kept is not None
    assert after.hurdle is not None
    assert len(after.hurdle.effects) == len(after.scales) == 600
    np.testing.assert_allclose(
        after.hurdle.effects.mean(axis=0), kept.effects.mean(axis=0), atol=0.1
    )
    assert sum(after.measured) > sum(before.stages["queueing"].measured)


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize("default", ["7", '"2 + 3 * batch_size"'])
def test_defaults_and_further_stack_columns(tmp_path: Path, default: str, is_told: bool) -> None:
    """As `fit` completes them."""
    text = SPEC_TEXT.replace(
        "[architecture]",
        f'stack_columns = ["model"]\n[defaults]\noutput_tokens = {default}\n[architecture]',
    )
    spec = Spec.from_text(text)
    frame = make_frame(3, rows=40)
    frame["model"] = np.where(frame.index % 2, "small", "large")
    frame["output_tokens"] = frame["output_tokens"].where(frame.index % 3 > 0).astype(float)
    if not is_told:
        frame = frame.drop(columns="output_tokens")
    folder = write(frame, tmp_path / "t", 2)
    data, plan = compress_files(spec, [folder]), plan_fit(spec, read_traces(folder))
    assert data.point.groups == plan.groups
    assert_equal(
        prepare_stage(plan, "prefill").problem.statistics, sums_of(data, "prefill").statistics
    )


@pytest.mark.parametrize("is_told", [True, False])
def test_a_default_follows_from_a_knob_that_has_a_default(tmp_path: Path, is_told: bool) -> None:
    defaults = 'batch_size = 4\ncontext = "100 * batch_size"'
    spec = Spec.from_text(
        SPEC_TEXT.replace("[architecture]", f"[defaults]\n{defaults}\n[architecture]")
    )
    frame = make_frame(3, rows=40)
    frame["batch_size"] = frame["batch_size"].where(frame.index % 3 > 0).astype(float)
    frame["context"] = frame["context"].where(frame.index % 2 > 0).astype(float)
    if not is_told:
        frame = frame.drop(columns="context")
    found = compress_files(spec, [write(frame, tmp_path / "t", 2)])
    whole = compress_files(spec, [write(spec.complete(frame), tmp_path / "whole", 2)])
    for stage in spec.stages:
        assert_equal(sums_of(found, stage).statistics, sums_of(whole, stage).statistics)


def test_a_gpu_under_two_names_is_one(tmp_path: Path) -> None:
    frame = make_frame(3, rows=40)
    alias = load_hardware().resolve("h100_sxm").aliases[0]
    frame.loc[::2, "gpu"] = frame.loc[::2, "gpu"].replace("h100_sxm", alias)
    folder = write(frame, tmp_path / "t", 1)
    data, plan = compress_files(small_spec(), [folder]), plan_fit(small_spec(), read_traces(folder))
    assert data.point.groups == plan.groups
    assert_equal(
        prepare_stage(plan, "decode").problem.statistics, sums_of(data, "decode").statistics
    )


def test_spaces_name_no_stack(tmp_path: Path) -> None:
    frame = make_frame(3, rows=30).assign(stack="v1")
    frame.loc[::2, "stack"] = " "
    folder = write(frame, tmp_path / "t", 1)
    data, plan = compress_files(small_spec(), [folder]), plan_fit(small_spec(), read_traces(folder))
    assert {stack for _, stack in plan.groups} == {"", "v1"}
    assert data.point.groups == plan.groups
    assert_equal(
        prepare_stage(plan, "decode").problem.statistics, sums_of(data, "decode").statistics
    )


def test_the_point_decides_its_hash(tmp_path: Path) -> None:
    point = compress_files(small_spec(), [write(make_frame(rows=20), tmp_path / "t", 1)]).point
    part = point.stages["prefill"]
    moved = replace(part, departure=part.departure + 1e-9)
    other = replace(point, stages={**point.stages, "prefill": moved})
    assert point.hash == replace(point).hash != other.hash


@pytest.mark.xdist_group("small posterior")
@pytest.mark.parametrize(
    "name", ["shared_efficiency", "departure", "projection", "noise_dof", "pilots", "basis"]
)
def test_all_that_decides_how_a_row_enters_decides_the_hash(name: str) -> None:
    point = point_of(make_data())
    part = point.stages["prefill"]
    moved = {
        "shared_efficiency": part.shared_efficiency + 1e-9,
        "departure": part.departure + 1e-9,
        "projection": part.projection + 1e-9,
        "noise_dof": 4.0 if np.isinf(part.noise_dof) else np.inf,
        "pilots": replace(part.pilots, sd=part.pilots.sd * (1 + 1e-9)),
        "basis": replace(part.basis, high=part.basis.high + 1e-9),
    }
    other = replace(part, **{name: moved[name]})  # type: ignore[arg-type]
    assert replace(point, stages={**point.stages, "prefill": other}).hash != point.hash


@pytest.mark.xdist_group("small posterior")
def test_the_data_sheets_decide_the_hash() -> None:
    point = point_of(make_data())
    sheet = point.hardware["h100_sxm"]
    faster = sheet.model_copy(update={"boost_GHz": sheet.boost_GHz + 0.01})
    assert replace(point, hardware={**point.hardware, "h100_sxm": faster}).hash != point.hash
