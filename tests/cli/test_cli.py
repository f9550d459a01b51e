from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import pytest
from typer.testing import Result

COMMANDS = (
    "fit",
    "check",
    "calibrate",
    "drift",
    "compress",
    "update",
    "compare",
    "crossval",
    "guard",
    "suggest",
    "export bundle",
    "export blis",
    "predict",
    "report",
    "simulate",
    "import",
    "collect vlm",
)


def test_version(run: Callable[..., Result]) -> None:
    assert run("--version").stdout == f"bayeslat {version('bayeslat')}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_for_every_option(command: str, run: Callable[..., Result]) -> None:
    output = run(*command.split(), "--help").stdout
    options = [line for line in output.splitlines() if line.strip().startswith("-")]
    assert len(options) >= 4
    for option in ("--seed", "--json", "--hardware", "Example: bayeslat"):
        assert option in output


def test_the_summaries_of_the_commands_fit_a_line(run: Callable[..., Result]) -> None:
    output = run("--help").stdout
    assert all(f"  {command.split()[0]} " in output for command in COMMANDS)
    summaries = output.partition("Commands:")[2].splitlines()
    assert len([line for line in summaries if line]) == len({c.split()[0] for c in COMMANDS})
    assert "..." not in "".join(summaries)


def test_no_command_shows_the_help(run: Callable[..., Result]) -> None:
    assert "Commands" in run().output
