"""aiconfigurator's forward passes, in the words of models/vllm.toml."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bayeslat.traces import read_traces
from bayeslat.traces.importers.convert import Settings, import_traces
from bayeslat.traces.importers.registry import find_importer


def test_a_forward_pass_tells_what_its_tokens_attend_to(tmp_path: Path) -> None:
    """Two prompts of 300 tokens after 100 of the cache, and eight requests in decode."""
    path = tmp_path / "aic_fpm_forward_perf.parquet"
    table = {
        "system": ["h200_sxm", "h200_sxm"],
        "backend": ["vllm", "vllm"],
        "batch_size": [2, 8],
        "total_prefill_tokens": [600, 0],
        "total_kv_read_tokens": [200, 9000],
        "latency_ms": [12.5, 6.25],
    }
    pd.DataFrame(table).to_parquet(path)
    importer = find_importer("aiconfigurator")
    import_traces(importer, [path], tmp_path / "o.parquet", Settings())
    frame = read_traces(tmp_path / "o.parquet")
    assert frame["prefill_attended_tokens"].tolist() == [2 * (300 * 100 + 300 * 301 / 2), 0]
    assert frame["decode_context_tokens"].tolist() == [0, 9000]
    assert frame["kv_read_tokens"].tolist() == [200, 9000]
