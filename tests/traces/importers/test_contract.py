"""What holds for every importer, whatever its format."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayeslat import atomic
from bayeslat.errors import BayeslatError, InputError, TraceError
from bayeslat.traces import provenances, read_traces, stage_columns
from bayeslat.traces.importers import json_rows, json_stream, tables
from bayeslat.traces.importers.convert import Imported, Settings, import_traces
from bayeslat.traces.importers.registry import FORMATS, find_importer
from tests.traces.importers.cases import CASES, Broken, write_case
from tests.traces.importers.workload import MODEL, OTHER_MODEL, Request, make_requests

COUNT = 40


@pytest.fixture(autouse=True, scope="module")
def _fast_disk() -> Iterator[None]:
    """Do not wait for the disk: what survives a loss of power is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "_reach_disk", lambda path: None)
        yield


every_format = pytest.mark.parametrize("name", FORMATS)


def workload() -> list[Request]:
    """Return requests of which the fourth failed."""
    requests = make_requests(COUNT)
    requests[3] = replace(requests[3], failed=True)
    return requests


def run(
    name: str, *paths: Path, out: Path, model: str | None = None
) -> tuple[Imported, pd.DataFrame]:
    """Import files, and read the trace with every rule checked."""
    importer = find_importer(name)
    chosen = Settings(gpu=None if importer.names_gpu else "h100_sxm", model=model)
    imported = import_traces(importer, paths, out, chosen)
    return imported, read_traces(out)


def test_every_format_has_a_case() -> None:
    assert set(CASES) == set(FORMATS)


@every_format
def test_rows_are_what_was_measured(name: str, tmp_path: Path) -> None:
    requests = make_requests(COUNT)
    imported, frame = run(name, write_case(name, tmp_path, requests), out=tmp_path / "o.parquet")
    assert imported.n_rows == len(frame) == COUNT
    assert imported.refused == {}
    for column, value in CASES[name].columns.items():
        expected = np.array([value(request) for request in requests], dtype=float)
        # Unix seconds hold 0.2 µs.
        np.testing.assert_allclose(frame[column], expected, rtol=1e-6, atol=2e-3, err_msg=column)


@every_format
def test_each_latency_says_what_it_is(name: str, tmp_path: Path) -> None:
    imported, frame = run(name, write_case(name, tmp_path, workload()), out=tmp_path / "o.parquet")
    latencies = [*stage_columns(frame)]
    assert latencies == list(imported.latencies_ms)
    assert all(imported.importer.definitions[column] for column in latencies)
    (stated,) = provenances(frame)
    assert stated is not None
    assert stated.source == "measured"
    assert stated.model_extra is not None
    assert set(latencies) <= set(stated.model_extra["imported"]["definitions"])
    assert frame["gpu"].notna().all()
    assert frame["run"].notna().all()
    assert frame["observed_by"].isin(["client", "gateway", "server", "engine"]).all()


@every_format
def test_a_failed_request_is_left_out_and_counted(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    imported, frame = run(name, write_case(name, tmp_path, workload()), out=tmp_path / "o.parquet")
    assert len(frame) == COUNT - 1
    assert imported.refused == ({case.failed: 1} if case.failed else {})


@every_format
def test_the_load_is_counted_from_the_times(name: str, tmp_path: Path) -> None:
    requests = workload()
    _, frame = run(name, write_case(name, tmp_path, requests), out=tmp_path / "o.parquet")
    if not CASES[name].has_load:
        assert "in_flight" not in frame
        return
    kept = [each for each in requests if not each.failed]
    # Of a failed request's end tools differ: it was in flight, or nobody knows.
    possible = [
        [
            sum(other.sent_s < each.sent_s < other.sent_s + other.e2e_s for other in of)
            for each in kept
        ]
        for of in (kept, requests)
    ]
    assert max(possible[0]) >= 4
    assert frame["in_flight"].tolist() in possible
    np.testing.assert_allclose(
        frame["arrived_s"], [each.sent_s - requests[0].sent_s for each in kept], atol=1e-5
    )


@every_format
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_every_table_format_gets_the_same_rows(name: str, suffix: str, tmp_path: Path) -> None:
    path = write_case(name, tmp_path / "in", workload())
    _, expected = run(name, path, out=tmp_path / "o.parquet")
    _, frame = run(name, path, out=tmp_path / f"o{suffix}")
    assert frame.columns.tolist() == expected.columns.tolist()
    texts = ["request_id"] if "request_id" in frame else []  # CSV cannot tell "7" from 7
    pd.testing.assert_frame_equal(
        frame.astype(dict.fromkeys(texts, str)), expected, check_dtype=False, check_exact=True
    )


@every_format
def test_the_size_of_the_pieces_does_not_matter(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_case(name, tmp_path / "in", workload())
    _, expected = run(name, path, out=tmp_path / "o.parquet")
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", 512)
    monkeypatch.setattr(json_stream, "_FIRST_LOOK_BYTES", 16)
    monkeypatch.setattr(json_rows, "_BLOCK_BYTES", 700)
    monkeypatch.setattr(tables, "_BLOCK_BYTES", 600)
    _, frame = run(name, path, out=tmp_path / "o.parquet")
    pd.testing.assert_frame_equal(frame, expected)


@every_format
def test_files_have_runs_of_their_own(name: str, tmp_path: Path) -> None:
    first = write_case(name, tmp_path / "monday", make_requests(COUNT))
    second = write_case(name, tmp_path / "tuesday", make_requests(COUNT, seed=6))
    _, frame = run(name, first, second, out=tmp_path / "o.parquet")
    assert frame["run"].nunique() == 2
    _, alone = run(name, second, out=tmp_path / "o.parquet")
    tail = frame.iloc[COUNT:].reset_index(drop=True)
    others = [column for column in alone if column != "run"]
    pd.testing.assert_frame_equal(tail[others], alone[others], check_dtype=False)


@every_format
def test_a_folder_stands_for_the_files_in_it(name: str, tmp_path: Path) -> None:
    path = write_case(name, tmp_path / "in" / "deep", workload())
    _, expected = run(name, path, out=tmp_path / "o.parquet")
    imported, frame = run(name, tmp_path / "in", out=tmp_path / "o.parquet")
    assert len(imported.files) == 1
    pd.testing.assert_frame_equal(frame, expected)


@every_format
def test_a_copy_of_a_file_counts_once(name: str, tmp_path: Path) -> None:
    path = write_case(name, tmp_path / "in" / "a", workload())
    _, expected = run(name, path, out=tmp_path / "o.parquet")
    write_case(name, tmp_path / "in" / "b", workload())
    imported, frame = run(name, tmp_path / "in", out=tmp_path / "o.parquet")
    assert "1 file left out: what they say, another file says too" in imported.notes
    pd.testing.assert_frame_equal(frame, expected)


def _break(name: str, broken: Broken, folder: Path) -> Path:
    """Write a file that is wrong."""
    path = write_case(name, folder, make_requests(COUNT))
    path.write_text(broken.change(path.read_text(encoding="utf-8")), encoding="utf-8")
    for other, text in (broken.beside or {}).items():
        (folder / other).write_text(text, encoding="utf-8")
    return path


@every_format
@pytest.mark.parametrize("what", ["wrong_unit", "other_version", "aggregates"])
def test_what_cannot_be_used_is_one_clear_error(name: str, what: str, tmp_path: Path) -> None:
    path = _break(name, getattr(CASES[name], what), tmp_path / "in")
    out = tmp_path / "out" / "o.parquet"
    with pytest.raises(TraceError, match=getattr(CASES[name], what).error) as caught:
        run(name, path, out=out)
    assert path.stem in str(caught.value)
    assert not out.exists()
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


@every_format
def test_rows_of_several_models_are_not_mixed(name: str, tmp_path: Path) -> None:
    one = write_case(name, tmp_path / "a", make_requests(COUNT))
    others = [replace(each, model=OTHER_MODEL) for each in make_requests(COUNT, seed=6)]
    two = write_case(name, tmp_path / "b", others)
    if not CASES[name].names_model:
        _, frame = run(name, one, two, out=tmp_path / "o.parquet", model=MODEL)
        assert set(frame["model"]) == {MODEL}
        return
    both = rf"rows of several models \({MODEL}: 40, {OTHER_MODEL}: 40\).*--served-model"
    with pytest.raises(TraceError, match=both):
        run(name, one, two, out=tmp_path / "o.parquet")
    imported, frame = run(name, one, two, out=tmp_path / "o.parquet", model=OTHER_MODEL)
    assert set(frame["model"]) == {OTHER_MODEL}
    assert len(frame) == COUNT
    assert imported.refused == {"of another model": COUNT}
    with pytest.raises(TraceError, match="no row is of the model 'gpt-5'"):
        run(name, one, two, out=tmp_path / "o.parquet", model="gpt-5")


@every_format
def test_files_that_name_no_gpu_need_one(name: str, tmp_path: Path) -> None:
    importer = find_importer(name)
    path = write_case(name, tmp_path, workload())
    out = tmp_path / "o.parquet"
    if importer.names_gpu:
        import_traces(importer, [path], out)
        assert set(read_traces(out)["gpu"]) == {"NVIDIA H100 80GB HBM3"}
        import_traces(importer, [path], out, Settings(gpu="h200_sxm"))
        assert set(read_traces(out)["gpu"]) == {"h200_sxm"}
        return
    with pytest.raises(InputError, match="do not say which GPU they were measured on; add --gpu"):
        import_traces(importer, [path], out)


@every_format
def test_constants_become_columns(name: str, tmp_path: Path) -> None:
    importer = find_importer(name)
    path = write_case(name, tmp_path, workload())
    chosen = Settings(
        gpu="h100_sxm", stack="vllm_0.32.0", constants={"max_num_batched_tokens": 2048}
    )
    import_traces(importer, [path], tmp_path / "o.parquet", chosen)
    frame = read_traces(tmp_path / "o.parquet")
    assert set(frame["stack"]) == {"vllm_0.32.0"}
    assert set(frame["max_num_batched_tokens"]) == {2048}
    column = "output_tokens" if "output_tokens" in frame else "m"
    with pytest.raises(InputError, match=f"the rows say {column} themselves"):
        import_traces(
            importer, [path], tmp_path / "o.parquet", Settings("h100_sxm", constants={column: 1})
        )


@every_format
def test_what_is_there_stays_when_an_import_fails(name: str, tmp_path: Path) -> None:
    path = write_case(name, tmp_path / "in", workload())
    out = tmp_path / "out" / "o.parquet"
    run(name, path, out=out)
    before = out.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(TraceError):
        run(name, path, out=out)
    assert out.read_bytes() == before
    assert list(out.parent.iterdir()) == [out]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, pd.DataFrame]]:
    """Return the file of each format, and its rows."""
    found = {}
    for name in FORMATS:
        folder = tmp_path_factory.mktemp(name)
        path = write_case(name, folder, make_requests(12))
        found[name] = (path, run(name, path, out=folder / "o.parquet")[1])
    return found


def _import_bytes(name: str, content: bytes) -> tuple[Imported, pd.DataFrame] | None:
    """Import a file of some content; None after an error that names it."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_case(name, Path(folder) / "in", make_requests(1))
        path.write_bytes(content)
        out = Path(folder) / "out" / "o.parquet"
        try:
            return run(name, path, out=out)
        except BayeslatError as error:
            message = str(error)
        assert path.stem in message
        assert not out.exists()
        return None


@every_format
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.floats(0, 1))
def test_a_file_that_is_cut_short_gives_rows_before_the_cut_or_an_error(
    name: str, whole: dict[str, tuple[Path, pd.DataFrame]], part: float
) -> None:
    path, expected = whole[name]
    content = path.read_bytes()
    length = int(part * (len(content.rstrip()) - 1))
    found = _import_bytes(name, content[:length])
    if found is None:
        return
    imported, frame = found
    assert CASES[name].cut_leaves_rows
    latencies = [*stage_columns(frame)]
    there = frame[latencies]
    # A journey's end may be in the part that is gone.
    pd.testing.assert_frame_equal(
        there, expected[latencies][: len(frame)].where(there.notna()), check_dtype=False
    )
    on_boundary = content[:length].endswith(b"\n") or content[length : length + 1] == b"\n"
    assert on_boundary or imported.refused


@every_format
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1), change=st.binary(min_size=1, max_size=3))
def test_damage_is_never_another_error(
    name: str, whole: dict[str, tuple[Path, pd.DataFrame]], position: float, change: bytes
) -> None:
    content = bytearray(whole[name][0].read_bytes())
    place = int(position * (len(content) - 1))
    content[place : place + len(change)] = change
    _import_bytes(name, bytes(content))


@every_format
@given(content=st.binary(max_size=80))
@settings(max_examples=10)
def test_any_bytes_are_refused(name: str, content: bytes) -> None:
    assert _import_bytes(name, content) is None


@every_format
def test_a_line_without_end_that_nests_without_end_is_refused(name: str) -> None:
    assert _import_bytes(name, b'{"a":' * 100_000) is None


@every_format
def test_a_cell_without_end_is_refused(name: str) -> None:
    assert _import_bytes(name, b"a,b\n" + b"x" * 200_000 + b",1") is None


@every_format
def test_a_line_that_nests_too_deeply_costs_no_others(
    name: str, whole: dict[str, tuple[Path, pd.DataFrame]]
) -> None:
    path, expected = whole[name]
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    found = _import_bytes(name, path.read_bytes().rstrip() + b"\n" + deep + b"\n")
    if found is not None:
        imported, frame = found
        assert len(frame) == len(expected)
        assert sum(imported.refused.values()) == CASES[name].cut_leaves_rows


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "benchmarks",
                    "requests",
                    "successful",
                    "config",
                    "report",
                    "prefill",
                    "latency",
                    "values",
                    "resourceSpans",
                    "scopeSpans",
                    "spans",
                    "metadata",
                    "metrics",
                    "input_lens",
                    "ttfts",
                    "output_lens",
                    "entries",
                    "info",
                    "start_time",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@every_format
@given(value=_JSON)
@settings(max_examples=20)
def test_any_json_is_refused(name: str, value: object) -> None:
    assert _import_bytes(name, json.dumps(value).encode()) is None
