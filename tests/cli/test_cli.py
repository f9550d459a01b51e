from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import pytest
from typer.testing import Result


def test_version(run: Callable[..., Result]) -> None:
    assert run("--version").stdout == f"bayeslat {version('bayeslat')}\n"


@pytest.mark.parametrize("command", ["fit", "check", "predict", "simulate"])
def test_every_command_has_help_for_every_option(command: str, run: Callable[..., Result]) -> None:
    output = run(command, "--help").stdout
    options = [line for line in output.splitlines() if line.strip().startswith(("-", "--"))]
    assert len(options) >= 4
    assert "--seed" in output
    assert "--json" in output
    assert "--hardware" in output


def test_no_command_shows_the_help(run: Callable[..., Result]) -> None:
    assert "Commands" in run().output
