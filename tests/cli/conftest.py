"""A workshop: a folder with a small spec, a trace and a posterior, and a way to run commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from bayeslat.cli import app
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.storage.posterior_file import write_posterior
from bayeslat.traces import write_traces
from tests.posteriors import SPEC_TEXT, make_configs, make_data, make_frame, small_spec


@dataclass(frozen=True)
class Workshop:
    """Files to give to commands."""

    folder: Path

    @property
    def spec(self) -> str:
        return self.text("spec.toml", SPEC_TEXT)

    @property
    def posterior(self) -> str:
        return str(self.folder / "posterior.nc")

    @property
    def out(self) -> Path:
        return self.folder / "out" / "result.parquet"

    def text(self, name: str, content: str) -> str:
        """Write a text file and return its path."""
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        return str(path)

    def trace(self, frame: pd.DataFrame | None = None, name: str = "trace.parquet") -> str:
        """Write a trace, a good one by default, and return its path."""
        path = self.folder / name
        write_traces(make_frame() if frame is None else frame, path)
        return str(path)

    def configs(self, frame: pd.DataFrame | None = None) -> str:
        """Write configurations and return their path."""
        return self.trace(make_configs(6) if frame is None else frame, "configs.parquet")


@pytest.fixture(scope="session")
def posterior_content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("cli") / "posterior.nc"
    write_posterior(make_data(), path)
    return path.read_bytes()


@pytest.fixture(scope="session")
def poor_posterior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a posterior that did not converge: of twenty draws."""
    path = tmp_path_factory.mktemp("poor") / "poor.nc"
    data = fit_posterior(small_spec(), make_frame(), engine="nuts", chains=2, draws=10, tune=50)
    write_posterior(data, path)
    return path


@pytest.fixture
def workshop(tmp_path: Path, posterior_content: bytes) -> Workshop:
    (tmp_path / "posterior.nc").write_bytes(posterior_content)
    return Workshop(tmp_path)


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run the command line in this process."""
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])
