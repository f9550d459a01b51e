"""Samples of llm-d's latency predictor, at the limits of what a share may be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bayeslat.errors import TraceError
from bayeslat.traces import read_traces
from bayeslat.traces.importers.convert import Settings, import_traces
from bayeslat.traces.importers.registry import find_importer
from tests.traces.importers.cases import write_case
from tests.traces.importers.workload import make_requests


def import_usage(tmp_path: Path, usage: float) -> list[float]:
    path = write_case("llmd_predictor", tmp_path, make_requests(20))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text(
        "".join(json.dumps(line | {"kv_cache_percentage": usage}) + "\n" for line in lines)
    )
    out = tmp_path / "o.parquet"
    import_traces(find_importer("llmd_predictor"), [path], out, Settings(gpu="h100_sxm"))
    return sorted(set(read_traces(out)["kv_usage"]))


@pytest.mark.parametrize("usage", [0.0, 1.0])
def test_a_cache_may_be_empty_or_full(tmp_path: Path, usage: float) -> None:
    assert import_usage(tmp_path, usage) == [usage]


def test_a_percentage_is_no_share(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="are no shares: half of them are above 1"):
        import_usage(tmp_path, 1.01)
