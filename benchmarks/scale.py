"""Scale: cost of compression and of fits against rows, GPUs and stages, with their alternatives.

    python -m benchmarks.scale [--rows 100e6] [--folder F] [--gpus N N ...] [-o FILE.json]

Rows are simulated on disk (`benchmarks/fleet_rows.py`: `models/vlm.toml`, GPUs in random order,
knobs on realistic grids), and removed afterwards. Every measurement runs in a process of its own;
memory is that of the process and its workers together. Alternatives of the same run: a fit of the
rows themselves; DuckDB and pyarrow, which only read the same columns; NUTS beside Laplace.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd

import bayeslat as bl
from bayeslat.report.figures import save_figure
from benchmarks.common import RESULTS, machine, print_table, root, write_json
from benchmarks.draw_scale import draw_scale
from benchmarks.fleet_rows import Fleet

SPEC = root("models/vlm.toml")
FILE_ROWS = 1_000_000
BYTES_A_ROW = 25  # on disk

_START = """
import json, resource, sys, time
start = time.perf_counter()
import numpy as np
import bayeslat as bl
spec, files, options = bl.load_spec(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
from bayeslat.features.hardware import load_hardware
from bayeslat.features.gpu import Gpu
copies = {key: Gpu(**gpu) for key, gpu in options.get("hardware", {}).items()}
table = load_hardware().extended(copies)
def used():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in both)
"""

_COMPRESS = (
    _START
    + """
import bayeslat.inference.compression.compress as steps
from bayeslat.compression import compress, write_statistics
seconds = {}
def timed(name):
    step = getattr(steps, name)
    def run(*args, **kwargs):
        begin = time.perf_counter()
        result = step(*args, **kwargs)
        seconds[name] = time.perf_counter() - begin
        return result
    setattr(steps, name, run)
for name in ("scan_files", "take_sample", "settle", "sum_files"):
    timed(name)
begin = time.perf_counter()
data = compress(spec, *files, hardware=table, jobs=options["workers"])
done = time.perf_counter()
write_statistics(data, options["output"])
import joblib.externals.loky
joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
print(json.dumps({
    "rows": data.rows, "seconds": done - begin, "rows_per_s": data.rows / (done - begin),
    "pass_rows_per_s": data.rows / seconds["sum_files"], "cpu_ns_per_row": 1e9 * used() / data.rows,
    **{f"{name}_s": value for name, value in seconds.items()},
}))
"""
)

_FIT = (
    _START
    + """
from bayeslat.compression import fit_statistics, read_statistics
import nutpie, arviz_stats.base, numba
data = read_statistics(files[0])
begin, before = time.perf_counter(), used()
posterior = fit_statistics(data, engine=options["engine"])
done = time.perf_counter()
posterior.save(options["output"])
print(json.dumps({
    "rows": data.rows, "seconds": done - begin, "cpu_s": used() - before,
    "converged": posterior.diagnostics.converged, "problems": posterior.diagnostics.problems,
    "pareto_k": max(each.pareto_k for each in posterior.diagnostics.stages),
}))
"""
)

_ROWS = (
    _START
    + """
import nutpie, arviz_stats.base, numba
begin = time.perf_counter()
frame = bl.read_traces(*files, check=False)
frame["repeat"] = np.arange(len(frame))
posterior = bl.fit(spec, frame, hardware=table, engine=options["engine"])
done = time.perf_counter()
posterior.save(options["output"])
print(json.dumps({
    "rows": len(frame), "seconds": done - begin, "converged": posterior.diagnostics.converged,
}))
"""
)

_DUCKDB = (
    _START
    + """
import duckdb
connection = duckdb.connect(config={"threads": options["workers"]})
connection.execute("set enable_progress_bar = false")
columns = [*spec.knobs, *(stage.column for stage in spec.stages.values())]
sums = ", ".join(f"sum({name})" for name in columns)
begin = time.perf_counter()
found = connection.execute(
    f"select gpu, count(*), {sums} from read_parquet({files!r}) group by gpu"
).fetchall()
done = time.perf_counter()
rows = sum(row[1] for row in found)
print(json.dumps({"rows": rows, "seconds": done - begin, "rows_per_s": rows / (done - begin)}))
"""
)

_READ = (
    _START
    + """
from bayeslat.inference.compression.stream.files import open_files, read_batches
begin = time.perf_counter()
rows = 0
for file in open_files(files, spec):
    for _, batch in read_batches(file, range(len(file.row_groups))):
        rows += batch.num_rows
done = time.perf_counter()
print(json.dumps({"rows": rows, "seconds": done - begin, "rows_per_s": rows / (done - begin)}))
"""
)


def main() -> None:
    options = _options()
    free = shutil.disk_usage(options.folder or tempfile.gettempdir()).free
    if free < 2 * BYTES_A_ROW * options.rows:
        sys.exit(f"{free / 1e9:.0f} GB are free; --folder names a place with more, --rows fewer")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        spec = bl.load_spec(SPEC)
        result: dict[str, Any] = {"machine": machine(), "load_before": os.getloadavg()}
        result |= against_rows(folder, spec, options)
        write_json(options.output, result)
        result |= against_stages(folder, options)
        write_json(options.output, result)
        result |= against_gpus(folder, spec, options)
        result["load_after"] = os.getloadavg()
    write_json(options.output, result)
    save_figure(draw_scale(result), [options.output.with_suffix(".png")])


def against_rows(folder: Path, spec: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Compress and fit 20 GPUs with ever more rows."""
    fleet = Fleet(spec, 20)
    begin = time.perf_counter()
    sizes = [size for size in options.sizes if size < options.rows]
    files = fleet.write(options.rows, folder / "fleet", max(1, options.rows // FILE_ROWS))
    print(f"{options.rows:,} rows written in {time.perf_counter() - begin:.0f} s")
    stored = sum(file.stat().st_size for file in files)
    cases: dict[int, list[Path]] = {options.rows: files}
    for size in sizes:
        whole = size // FILE_ROWS
        cases[size] = files[:whole] if whole else fleet.write(size, folder / str(size))
    table: dict[str, dict[str, Any]] = {}
    for size in sorted(cases):
        output = folder / f"statistics_{size}.nc"
        given = {"workers": 2, "output": str(output)}
        found = run(_COMPRESS, SPEC, cases[size], given)
        engines = ("laplace", "nuts") if size == options.rows and options.nuts else ("laplace",)
        table[f"{size:,}"] = {**found, **fit_all(folder, output, engines)}
        print(f"{size:,} rows: {json.dumps(table[f'{size:,}'])}", flush=True)
        if size <= options.plain_rows:
            plain = {"engine": "laplace", "output": str(folder / f"plain_{size}.nc")}
            table[f"{size:,}"]["fit_of_rows_s"] = run(_ROWS, SPEC, cases[size], plain)["seconds"]
    shown = ["rows_per_s", "pass_rows_per_s", "cpu_ns_per_row", "peak_MB", "seconds", "settle_s"]
    frame = pd.DataFrame(table).T
    print_table(
        "Compression of 20 GPUs x 4 stages on two processes, and fits of the statistics",
        frame[[*shown, *_named(frame, "laplace", "nuts", "fit_")]],
    )
    one = run(_COMPRESS, SPEC, cases[sizes[-1]], {"workers": 1, "output": str(folder / "one.nc")})
    scans = {
        "duckdb, 2 threads: sums of the columns": run(_DUCKDB, SPEC, files, {"workers": 2}),
        "pyarrow, 1 thread: reading": run(_READ, SPEC, cases[sizes[-1]], {}),
    }
    print_table("Only reading", pd.DataFrame(scans).T)
    return {
        "spec": "models/vlm.toml",
        "gpus": len(fleet.gpus),
        "bytes_per_row": stored / options.rows,
        "rows": table,
        "one_process": {f"{sizes[-1]:,}": one},
        "scans": scans,
        "same_posterior": same_posterior(
            folder, [size for size in sizes if size <= options.plain_rows], fleet
        ),
    }


def same_posterior(folder: Path, sizes: list[int], fleet: Fleet) -> dict[str, dict[str, float]]:
    """How far predictions of a fit of statistics are from those of a fit of the same rows."""
    found = {}
    for size in sizes:
        rows = bl.load_posterior(folder / f"plain_{size}.nc")
        found[f"{size:,}"] = apart(
            bl.load_posterior(folder / f"laplace_statistics_{size}.nc"), rows, fleet
        )
    print_table("A fit of statistics against one of the rows, %", pd.DataFrame(found).T)
    return found


def apart(one: bl.Posterior, other: bl.Posterior, fleet: Fleet) -> dict[str, float]:
    """Gaps of predicted means and of sds, in per cent, over stages, GPUs and configs."""
    configs = fleet.configs.head(200)
    gaps: dict[str, list[pd.Series]] = {"mean": [], "sd": []}
    for gpu in other.gpus[:6]:
        left, right = (each.predict(configs, gpu).frame for each in (one, other))
        for stage in (*other.spec.stages, "total"):
            for name, held in gaps.items():
                column = f"{stage}_{name}_ms"
                held.append(100 * abs(left[column] / right[column] - 1))
    found: dict[str, float] = {}
    for name, held in gaps.items():
        every = pd.concat(held)
        found |= {f"{name}: typical": float(every.mean()), f"{name}: largest": float(every.max())}
    return found


def against_gpus(folder: Path, spec: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Fit ever more GPUs of 2000 rows each; NUTS beside Laplace where it takes minutes."""
    table: dict[str, dict[str, Any]] = {}
    error: dict[str, Any] = {}
    for gpus in options.gpus:
        fleet = Fleet(spec, gpus, configs=5000)
        files = fleet.write(2000 * gpus, folder / f"gpus_{gpus}")
        copies = {key: fleet.hardware.gpus[key].model_dump(mode="json") for key in fleet.gpus}
        output = folder / f"gpus_{gpus}.nc"
        given = {"workers": 2, "output": str(output), "hardware": copies}
        found = run(_COMPRESS, SPEC, files, given)
        both = gpus in options.nuts_gpus
        fits = fit_all(folder, output, ("laplace", "nuts") if both else ("laplace",))
        table[str(gpus)] = {**found, **fits}
        if both:
            one, two = (
                bl.load_posterior(folder / f"{engine}_{output.name}")
                for engine in ("laplace", "nuts")
            )
            error[str(gpus)] = apart(one, two, fleet)
    frame = pd.DataFrame(table).T
    shown = _named(frame, "laplace", "nuts")
    print_table("Fits by number of GPUs (2000 rows each, 4 stages)", frame[["settle_s", *shown]])
    print_table("Laplace against NUTS, %", pd.DataFrame(error).T)
    return {"by_gpus": table, "laplace_against_nuts": error}


def against_stages(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Compress a million rows with ever more stages."""
    text = SPEC.read_text(encoding="utf-8")
    head, *parts = text.split("[stages.vision_encoder]\n")
    stages = ("[stages.vision_encoder]\n" + parts[0]).split("\n[stages.")
    blocks = [stages[0], *("[stages." + part for part in stages[1:])]
    tops = [i for i, block in enumerate(blocks) if block.split("]")[0].count(".") == 1]
    table = {}
    files = sorted((folder / "fleet").glob("*.parquet"))[:4]
    for count in range(1, 5):
        end = tops[count] if count < len(tops) else len(blocks)
        spec = folder / f"spec_{count}.toml"
        spec.write_text(head + "\n".join(blocks[:end]), encoding="utf-8")
        given = {"workers": 2, "output": str(folder / f"stages_{count}.nc")}
        table[str(count)] = run(_COMPRESS, spec, files, given)
    frame = pd.DataFrame(table).T
    print_table(
        "Compression by number of stages", frame[["pass_rows_per_s", "cpu_ns_per_row", "settle_s"]]
    )
    return {"by_stages": table}


def fit_all(folder: Path, statistics: Path, engines: tuple[str, ...]) -> dict[str, Any]:
    """Fit statistics with each engine."""
    found: dict[str, Any] = {}
    for engine in engines:
        output = str(folder / f"{engine}_{statistics.name}")
        fit = run(_FIT, SPEC, [statistics], {"engine": engine, "output": output})
        found |= {f"{engine}_s": fit["seconds"], f"{engine}_cpu_s": fit["cpu_s"]}
        found |= {f"{engine}_converged": fit["converged"]}
        if engine == "laplace":
            found["laplace_k"] = fit["pareto_k"]
    return found


def run(code: str, spec: Path, files: list[Path], given: dict[str, Any]) -> dict[str, Any]:
    """Run code in a fresh interpreter; read the JSON of its last line, and its peak memory."""
    words = [str(spec), json.dumps([str(file) for file in files]), json.dumps(given)]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    peak = [0.0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            peak[0] = max(peak[0], tree_bytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, errors = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        sys.exit(errors)
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return {**found, "peak_MB": peak[0] / 1e6}


def _named(frame: pd.DataFrame, *starts: str) -> list[str]:
    """Columns whose names begin so."""
    return [name for name in map(str, frame) if name.startswith(starts)]


def tree_bytes(pid: int) -> float:
    """Memory of a process and all below it; what they share counts for each."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    tree, grown = {pid}, True
    while grown:
        more = {child for child, parent in parents.items() if parent in tree} - tree
        tree, grown = tree | more, bool(more)
    total = 0
    for each in tree:
        try:
            total += int(Path(f"/proc/{each}/statm").read_text().split()[1])
        except OSError:
            continue
    return float(total * resource.getpagesize())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=100_000_000)
    parser.add_argument("--folder", type=Path, help="where rows are written for the while")
    sizes = [10_000, 100_000, 1_000_000, 10_000_000]
    parser.add_argument("--sizes", type=int, nargs="*", default=sizes, help="fewer rows, too")
    parser.add_argument("--nuts", action="store_true", help="also fit the most rows by NUTS")
    parser.add_argument("--plain-rows", type=int, default=100_000, help="most rows fitted directly")
    parser.add_argument("--nuts-gpus", type=int, nargs="*", default=[6, 50])
    parser.add_argument("--gpus", type=int, nargs="*", default=[6, 20, 50, 100, 200])
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "scale.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
