"""GuideLLM's reports, where they are not as its own versions write them."""

from __future__ import annotations

import json
from pathlib import Path

from bayeslat.traces.importers.convert import Settings, import_traces
from bayeslat.traces.importers.registry import find_importer
from tests.traces.importers.cases import write_case
from tests.traces.importers.workload import MODEL, make_requests


def test_settings_behind_the_requests_are_told(tmp_path: Path) -> None:
    """They cannot be used any more, since the requests were given on."""
    path = write_case("guidellm", tmp_path, make_requests(5))
    document = json.loads(path.read_text())
    importer, chosen = find_importer("guidellm"), Settings(gpu="h100_sxm")
    usual = import_traces(importer, [path], tmp_path / "a.parquet", chosen)
    assert usual.groups["model"] == (MODEL,)
    assert usual.notes == ()
    for benchmark in document["benchmarks"]:
        for name in [name for name in benchmark if name != "requests"]:
            benchmark[name] = benchmark.pop(name)
    path.write_text(json.dumps(document))
    found = import_traces(importer, [path], tmp_path / "b.parquet", chosen)
    assert found.n_rows == 5
    assert found.groups["model"] == ()
    (note,) = found.notes
    assert "stand behind its requests" in note
