"""The logger runs where the rest does not: older Python, and the standard library only."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OLDEST = (3, 10)  # of vLLM
FILES = [ROOT / "bayeslat" / "__init__.py", *sorted((ROOT / "bayeslat" / "serving").glob("*.py"))]

LOADED = """
import sys
import bayeslat.serving.engine_logger
print(*sorted(name for name in sys.modules if name.startswith("bayeslat.")))
libraries = {name.split(".")[0] for name in sys.modules}
print(*sorted(libraries - {"bayeslat"} - set(sys.stdlib_module_names) - set(sys.argv[1:])))
"""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_older_python_can_read_it(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=OLDEST)


def test_newer_syntax_is_noticed() -> None:
    with pytest.raises(SyntaxError):
        ast.parse("type Row = dict[str, object]", feature_version=OLDEST)


def _run(python: str) -> list[list[str]]:
    # What an environment loads on its own (.pth files) is none of this.
    bare = subprocess.run(
        [python, "-c", "import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    before = {name.split(".")[0] for name in bare.stdout.split()}
    done = subprocess.run(
        [python, "-c", LOADED, *before], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return [line.split() for line in done.stdout.split("\n")[:2]]


def test_it_loads_itself_and_the_standard_library() -> None:
    own, others = _run(sys.executable)
    assert own
    assert all(name.startswith("bayeslat.serving") for name in own)
    assert others == []


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12"])
def test_an_older_python_runs_it(version: str) -> None:
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-c", ""], check=False).returncode:
        pytest.skip(f"no Python {version} here")
    own, others = _run(python)
    assert own
    assert others == []
