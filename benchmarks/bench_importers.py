"""Rows a second and peak memory of each importer, on files as large as users have.

    python -m benchmarks.bench_importers [ROWS] [FORMAT ...]

A million rows of each format by default.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from bayeslat.traces.importers.registry import FORMATS, find_importer
from benchmarks.common import RESULTS, machine, print_table, root, write_json
from tests.traces.importers.cases import CASES
from tests.traces.importers.workload import Request, make_requests
from tests.traces.importers.writers import WRITERS

ROWS = 1_000_000
_DIFFERENT = 10_000


def requests(count: int) -> Iterator[Request]:
    """Give requests; every ten thousand the same ones come again, later."""
    drawn = make_requests(min(count, _DIFFERENT), rate_per_s=50.0)
    length = drawn[-1].sent_s - drawn[0].sent_s
    for number in range(count):
        again, place = divmod(number, len(drawn))
        request = drawn[place]
        yield replace(request, number=number, sent_s=round(request.sent_s + again * length, 6))


def write_file(name: str, count: int, folder: Path) -> Path:
    """Write a file of a format, and those that belong beside it."""
    for other, text in CASES[name].beside.items():
        (folder / other).write_text(text, encoding="utf-8")
    path = folder / CASES[name].file
    with path.open("w", encoding="utf-8") as file:
        file.writelines(WRITERS[name](requests(count)))
    return path


def import_alone(name: str, path: Path, out: Path) -> dict[str, float]:
    """Import a file in a process of its own, and return what it took."""
    gpu = [] if find_importer(name).names_gpu else ["--gpu", "h100_sxm"]
    command = [
        "-m",
        "benchmarks.bench_importers",
        "--child",
        "import",
        name,
        str(path),
        "-o",
        str(out),
    ]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command, *gpu, "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=root("."),
    )
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak_MiB": json.loads(done.stderr.splitlines()[-1])["peak_MiB"]}


def child(words: list[str]) -> None:
    """Run a command, and say on standard error how much memory it took."""
    from bayeslat.cli import app

    try:
        app(words)
    finally:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"peak_MiB": round(peak)}), file=sys.stderr)


def main(count: int, names: list[str]) -> None:
    """Measure every format, and write the results."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            path = write_file(name, count, Path(folder))
            size = path.stat().st_size
            taken = import_alone(name, path, Path(folder) / "o.parquet")
        found[name] = {
            "rows": count,
            "file_MB": round(size / 1e6),
            "seconds": round(taken["seconds"], 1),
            "rows_per_s": round(count / taken["seconds"]),
            "peak_MiB": taken["peak_MiB"],
        }
        print_table(name, pd.DataFrame([found[name]]))
    print_table("Importers", pd.DataFrame(found).T)
    write_json(RESULTS / "importers.json", {"machine": machine(), "formats": found})


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["--child"]:
        child(words[1:])
    else:
        main(int(words[0]) if words else ROWS, words[1:] or list(FORMATS))
