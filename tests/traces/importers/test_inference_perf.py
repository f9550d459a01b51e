"""What inference-perf writes in a text of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bayeslat.traces.importers.convert import Settings, import_traces
from bayeslat.traces.importers.registry import find_importer
from tests.traces.importers.cases import write_case
from tests.traces.importers.workload import make_requests


@pytest.mark.parametrize("plain", [True, False])
def test_the_model_of_a_request_is_read_as_json(plain: bool, tmp_path: Path) -> None:
    path = write_case("inference_perf", tmp_path, make_requests(5))
    rows = json.loads(path.read_text())
    for row in rows:
        body = {"prompt": 'say "model": "other"', "model": 'größe/"7B"'}
        row["request"] = json.dumps(body, ensure_ascii=plain)
    path.write_text(json.dumps(rows))
    importer = find_importer("inference_perf")
    found = import_traces(importer, [path], tmp_path / "o.parquet", Settings(gpu="l40s"))
    assert found.groups["model"] == ('größe/"7B"',)
