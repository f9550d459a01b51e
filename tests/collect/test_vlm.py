from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bayeslat.collect.vlm import main
from bayeslat.traces import read_traces

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace.parquet"


def command(config: Path, trace: Path, *more: str) -> list[str]:
    return ["--device-key", "epyc_1t_fp32", "--config", str(config), "-o", str(trace), *more]


def test_a_collection_ends_and_takes_up_where_it_stopped(
    transformers: Any, shipped_config: Path, trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(shipped_config, trace, "--configs", "1", "--repeats", "1")) == 0
    assert f"{trace}: 1 rows" in capsys.readouterr().out
    first = read_traces(trace)
    assert main(command(shipped_config, trace, "--configs", "1", "--repeats", "2")) == 0
    both = read_traces(trace)
    assert both["repeat"].tolist() == [0, 1]
    pd.testing.assert_frame_equal(both.head(1), first)


def test_bad_input_ends_with_status_1_and_no_file(
    transformers: Any, tmp_path: Path, trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path / "absent.json", trace)) == 1
    assert "absent.json: no such file" in capsys.readouterr().err
    assert not trace.exists()


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_a_missing_library_is_named_with_its_cure(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    shipped_config: Path,
    trace: Path,
    library: str,
) -> None:
    if library == "transformers":
        pytest.importorskip("torch", reason="torch (extra 'collect') is not installed")
    monkeypatch.setitem(sys.modules, library, None)
    assert main(command(shipped_config, trace)) == 1
    message = capsys.readouterr().err
    assert f"{library} is not installed" in message
    assert "bayeslat[collect]" in message
    assert "Traceback" not in message


def test_importing_the_collector_loads_no_heavy_library() -> None:
    heavy = ("torch", "transformers", "pymc", "arviz")
    modules = sorted((ROOT / "bayeslat" / "collect").glob("[!_]*.py"))
    assert modules
    names = ", ".join(f"bayeslat.collect.{module.stem}" for module in modules)
    code = f"import sys, {names}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
