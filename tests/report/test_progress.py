from __future__ import annotations

import io
import sys
import threading

import pytest

from bayeslat.report.progress import counting_bar


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    """Make standard error a terminal; in the test, since pytest sets it anew after fixtures."""
    shown = _Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    return shown


def test_things_are_counted_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with counting_bar(3) as count:
        count("first")
        count("second")
        shown = terminal.getvalue()
    assert "second" in shown
    assert "2/3" in shown
    assert "0:00:" in shown  # the time left


def test_nothing_runs_beside_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    open_terminal(monkeypatch)
    before = threading.active_count()
    with counting_bar(3) as count:
        count("first")
        assert threading.active_count() == before


def test_a_pipe_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with counting_bar(1) as count:
        count("first")
    assert capfd.readouterr() == ("", "")
