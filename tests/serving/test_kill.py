"""A server that is killed loses at most one second of rows."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.serving.logs import rows_of

ROOT = Path(__file__).resolve().parents[2]
MOST_LOST_S = 1.0
ITERATION_S = 0.002

# Tells when it hands over each iteration, as the server's loop would.
SCRIPT = f"""
import itertools, sys, time
from pathlib import Path
from bayeslat.serving.engine_logger import EngineLogger
from bayeslat.serving.settings import Settings
from tests.serving import vllm_stats as vllm
logger = EngineLogger(Settings(Path(sys.argv[1])), vllm.config(), 0)
for index in itertools.count():
    now = time.time()
    logger.record(*vllm.iteration(index, now))
    print(index, now, flush=True)
    time.sleep({ITERATION_S})
"""


@pytest.mark.parametrize("run_s", [0.6, 1.1, 1.3])
def test_a_killed_process_loses_less_than_a_second(tmp_path: Path, run_s: float) -> None:
    words = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline()]
        time.sleep(run_s)
        running.send_signal(signal.SIGKILL)
        lines += running.stdout.readlines()
    told = [line.split() for line in lines if line.endswith("\n")]
    kept = [row["iteration"] for row in rows_of(tmp_path) if row["kind"] == "step"]
    assert kept == list(range(len(kept)))
    lost_s = float(told[-1][1]) - float(told[len(kept)][1]) if len(kept) < len(told) else 0.0
    assert lost_s < MOST_LOST_S
    assert len(told) * ITERATION_S < MOST_LOST_S or kept
