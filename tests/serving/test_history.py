from __future__ import annotations

from bayeslat.serving.history import History
from bayeslat.serving.read_fields import Row


def _row(iteration: int, at_s: float, elapsed_ms: float = 10.0) -> Row:
    return {"iteration": iteration, "at_s": at_s, "elapsed_ms": elapsed_ms}


def test_a_request_meets_the_last_iteration_before_it() -> None:
    history = History()
    for iteration in range(5):
        history.add(_row(iteration, 100.0 + 0.012 * iteration))
    assert history.before(100.025)["iteration"] == 2
    assert history.before(200.0)["iteration"] == 4


def test_clocks_a_message_apart_do_not_change_what_it_met() -> None:
    # Iterations end at 100.000 and 100.012, and run for 10 ms: what seems to come within one of
    # them came before it, or right after it.
    history = History()
    history.add(_row(0, 100.0))
    history.add(_row(1, 100.012))
    assert [history.before(at)["iteration"] for at in (99.999, 100.001, 100.004)] == [0, 0, 0]
    assert [history.before(at)["iteration"] for at in (100.010, 100.014)] == [1, 1]


def test_before_the_first_iteration_a_server_is_idle() -> None:
    history = History()
    history.add(_row(0, 100.0))
    assert history.before(99.0) == {"running": 0, "waiting": 0, "deferred": 0, "kv_usage": 0.0}


def test_what_was_forgotten_is_not_known() -> None:
    history = History(kept=10)
    for iteration in range(35):
        history.add(_row(iteration, 100.0 + iteration))
    assert history.before(100.0) == {}
    assert [history.before(130.5)["iteration"], history.before(99999.0)["iteration"]] == [30, 34]


def test_an_iteration_without_a_time_of_its_own_counts_from_its_end() -> None:
    history = History()
    history.add({"iteration": 0, "at_s": 100.0})
    assert history.before(100.001)["iteration"] == 0
    assert "iteration" not in history.before(99.999)
