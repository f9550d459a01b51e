"""What inference-perf writes in a text of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
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


@pytest.mark.parametrize("new", [True, False])
def test_a_count_of_tokens_that_their_times_belie_refuses_the_request(
    new: bool, tmp_path: Path
) -> None:
    """Runs of 247 tokens whose text has 3 to 149: at 7 ms a token they took 897 to 12."""
    times = [0.02 + 0.00363 * at for at in range(495)]  # two a token, and the end
    rows: list[dict[str, object]] = []
    for tokens in (3, 149, 246, 247):
        response: dict[str, object] = {"output_tokens": tokens, "output_token_times": times}
        info = {"response_metrics": response} if new else {"input_tokens": 591, **response}
        rows.append({"start_time": 0.0, "end_time": times[-1], "info": info})
    told = {"server_usage": {"prompt_tokens": 591, "completion_tokens": 247}}
    usage = {"response_metrics": {"output_tokens": 3, "output_token_times": times, **told}}
    rows.append({"start_time": 0.0, "end_time": times[-1], "info": usage})
    path = tmp_path / "per_request_lifecycle_metrics.json"
    path.write_text(json.dumps(rows))
    importer = find_importer("inference_perf")
    found = import_traces(importer, [path], tmp_path / "o.parquet", Settings(gpu="l40s"))
    assert sum(found.refused.values()) == 2
    assert all("fewer tokens than came" in why for why in found.refused)
    kept = pd.read_parquet(tmp_path / "o.parquet")
    np.testing.assert_allclose(kept["t_tpot_ms"], 2 * 3.63, rtol=0.01)


def test_a_request_that_was_sent_again_is_left_out(tmp_path: Path) -> None:
    """Its clock started at the first try."""
    path = write_case("inference_perf", tmp_path, make_requests(6))
    rows = json.loads(path.read_text())
    for row, retries in zip(rows, (0, 1, 2, None, 0, 1), strict=True):
        row["info"] |= {"retries_attempted": retries, "retries_recovered": bool(retries)}
    rows[5]["error"] = {"error_type": "ClientConnectorError", "error_msg": "no"}
    path.write_text(json.dumps(rows))
    importer = find_importer("inference_perf")
    found = import_traces(importer, [path], tmp_path / "o.parquet", Settings(gpu="l40s"))
    assert found.n_rows == 3
    again = "sent again after a fault of the connection, which its times include"
    assert found.refused == {again: 2, "request failed": 1}
