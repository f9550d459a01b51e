"""Results of `vllm bench serve` with requests that lack a time or a token."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayeslat.traces.importers.convert import Imported, Settings, import_traces
from bayeslat.traces.importers.registry import find_importer
from tests.traces.importers.cases import write_case
from tests.traces.importers.workload import make_requests


def read(folder: Path, **changes: tuple[int, float | None]) -> tuple[Imported, pd.DataFrame]:
    """Import a run of twelve requests, the third of which failed, with other cells in its lists."""
    requests = make_requests(12)
    requests[2] = replace(requests[2], failed=True)
    path = write_case("vllm_bench", folder, requests)
    document: Any = json.loads(path.read_text())
    for name, (place, value) in changes.items():
        document[name][place] = value
    path.write_text(json.dumps(document))
    importer = find_importer("vllm_bench")
    found = import_traces(importer, [path], folder / "o.parquet", Settings(gpu="l40s"))
    return found, pd.read_parquet(folder / "o.parquet").set_index("request_id")


@pytest.mark.parametrize("value", [np.inf, np.nan, None])
def test_one_time_that_is_not_finite_costs_no_other_request(
    value: float | None, tmp_path: Path
) -> None:
    _, expected = read(tmp_path / "whole")
    found, frame = read(tmp_path / "one", ttfts=(4, value))
    assert found.refused == {"request failed": 1}
    assert frame.loc["4", ["t_ttft_ms", "t_tpot_ms"]].isna().all()
    others = frame.drop(index="4")
    pd.testing.assert_frame_equal(others, expected.drop(index="4"), check_dtype=False)
    pd.testing.assert_series_equal(frame["t_e2e_ms"], expected["t_e2e_ms"])


def test_a_mean_that_is_not_finite_tells_no_unit(tmp_path: Path) -> None:
    path = write_case("vllm_bench", tmp_path, make_requests(12))
    document = json.loads(path.read_text())
    document["ttfts"][4] = document["mean_ttft_ms"] = np.inf
    path.write_text(json.dumps(document))
    importer = find_importer("vllm_bench")
    found = import_traces(importer, [path], tmp_path / "o.parquet", Settings(gpu="l40s"))
    assert found.emptied["t_ttft_ms"] == 1


def test_an_answer_without_a_token_did_not_fail(tmp_path: Path) -> None:
    found, frame = read(tmp_path, output_lens=(4, 0))
    assert found.refused == {"request failed": 1, "answer without a token": 1}
    assert "4" not in frame.index
