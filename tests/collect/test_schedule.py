from __future__ import annotations

from dataclasses import replace

from bayeslat.collect.knobs import Knobs
from bayeslat.collect.schedule import Visit, reference_of, schedule


def test_every_repeat_visits_all_configurations_in_an_order_of_its_own() -> None:
    visits = schedule(range(20), 3, seed=0, reference=99, every=100)
    own = [visit for visit in visits if visit.repeat is not None]
    rounds = [own[start : start + 20] for start in (0, 20, 40)]
    for repeat, visited in enumerate(rounds):
        assert {visit.repeat for visit in visited} == {repeat}
        assert sorted(visit.config_id for visit in visited) == list(range(20))
    assert len({tuple(visit.config_id for visit in visited) for visited in rounds}) == 3
    assert visits == schedule(range(20), 3, seed=0, reference=99, every=100)
    assert visits != schedule(range(20), 3, seed=1, reference=99, every=100)


def test_the_reference_comes_first_last_and_in_between() -> None:
    visits = schedule(range(5), 1, seed=0, reference=3, every=2)
    assert [visit.repeat is None for visit in visits] == [
        *(True, False, False),
        *(True, False, False),
        *(True, False),
        True,
    ]
    assert {visit for visit in visits if visit.repeat is None} == {Visit(3)}


def test_what_is_done_is_left_out_and_the_order_stays() -> None:
    done = {(0, 0), (2, 1)}
    visits = schedule(range(4), 2, seed=0, reference=0, every=100, done=done)
    whole = schedule(range(4), 2, seed=0, reference=0, every=100)
    assert visits == tuple(v for v in whole if (v.config_id, v.repeat) not in done)


def test_nothing_is_left_when_all_is_done() -> None:
    done = {(config, repeat) for config in range(3) for repeat in range(2)}
    assert schedule(range(3), 2, seed=0, reference=0, every=1, done=done) == ()


def test_the_reference_is_in_the_middle(knobs: Knobs) -> None:
    sizes = [replace(knobs, prompt_tokens=tokens) for tokens in (100, 10, 50, 11, 60)]
    assert reference_of(sizes) == sizes[2]
    corners = [replace(a, batch_size=b) for a in sizes[:3] for b in (1, 2, 8)]
    assert reference_of(corners) == replace(sizes[2], batch_size=2)
