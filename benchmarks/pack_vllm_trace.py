"""Makes a trace of `traces/vllm/` from logs: as `bayeslat import`, but small, and without paths.

    python -m benchmarks.pack_vllm_trace logs/deep_dense --gpu genoa_1t_fp32 --model deep_qwen3 \
        -o traces/vllm/genoa_1t_fp32_dense.parquet
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bayeslat.atomic import atomic_path
from bayeslat.traces import Provenance
from bayeslat.traces.formats.parquet import METADATA_KEY
from bayeslat.traces.importers.importer import Tally
from bayeslat.traces.importers.vllm_log import read_log
from bayeslat.traces.importers.vllm_logger import IMPORTER

_DECIMALS = 3  # of a time in ms: a microsecond
_PATHS = {"model", "served_model_name", "_name_or_path"}


def main() -> None:
    options = _options()
    files = sorted(options.logs.glob(IMPORTER.patterns[0]))
    tally = Tally()
    frame = pd.concat(
        [
            pd.DataFrame(dict(batch.columns))
            for series in IMPORTER.series(files)
            for batch in IMPORTER.batches(series, tally)
        ],
        ignore_index=True,
    )
    frame = frame.drop(columns=["request_id", "model"]).round(
        {name: _DECIMALS for name in frame if str(name).endswith("_ms")}
    )
    frame.insert(0, "gpu", options.gpu)
    frame.insert(1, "model", options.model)
    server = read_log(files[:1], Tally()).server
    _write(frame, options.output, _provenance(server, tally))
    told = frame.filter(like="t_").notna().sum()
    print(f"{options.output}: {len(frame):,} rows, {options.output.stat().st_size:,} bytes")
    print(told.to_string())
    print(dict(tally.refused), *tally.notes, sep="\n")


def _provenance(server: Mapping[str, Any], tally: Tally) -> Provenance:
    return Provenance.model_validate(
        {
            "source": "measured",
            "collected_at": tally.collected_at,
            "tool": f"{server['tool']} vLLM logger",
            "gpu": server["device"],
            "architecture": _without_paths(server["architecture"]),
            "software": tally.software,
            "parameters": {"weights": "random", **_without_paths(server["config"])},
        }
    )


def _without_paths(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in _PATHS}


def _write(frame: pd.DataFrame, path: Path, provenance: Provenance) -> None:
    counts = {
        name: pd.Int64Dtype()
        for name in frame.select_dtypes("number")
        if (frame[name].dropna() % 1 == 0).all() and not str(name).endswith(("_ms", "_per_s"))
    }
    counts.pop("kv_usage", None)
    table = pa.Table.from_pandas(frame.astype(counts), preserve_index=False)
    table = table.replace_schema_metadata({METADATA_KEY: provenance.to_json()})
    with atomic_path(path) as temporary:
        pq.write_table(
            table, temporary, compression="zstd", compression_level=19, write_page_checksum=True
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path, help="folder of the logs of one server")
    parser.add_argument("--gpu", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
