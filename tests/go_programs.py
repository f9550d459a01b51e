"""Running the tests of an exported program in Go."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed")


def go_test(folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run `go test` in a folder, with a home of its own.

    Parameters
    ----------
    folder : Path
        With the module.
    home : Path
        Where Go keeps what it builds.
    """
    environ = {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(home), "GOFLAGS": "-mod=mod"}
    words = ["go", "test", "./..."]
    return subprocess.run(
        words, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
