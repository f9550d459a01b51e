"""A collection that is killed at any moment loses no row that it reported, and goes on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bayeslat.traces import read_traces

ROOT = Path(__file__).resolve().parents[2]
KILLS = 10
CONFIGS, REPEATS = 30, 3

# Prints a line when a row is reported done, and waits no longer than a model takes to load.
SCRIPT = """
import sys
from pathlib import Path
from bayeslat.collect.design import draw_design
from bayeslat.collect.job import Job, check_design, measure_all, prepare
from bayeslat.collect.knob_space import default_knobs, merge_ranges
from bayeslat.collect.telemetry import open_telemetry
from bayeslat.collect.vlm import Source, read_limits
from bayeslat.features.knob_range import parse_knob

config, trace, configs, repeats = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])
source = Source(config, random_weights=True)
limits = read_limits(source)
ranges = ["image_pixels=64,96", "prompt_tokens=17:24", "output_tokens=2:4", "top_k=1:4"]
ranges = merge_ranges((), [parse_knob(text) for text in ranges])
design = draw_design("sobol", ranges, default_knobs(limits, "float32"), configs, 0)
check_design(design, limits)
job = Job(source, "epyc_1t_fp32", design, "cpu", threads=1, repeats=repeats)
telemetry = open_telemetry("cpu")
prepared = prepare(job, trace, telemetry)
print("left", len(prepared.visits), flush=True)
for row in measure_all(prepared, telemetry):
    print("done", row["config_id"], row["collected_at"], flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_killed_collection_loses_nothing_and_goes_on(
    transformers: Any, config_path: Path, tmp_path: Path, suffix: str
) -> None:
    trace = tmp_path / f"trace.{suffix}"
    moments = random.Random(0)
    reported: set[tuple[int, str]] = set()
    killed = 0
    while killed < KILLS:
        running = _start(config_path, trace)
        output = running.stdout
        assert output is not None
        first = output.readline()
        assert first.startswith("left"), first
        if first == "left 0\n":
            output.close()
            running.wait()
            break
        # From the first row on: in a measurement, in a write, or between them.
        lines = [output.readline()]
        time.sleep(moments.uniform(0.0, 0.25))
        running.send_signal(signal.SIGKILL)
        lines += output.readlines()
        output.close()
        running.wait()
        killed += 1
        reported |= {_row(line) for line in lines if line.endswith("\n")}
        kept = {
            (int(config), at)
            for config, at in read_traces(trace)[["config_id", "collected_at"]].to_numpy()
        }
        assert reported <= kept
    assert killed == KILLS
    with _start(config_path, trace) as last:
        last.communicate()
    assert last.returncode == 0
    frame = read_traces(trace)
    own = frame[~frame["reference"].astype(bool)]
    assert own.groupby("config_id").size().tolist() == [REPEATS] * CONFIGS
    assert not frame.duplicated(["config_id", "repeat"]).any()


def _start(config: Path, trace: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", SCRIPT, str(config), str(trace), str(CONFIGS), str(REPEATS)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def _row(line: str) -> tuple[int, str]:
    _, config, at = line.split()
    return int(config), at
