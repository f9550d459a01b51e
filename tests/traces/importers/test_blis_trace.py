"""The header and the data of BLIS traces."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayeslat.errors import TraceError
from bayeslat.traces.importers.convert import Settings, import_traces
from bayeslat.traces.importers.registry import find_importer


@pytest.mark.parametrize(
    "header",
    [
        "version: 2\ndate: 2026-02-30\n",  # PyYAML raises errors of Python's own
        "trace_version: 2\nwhen: 2026-01-01T99:00:00\n",
        "[" * 10_000,
        "a: [",
    ],
)
def test_a_header_that_is_no_yaml_is_refused(header: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.yaml"
    path.write_text(header, encoding="utf-8")
    path.with_suffix(".csv").write_text("request_id\n1\n", encoding="utf-8")
    with pytest.raises(TraceError, match=r"(?s)trace\.yaml.*is no YAML \(.+name the header"):
        import_traces(find_importer("blis_trace"), [path], tmp_path / "o.csv", Settings("l40s"))
