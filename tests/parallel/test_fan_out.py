"""Fan-outs on one machine, and options that fit nowhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bayeslat.errors import InputError, TraceError, WorkerError
from bayeslat.parallel import run
from bayeslat.parallel.identity import describe_process, tell_difference
from tests.clusters import ROOT
from tests.parallel import work


@pytest.mark.parametrize("jobs", [1, 2, -1])
def test_results_come_in_order_and_do_not_depend_on_the_jobs(jobs: int) -> None:
    told: list[tuple[int, int]] = []
    found = list(
        run(
            work.draw,
            range(5),
            3,
            jobs=jobs,
            on_progress=lambda done, total: told.append((done, total)),
        )
    )
    assert found == [work.draw(3, task) for task in range(5)]
    assert told == [(done, 5) for done in range(1, 6)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_a_task_is_raised_as_it_is(jobs: int) -> None:
    with pytest.raises(InputError, match="task 3 has a value"):
        list(run(work.refuse, range(6), 3, jobs=jobs))
    with pytest.raises(TraceError) as rows:
        list(run(work.refuse_rows, [7, 7], 2, jobs=jobs))
    assert len(rows.value.violations) == 2


def test_a_killed_process_costs_its_tasks_and_not_the_run(tmp_path: Path) -> None:
    assert list(run(work.die_once, range(6), str(tmp_path), jobs=2)) == list(range(6))
    assert (tmp_path / "died").exists()


def test_a_task_that_kills_every_process_is_told() -> None:
    with pytest.raises(WorkerError, match="killed 3 times in a row"):
        list(run(work.die, range(4), 2, jobs=2))


def test_tasks_have_one_thread_of_linear_algebra() -> None:
    assert list(run(work.threads, [0, 0], None)) == [1, 1]
    code = (
        "from bayeslat.parallel import run\nfrom tests.parallel import work\n"
        "print(*run(work.threads, [0], None), work.threads(None, 0))"
    )
    many = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=many, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "2"]  # and none of it is left behind


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:8786",
        "tcp://127.0.0.1",
        "tcp://:8786",
        "tcp://host:99999",
        "http://a:1",
        "",
        "tcp",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="give that of a Dask scheduler") as told:
        run(work.add, [1], 1, engine_address=address)
    assert repr(address) in str(told.value)


def test_no_jobs_at_all_are_refused() -> None:
    with pytest.raises(InputError, match="jobs is 0"):
        run(work.add, [1], 1, jobs=0)


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r".\[scale\]"):
        list(run(work.add, [1], 1, engine_address="tcp://127.0.0.1:8786"))


def test_versions_are_compared() -> None:
    ours = describe_process()
    assert tell_difference(ours, ours) == ""
    told = tell_difference({**ours, "Python": "3.9"}, ours)
    assert told == f"Python 3.9 in place of {ours['Python']}"
    assert "bayeslat unknown" in tell_difference({"Python": ours["Python"]}, ours)
