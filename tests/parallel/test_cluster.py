"""Fan-outs on a real Dask cluster: a scheduler and workers as processes, some of them killed."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bayeslat.errors import InputError, TraceError, WorkerError
from bayeslat.parallel import connection, run
from tests.clusters import ROOT, Cluster, cluster, wait_until
from tests.parallel import work

pytestmark = pytest.mark.xdist_group("dask")


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers that nothing kills."""
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


def test_results_are_those_of_one_machine_in_the_order_of_the_tasks(
    shared_cluster: Cluster,
) -> None:
    tasks = range(12)
    here = list(run(work.draw, tasks, 3))
    told: list[tuple[int, int]] = []
    there = list(
        run(
            work.draw,
            tasks,
            3,
            engine_address=shared_cluster.address,
            on_progress=lambda done, total: told.append((done, total)),
        )
    )
    assert there == here  # to the last bit, as the threads of linear algebra are the same
    assert len(set(here)) == len(here)
    assert told == [(done, 12) for done in range(1, 13)]


def test_what_tasks_share_is_sent_once(shared_cluster: Cluster) -> None:
    work.Counted.sent = 0
    shared = work.Counted(5)
    found = list(run(work.add_counted, range(50), shared, engine_address=shared_cluster.address))
    assert found == list(range(5, 55))
    assert work.Counted.sent == 1


@pytest.mark.parametrize("task", [("inc", 1), ["a", {"b": 2}], (len, "abc"), "bayeslat-0", None])
def test_dask_takes_no_task_for_something_of_its_own(task: object, shared_cluster: Cluster) -> None:
    given = list(run(work.say_type, [task], None, engine_address=shared_cluster.address))
    assert given == [(type(task).__name__, task)]


def test_no_tasks_need_no_cluster() -> None:
    assert list(run(work.add, [], 1, engine_address="tcp://127.0.0.1:9")) == []


def test_an_error_of_a_task_is_raised_as_it_is(shared_cluster: Cluster) -> None:
    address = shared_cluster.address
    with pytest.raises(InputError, match="task 3 has a value") as told:
        list(run(work.refuse, range(6), 3, engine_address=address))
    assert type(told.value) is InputError
    with pytest.raises(TraceError) as rows:
        list(run(work.refuse_rows, [7], 2, engine_address=address))
    assert [each.rows for each in rows.value.violations] == [(7,), (7,)]
    with pytest.raises(ZeroDivisionError):
        list(run(work.fail, [7], 0, engine_address=address))


def test_tasks_have_one_thread_of_linear_algebra_even_side_by_side(tmp_path: Path) -> None:
    many = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    with cluster(tmp_path, workers=1, threads=2, environment=many) as found:
        # Of tasks that overlap, none may end the limit of another.
        counted = list(run(work.threads, [4, 1, 4, 1, 3, 2], None, engine_address=found.address))
    assert counted == [1] * 6


def test_a_lost_worker_costs_its_tasks_and_not_the_run(tmp_path: Path) -> None:
    """The worker dies with a task that runs, tasks that are done, and what all tasks share."""
    marks = tmp_path / "marks"
    marks.mkdir()
    tasks = range(10)
    with cluster(tmp_path) as found:
        victim = found.workers[0]
        shared = (str(marks), victim.pid, 9)
        results = run(work.draw_or_stay, tasks, shared, engine_address=found.address)
        first = next(results)
        wait_until(lambda: any(marks.glob("*.stays")), "the victim runs a task")
        found.kill(victim)
        there = [first, *results]
    assert there == list(run(work.draw, tasks, 9))
    (stays,) = [int(each.name.split(".")[0]) for each in marks.glob("*.stays")]
    again = [task for task in tasks if len(list(marks.glob(f"{task}.*.runs"))) > 1]
    assert stays in again
    assert len(again) <= 2, "only what the victim had may run twice"


def test_all_workers_may_be_lost_if_others_come(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    shared, tasks = (str(marks), 0.2, 4), range(6)
    with cluster(tmp_path, workers=1) as found:
        results = run(work.mark_and_draw, tasks, shared, engine_address=found.address)
        first = next(results)
        found.kill(found.workers[0])
        found.add_worker()
        assert [first, *results] == list(run(work.draw, tasks, 4))


def test_without_any_worker_left_the_run_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_PATIENCE_S", 2.0)
    with cluster(tmp_path, workers=1) as found:
        started = time.monotonic()
        with pytest.raises(WorkerError, match="has had no worker") as told:
            list(run(work.die, [1, 2], 1, engine_address=found.address))
    assert found.address in str(told.value)
    assert time.monotonic() - started < 30


def test_a_task_that_kills_every_worker_is_told(tmp_path: Path) -> None:
    once = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    with cluster(tmp_path, workers=3, environment=once) as found:
        with pytest.raises(WorkerError, match="on 2 workers that were killed") as told:
            list(run(work.die, [7], 7, engine_address=found.address))
        assert "task 1 of 1" in str(told.value)
        assert "allowed-failures" in str(told.value)
        assert list(run(work.add, [1], 1, engine_address=found.address)) == [2]


def test_a_lost_scheduler_is_told(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    with cluster(tmp_path, workers=1) as found:
        results = run(
            work.mark_and_draw, range(20), (str(marks), 0.2, 1), engine_address=found.address
        )
        next(results)
        assert found.scheduler is not None
        found.kill(found.scheduler)
        with pytest.raises(WorkerError, match="was lost") as told:
            list(results)
    assert found.address in str(told.value)


def test_ctrl_c_cancels_what_has_not_started(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    with cluster(tmp_path, workers=1) as found:
        code = (
            "from bayeslat.parallel import run\nfrom tests.parallel import work\n"
            f"shared = ({str(marks)!r}, 0.5, 1)\n"
            f"list(run(work.mark_and_draw, range(40), shared, engine_address={found.address!r}))\n"
        )
        client = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            # A shell's job in the background ignores Ctrl-C, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        wait_until(lambda: len(list(marks.iterdir())) >= 2, "tasks run")
        client.send_signal(signal.SIGINT)
        _, told = client.communicate(timeout=20)
        assert client.returncode != 0
        assert "KeyboardInterrupt" in told
        time.sleep(0.7)  # what runs, runs to its end
        started = len(list(marks.iterdir()))
        time.sleep(1.5)
        assert len(list(marks.iterdir())) == started < 10
        assert list(run(work.add, [1], 1, engine_address=found.address)) == [2]


def test_an_iterator_that_is_closed_cancels_the_rest(
    tmp_path: Path, shared_cluster: Cluster
) -> None:
    shared = (str(tmp_path), 0.3, 1)
    results = run(work.mark_and_draw, range(40), shared, engine_address=shared_cluster.address)
    next(results)
    results.close()  # type: ignore[attr-defined]
    before, started = 0, len(list(tmp_path.iterdir()))
    while started > before:  # those that a worker has already begin, on a slow machine late
        time.sleep(1.0)
        before, started = started, len(list(tmp_path.iterdir()))
    assert started < 12


def test_an_address_where_nothing_answers_is_told_in_seconds() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: refused
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(WorkerError, match="no Dask scheduler answers") as told:
            list(run(work.add, [1], 1, engine_address=address))
        assert address in str(told.value)
        assert time.monotonic() - started < 10


def test_a_server_that_never_answers_is_told_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_CONNECT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(WorkerError, match="nothing came back") as told:
            list(run(work.add, [1], 1, engine_address=address))
    assert address in str(told.value)


def test_workers_of_another_version_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other" / "bayeslat-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.4\nName: bayeslat\nVersion: 0.0.1\n")
    lacking = tmp_path / "lacking" / "bayeslat"
    lacking.mkdir(parents=True)
    (lacking / "__init__.py").write_text("")
    with cluster(tmp_path, workers=1) as found:
        found.add_worker(environment={"PYTHONPATH": f"{other.parent}:{ROOT}"})
        found.add_worker(environment={"PYTHONPATH": str(lacking.parent)})
        found.await_workers(3)
        with pytest.raises(WorkerError, match="runs other code") as told:
            list(run(work.add, [1], 1, engine_address=found.address))
    assert "bayeslat 0.0.1 in place of" in str(told.value)
    assert "cannot import bayeslat" in str(told.value)
    assert str(told.value).count("tcp://") == 3  # the scheduler's, and two workers'


def test_a_worker_of_another_version_that_joins_late_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other" / "bayeslat-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.4\nName: bayeslat\nVersion: 0.0.1\n")
    marks = tmp_path / "marks"
    marks.mkdir()
    with cluster(tmp_path, workers=1) as found:
        results = run(
            work.mark_and_draw, range(60), (str(marks), 0.3, 1), engine_address=found.address
        )
        next(results)
        found.add_worker(environment={"PYTHONPATH": f"{other.parent}:{ROOT}"})
        with pytest.raises(WorkerError, match=r"a worker that joined has bayeslat 0\.0\.1"):
            list(results)
