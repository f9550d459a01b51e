"""AIPerf's records, where they contradict themselves."""

from __future__ import annotations

import json
from pathlib import Path

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
