"""AIPerf's records, where they contradict themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from bayeslat.errors import TraceError
from bayeslat.traces.importers.convert import Settings, import_traces
from bayeslat.traces.importers.registry import find_importer
from tests.traces.importers.cases import write_case
from tests.traces.importers.workload import make_requests


def test_a_unit_that_is_not_that_of_the_times_is_refused(tmp_path: Path) -> None:
    """Taken for ms, seconds would pass as answers of a millisecond that came in one piece."""
    path = write_case("aiperf", tmp_path, make_requests(20))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        for name in ("time_to_first_token", "request_latency"):
            line["metrics"][name]["value"] /= 1e3
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(TraceError, match=r"not in the units beside them: .* 0\.001 times"):
        import_traces(
            find_importer("aiperf"), [path], tmp_path / "o.parquet", Settings(gpu="h100_sxm")
        )


@pytest.mark.parametrize("named", ["name", "kind"])
def test_the_load_is_that_of_the_phase_that_is_measured(named: str, tmp_path: Path) -> None:
    """AIPerf 0.10 gives a phase no kind: its name says it."""
    path = write_case("aiperf", tmp_path, make_requests(5))
    phases = [{named: "warmup", "concurrency": 2}, {named: "profiling", "concurrency": 6}]
    phases[1]["rate"] = 2.5
    settings = {"models": {"items": [{"name": "m"}]}, "phases": phases}
    path.with_name("profile_export_aiperf.json").write_text(json.dumps({"input_config": settings}))
    import_traces(find_importer("aiperf"), [path], tmp_path / "o.parquet", Settings(gpu="l40s"))
    frame = pd.read_parquet(tmp_path / "o.parquet")
    assert set(frame["concurrency"]) == {6}
    assert set(frame["request_rate_per_s"]) == {2.5}


def test_phases_with_kinds_have_any_names(tmp_path: Path) -> None:
    path = write_case("aiperf", tmp_path, make_requests(5))
    phases = [
        {"name": "first", "kind": "warmup", "concurrency": 2},
        {"name": "ramp", "kind": "profiling", "concurrency": 6},
    ]
    document = {"input_config": {"phases": phases}}
    path.with_name("profile_export_aiperf.json").write_text(json.dumps(document))
    import_traces(find_importer("aiperf"), [path], tmp_path / "o.parquet", Settings(gpu="l40s"))
    assert set(pd.read_parquet(tmp_path / "o.parquet")["concurrency"]) == {6}
