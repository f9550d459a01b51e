"""What processes do with their streams: pipes, terminals, full disks, Ctrl-C and other signals."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.cli.conftest import Workshop

pytestmark = pytest.mark.xdist_group("small posterior")

ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")


def start(*words: object, **options: object) -> subprocess.Popen[str]:
    """Start the command line; its output is buffered, as it is for users."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment}
    command = [sys.executable, "-m", "bayeslat", *map(str, words)]
    return subprocess.Popen(command, text=True, **{**settings, **options})  # type: ignore[call-overload]


def hear_interrupts() -> None:
    """Undo what a shell, or `nohup`, does to jobs in the background: they ignore these signals."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def run_code(code: str, before: Callable[[], object]) -> subprocess.CompletedProcess[str]:
    """Run Python code; `before` is called in its process first, to set how signals are met."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=before,
    )


def children(process: subprocess.Popen[str]) -> list[str]:
    """The processes that a running one has started."""
    found = []
    for thread in Path(f"/proc/{process.pid}/task").iterdir():
        with suppress(OSError):  # it has ended
            found += (thread / "children").read_text().split()
    return found


def on_terminal(*words: object, columns: int = 100) -> tuple[int, str]:
    """Run the command line on a terminal of its own."""
    main, other = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    process = start(*words, stdin=other, stdout=other, stderr=other, env=environment)
    os.close(other)
    shown = b""
    while True:
        try:
            part = os.read(main, 4096)
        except OSError:  # Linux says so that the last process has left the terminal
            break
        if not part:
            break
        shown += part
    os.close(main)
    return process.wait(), shown.decode()


def predict_words(workshop: Workshop) -> list[object]:
    out = workshop.folder / "out.parquet"
    return ["predict", workshop.posterior, workshop.configs(), "--gpu", "l40s", "-o", out]


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_reader_that_leaves_is_no_error(workshop: Workshop, more: list[str]) -> None:
    process = start(*predict_words(workshop), *more)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait() == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert (workshop.folder / "out.parquet").exists()


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_failed_check_is_one_though_nobody_reads(poor_posterior: Path, more: list[str]) -> None:
    process = start("check", poor_posterior, *more)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait() == 3
    assert process.stderr is not None
    told = process.stderr.read().splitlines()
    process.stderr.close()
    assert told[-1] == f"error: {poor_posterior} did not converge; fit again"
    assert all(line.startswith("not converged: stage ") for line in told[:-1])


@needs_full
@pytest.mark.parametrize("words", [["--version"], ["--help"], ["predict", "--help"], []])
def test_a_full_disk_for_the_output_is_told(workshop: Workshop, words: list[object]) -> None:
    with FULL.open("w") as full:
        process = start(*(words or predict_words(workshop)), stdout=full)
        _, told = process.communicate()
    assert process.returncode == 1
    assert told == "error: standard output: No space left on device\n"


def test_closed_streams_are_no_error(workshop: Workshop) -> None:
    line = subprocess.list2cmdline([sys.executable, "-m", "bayeslat"])
    words = subprocess.list2cmdline([str(word) for word in predict_words(workshop)])
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        out = workshop.folder / "out.parquet"
        out.unlink(missing_ok=True)
        done = subprocess.run(
            f"{line} {words} {closed}", shell=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert out.exists()


def test_a_pipe_gets_plain_text_and_no_progress(workshop: Workshop) -> None:
    out = workshop.folder / "p.nc"
    words = ["fit", workshop.trace(), "--model", workshop.spec, "-o", out, "--engine", "laplace"]
    shown, told = start(*words).communicate()
    assert "converged (laplace)" in shown
    assert "\x1b" not in shown
    assert told == ""
    record, told = start(*words, "--json").communicate()
    assert json.loads(record)["converged"] is True
    assert told == ""


def test_a_terminal_gets_a_bar_a_stage(workshop: Workshop) -> None:
    out = workshop.folder / "p.nc"
    words = ["fit", workshop.trace(), "--model", workshop.spec, "-o", out, "--engine", "laplace"]
    status, shown = on_terminal(*words)
    assert status == 0
    for stage in ("prefill", "decode"):
        assert re.search(rf"{stage} +\S+ +100%", ANSI.sub("", shown))
    assert "converged (laplace)" in shown


def test_a_narrow_terminal_loses_nothing(workshop: Workshop) -> None:
    words = ("check", workshop.posterior, workshop.trace())
    wide, narrow = (ANSI.sub("", on_terminal(*words, columns=columns)[1]) for columns in (200, 46))
    assert max(len(line.rstrip()) for line in wide.splitlines()) > 46
    assert max(len(line.rstrip()) for line in narrow.splitlines()) <= 46
    numbers = [word for word in wide.split() if word.strip("-%").replace(".", "").isdigit()]
    assert len(numbers) > 40
    assert sorted(set(numbers) - set(narrow.split())) == []


def test_names_that_the_output_cannot_show_are_escaped(workshop: Workshop) -> None:
    out = workshop.folder / "é.csv"
    words = predict_words(workshop)[:-1]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = start(*words, out, env=environment)
    shown, told = process.communicate()
    assert process.returncode == 0, told
    assert r"\xe9.csv" in shown


def test_an_output_whose_name_is_no_text(workshop: Workshop) -> None:
    words = predict_words(workshop)[:-1]
    process = start(*words, os.fsdecode(bytes(workshop.folder) + b"/\xff.parquet"))
    shown, told = process.communicate()
    assert process.returncode == 1
    assert shown == ""
    assert told.startswith("error: ")
    assert "is not UTF-8 text; name another output" in told


def test_control_c_is_quiet(workshop: Workshop) -> None:
    out = workshop.folder / "p.nc"
    out.write_text("what an earlier run left")
    trace, spec = workshop.trace(), workshop.spec
    before = sorted(workshop.folder.iterdir())
    process = start(
        *("fit", trace, "--model", spec, "-o", out, "--draws", "1000000"),
        preexec_fn=hear_interrupts,
    )
    time.sleep(4)  # sampling has begun, which the sampler must not take for a wish to stop early
    process.send_signal(signal.SIGINT)
    shown, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (shown, told) == ("", "")
    assert out.read_text() == "what an earlier run left"
    assert sorted(workshop.folder.iterdir()) == before


INTERRUPTED_IMPORT = """
import signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":  # of what a command imports, among the first
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
"""


def test_control_c_while_the_command_line_is_imported_is_quiet() -> None:
    quiet, broken_twin = (
        run_code(INTERRUPTED_IMPORT + then, hear_interrupts)
        for then in (
            "from bayeslat.__main__ import main; sys.argv = ['bayeslat', '--help']; main()",
            "from bayeslat.cli import main; sys.argv = ['bayeslat', '--help']; main()",
        )
    )
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (130, "", "")
    assert "KeyboardInterrupt" in broken_twin.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_to_end_takes_the_workers_and_temporary_files(
    workshop: Workshop, number: signal.Signals, status: int
) -> None:
    trace, spec = workshop.trace(), workshop.spec
    before = sorted(workshop.folder.iterdir())
    process = start(
        *("crossval", trace, "--model", spec, "-o", workshop.folder / "out.parquet"),
        *("--jobs", "2", "--repetitions", "1000"),
        preexec_fn=hear_interrupts,
    )
    until = time.monotonic() + 60
    while len(children(process)) < 4:  # the workers, and what counts their files
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(number)
    shown, told = process.communicate(timeout=60)  # workers hold its streams as long as they run
    assert process.returncode == status
    assert (shown, told) == ("", "")
    assert sorted(workshop.folder.iterdir()) == before


DROPPED_INTERRUPT = """
import signal, sys, time

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "typer" and not started:
            started.append(name)
            Dying()  # what its end raises is dropped
            time.sleep(3)

class Dying:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

started = []
sys.meta_path.insert(0, Interrupt())
from bayeslat.__main__ import main
sys.argv = ["bayeslat", "--help"]
"""


def test_a_signal_that_strikes_where_python_drops_it_is_sent_again() -> None:
    ended, broken_twin = (
        run_code(DROPPED_INTERRUPT + then, partial(signal.signal, signal.SIGTERM, signal.SIG_DFL))
        for then in (
            "main()",
            "import bayeslat.__main__; bayeslat.__main__._SHORTLY_S = 1e6; main()",
        )
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "", "")
    assert broken_twin.returncode == 0


def test_a_signal_that_is_ignored_stays_so() -> None:
    code = INTERRUPTED_IMPORT.replace("SIGINT", "SIGHUP") + (
        "from bayeslat.__main__ import main; sys.argv = ['bayeslat', '--help']; main()"
    )
    ended, under_nohup = (
        run_code(code, partial(signal.signal, signal.SIGHUP, handler))
        for handler in (signal.SIG_DFL, signal.SIG_IGN)
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (129, "", "")
    assert under_nohup.returncode == 0
    assert "Usage: bayeslat" in under_nohup.stdout
