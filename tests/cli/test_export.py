"""`bayeslat export bundle` writes the guardrail and its reader."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from bayeslat.export import guard_reader
from tests.cli.conftest import Workshop

pytestmark = pytest.mark.xdist_group("small posterior")


def test_it_writes_a_bundle_and_its_reader(workshop: Workshop, run: Callable[..., Result]) -> None:
    path = workshop.folder / "out" / "guard.bundle"
    words = ("export", "bundle", workshop.posterior, "--gpu", "h100_sxm", "-o", path)
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["bytes"] == path.stat().st_size
    assert record["stages"] == ["prefill", "decode"]
    assert 0 < record["agreement"]["p_exceed"] < 0.005
    assert (path.parent / "guard_reader.py").exists()
    found = guard_reader.load(path)
    assert found.knobs == ("batch_size", "context", "output_tokens")
    shown = run(*words)
    assert "needs NumPy alone" in shown.stdout
    assert "p_exceed is the posterior's to 0.00" in shown.stdout


def test_an_unknown_gpu_writes_nothing(workshop: Workshop, run: Callable[..., Result]) -> None:
    path = workshop.folder / "guard.bundle"
    done = run("export", "bundle", workshop.posterior, "--gpu", "h1000", "-o", path)
    assert done.exit_code == 1
    assert "h1000" in done.stderr
    assert not path.exists()
