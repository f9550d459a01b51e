"""Two empty cells stop every command that reads measurements, or none, with --drop-invalid."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from typer.testing import Result

from tests.cli.conftest import Workshop
from tests.posteriors import make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

GPUS = ("a100_sxm", "h100_sxm", "h200_sxm", "l40s")
TRACE, POSTERIOR, SPEC, OUT = "TRACE", "POSTERIOR", "SPEC", "OUT"
FEW = ["--counts", "0,5", "--repetitions", "1", "--test-configs", "12"]
COMMANDS = {
    "fit": ["fit", TRACE, "-m", SPEC, "--engine", "laplace", "-o", "OUT.nc"],
    "check": ["check", POSTERIOR, TRACE],
    "calibrate": ["calibrate", POSTERIOR, TRACE, "--gpu", "l40s", "-o", "OUT.nc"],
    "drift": ["drift", POSTERIOR, TRACE, "--gpu", "a100_sxm", "-o", "OUT.csv"],
    "report": [
        "report", POSTERIOR, TRACE, "--gpu", "l40s", "--budget-ms", "300", *FEW, "-o", OUT,
    ],
    "crossval": ["crossval", TRACE, "-m", SPEC, *FEW, "--jobs", "1", "-o", "OUT.csv"],
    "compare": [
        "compare", TRACE, "-m", SPEC, "--target", "l40s", "--methods", "direct", *FEW,
        "--jobs", "1", "-o", OUT,
    ],
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_rows_that_cannot_be_used_are_counted_and_named(
    command: str, workshop: Workshop, run: Callable[..., Result]
) -> None:
    frame = make_frame(0, GPUS, rows=40).astype({"context": float})
    broken = np.isin(np.arange(len(frame)), [4, 130])  # of a donor, and of the target
    trace = workshop.trace(frame.assign(context=frame["context"].mask(broken)), "t.csv")
    given = {"TRACE": trace, "POSTERIOR": workshop.posterior, "SPEC": workshop.spec}
    out = str(workshop.folder / "made" / "result")
    words = [given.get(word, word).replace("OUT", out) for word in COMMANDS[command]]
    refused = run(*words)
    assert refused.exit_code == 1
    assert f"{trace} row" in refused.stderr
    assert "column 'context': knob 'context' must be a finite number" in refused.stderr
    assert "fill it in, drop the row" in refused.stderr
    done = run(*words, "--drop-invalid", "--json")
    assert done.exit_code in (0, 3), done.output  # 3: the verdict on the rows that are left
    kept = workshop.folder / "made" / "result.dropped.parquet"
    file = None if command == "check" else str(kept)
    assert json.loads(done.stdout)["dropped"] == {"rows": 2, "file": file}
    assert "left out for breaking a rule: 2 of 160 rows" in done.stderr
    assert f"{trace} rows 5, 131, column 'context'" in done.stderr
    assert kept.exists() == (command != "check")
    if file:
        assert pd.read_parquet(kept)["gpu"].tolist() == ["a100_sxm", "l40s"]


def test_configs_are_refused_whole(workshop: Workshop, run: Callable[..., Result]) -> None:
    frame = make_frame(0, ("l40s",), rows=9).astype({"context": float})
    frame.loc[4, "context"] = np.nan
    given = (workshop.posterior, workshop.trace(frame, "t.csv"), "--gpu", "l40s")
    for words in (["predict"], ["suggest", "-n", "2"], ["guard", "--budget-ms", "300"]):
        done = run(words[0], *given, *words[1:], "-o", workshop.out)
        assert done.exit_code == 1
        assert "t.csv row 5, column 'context': knob 'context' must be" in done.stderr
        assert not workshop.out.exists()
