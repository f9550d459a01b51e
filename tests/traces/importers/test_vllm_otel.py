"""vLLM's spans, where they contradict themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bayeslat.errors import TraceError
from bayeslat.traces.importers.convert import Imported, Settings, import_traces
from bayeslat.traces.importers.registry import find_importer
from tests.traces.importers.cases import write_case
from tests.traces.importers.workload import make_requests


def read(folder: Path, change: Callable[[Any], None]) -> Imported:
    """Import spans, each of which is changed."""
    path = write_case("vllm_otel", folder, make_requests(20))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        change(line["resourceSpans"][0]["scopeSpans"][0]["spans"][0])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    importer = find_importer("vllm_otel")
    return import_traces(importer, [path], folder / "o.parquet", Settings(gpu="h100_sxm"))


def in_ms(span: Any) -> None:
    for attribute in span["attributes"]:
        if attribute["key"].startswith("gen_ai.latency"):
            attribute["value"]["doubleValue"] *= 1e3


def without_end(span: Any) -> None:
    del span["endTimeUnixNano"]


def ends_late(span: Any) -> None:
    start, end = (int(span[f"{name}TimeUnixNano"]) for name in ("start", "end"))
    span["endTimeUnixNano"] = str(end + 3 * (end - start))


def test_times_that_their_spans_belie_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"gen_ai.latency.e2e, taken for seconds, is 1e\+03 times"):
        read(tmp_path, in_ms)


@pytest.mark.parametrize("change", [without_end, ends_late])
def test_an_end_that_is_not_known_or_late_refuses_nothing(
    change: Callable[[Any], None], tmp_path: Path
) -> None:
    assert read(tmp_path, change).n_rows == 20
