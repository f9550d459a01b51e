from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from tests.cli.conftest import Workshop
from tests.posteriors import make_frame

pytestmark = pytest.mark.xdist_group("small posterior")


def test_convergence_alone(workshop: Workshop, run: Callable[..., Result]) -> None:
    result = run("check", workshop.posterior)
    assert result.exit_code == 0
    assert "Convergence" in result.stdout
    assert "Predictions" not in result.stdout


def test_against_traces(workshop: Workshop, run: Callable[..., Result]) -> None:
    frame = make_frame(gpus=("a100_sxm", "l40s"))
    result = run("check", workshop.posterior, workshop.trace(frame))
    assert result.exit_code == 0
    assert "l40s (zero-shot)" in result.stdout
    record = json.loads(run("check", workshop.posterior, workshop.trace(frame), "--json").stdout)
    assert {row["stage"] for row in record["predictions"]} == {"prefill", "decode", "total"}
    assert all(0 <= row["coverage_90"] <= 1 for row in record["predictions"])


def test_findings_are_told_and_are_no_failure(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    slower = make_frame().assign(t_decode_ms=make_frame()["t_decode_ms"] * 3)
    result = run("check", workshop.posterior, workshop.trace(slower))
    assert result.exit_code == 0
    assert "Finding: a100_sxm, decode: 90 % intervals cover" in result.stdout
