from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeslat.collect.design import draw_design
from bayeslat.collect.knobs import Knobs
from bayeslat.errors import InputError
from bayeslat.features.knob_range import KnobRange, parse_knob

BASE = Knobs(
    image_crops=1,
    image_pixels=192,
    prompt_tokens=64,
    output_tokens=16,
    top_k=4,
    active_blocks=12,
    batch_size=1,
    dtype="float32",
)
SPACE = tuple(
    map(
        parse_knob,
        (
            "image_crops=1:8:log",
            "prompt_tokens=24:384:log",
            "output_tokens=4:16",
            "top_k=1:8",
            "active_blocks=3:12",
            "batch_size=1:4",
        ),
    )
)
FILLING = ("sobol", "lhs")


def whole(name: str, low: int, high: int, log: bool) -> KnobRange:
    return KnobRange(name, low=low, high=high, log=log, whole=True)


RANGES = st.tuples(
    st.builds(whole, st.just("top_k"), st.integers(1, 4), st.integers(5, 9), st.booleans()),
    st.builds(whole, st.just("batch_size"), st.integers(1, 3), st.integers(4, 6), st.booleans()),
)


@pytest.fixture(params=FILLING)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "sobol":
        pytest.importorskip("torch", reason="torch (extra 'collect') is not installed")
    return str(request.param)


def test_a_design_stays_in_its_ranges_and_nears_their_ends(kind: str) -> None:
    design = draw_design(kind, SPACE, BASE, 128, seed=3)
    assert len(set(design)) == len(design) == 128
    for span in SPACE:
        values = [getattr(knobs, span.name) for knobs in design]
        assert min(values) == span.low
        assert 0.95 * span.high <= max(values) <= span.high
        assert all(type(value) is int for value in values)


def test_a_design_fills_its_ranges_evenly(kind: str) -> None:
    design = draw_design(kind, SPACE, BASE, 256, seed=0)
    # Values of equal shares: 64 each. Up to 3 duplicates may have been replaced.
    assert all(61 <= n <= 67 for n in Counter(each.batch_size for each in design).values())
    # 24 to 95 is half of the log from 24 to 385, but for the width of one value.
    assert sum(each.prompt_tokens < 96 for each in design) == pytest.approx(128, abs=4)


def test_a_seed_decides(kind: str) -> None:
    assert draw_design(kind, SPACE, BASE, 8, 1) == draw_design(kind, SPACE, BASE, 8, 1)
    assert draw_design(kind, SPACE, BASE, 8, 1) != draw_design(kind, SPACE, BASE, 8, 2)


def test_a_longer_sobol_design_starts_with_the_shorter_one() -> None:
    pytest.importorskip("torch", reason="torch (extra 'collect') is not installed")
    longest = draw_design("sobol", SPACE, BASE, 300, 1)
    for n in (1, 7, 256, 299):
        assert draw_design("sobol", SPACE, BASE, n, 1) == longest[:n]


@settings(max_examples=25)
@given(RANGES, st.integers(0, 100), st.floats(0.01, 1))
def test_ranges_give_all_the_configurations_that_they_hold(
    ranges: tuple[KnobRange, ...], seed: int, share: float
) -> None:
    held = int(math.prod(each.count for each in ranges))
    n = math.ceil(share * held)
    assert len(set(draw_design("lhs", ranges, BASE, n, seed))) == n
    with pytest.raises(InputError, match=f"the ranges hold {held};"):
        draw_design("lhs", ranges, BASE, held + 1, seed)


def test_sobol_finds_every_combination() -> None:
    pytest.importorskip("torch", reason="torch (extra 'collect') is not installed")
    ranges = [parse_knob("top_k=1,2,3"), parse_knob("batch_size=1:9"), parse_knob("task=qa")]
    assert len(set(draw_design("sobol", ranges, BASE, 27, 0))) == 27
    with pytest.raises(InputError, match="28 configurations wanted, but the ranges hold 27"):
        draw_design("sobol", ranges, BASE, 28, 0)


def test_values_too_rare_to_be_met_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayeslat.collect.design._MOST_POINTS", 100)
    with pytest.raises(InputError, match="hit only"):
        draw_design("lhs", [parse_knob("batch_size=1:50:log")], BASE, 50, 0)


def test_a_grid_has_every_combination_of_ends_and_middles() -> None:
    ranges = [parse_knob(t) for t in ("prompt_tokens=4:64:log", "top_k=1:5", "dtype=float32")]
    design = draw_design("grid", ranges, BASE, None, 0)
    assert [(each.prompt_tokens, each.top_k) for each in design] == [
        (length, top_k) for length in (4, 16, 64) for top_k in (1, 3, 5)
    ]


def test_a_grid_has_listed_values_once() -> None:
    ranges = [parse_knob("top_k=8,1,1"), parse_knob("batch_size=1:2")]
    design = draw_design("grid", ranges, BASE, None, 0)
    assert [(each.top_k, each.batch_size) for each in design] == [(8, 1), (8, 2), (1, 1), (1, 2)]


def test_a_part_of_a_grid_is_chosen_at_random() -> None:
    whole_grid = draw_design("grid", SPACE, BASE, None, 0)
    assert len(set(whole_grid)) == 3**6
    part = draw_design("grid", SPACE, BASE, 40, 1)
    assert len(set(part)) == 40
    assert [each for each in whole_grid if each in part] == list(part)
    assert (
        part == draw_design("grid", SPACE, BASE, 40, 1) != draw_design("grid", SPACE, BASE, 40, 2)
    )
    assert draw_design("grid", SPACE, BASE, 3**6, 1) == whole_grid
    with pytest.raises(InputError, match="730 configurations wanted, but the grid holds 729"):
        draw_design("grid", SPACE, BASE, 730, 0)


def test_a_huge_grid_is_not_written_out() -> None:
    ranges = [
        KnobRange(each.name, values=tuple(range(1, 1001))) for each in SPACE
    ]  # 1e18 combinations
    assert len(set(draw_design("grid", ranges, BASE, 5, 0))) == 5


@pytest.mark.parametrize("kind_of_design", [*FILLING, "grid"])
def test_without_a_range_there_is_the_base(kind_of_design: str) -> None:
    if kind_of_design == "sobol":
        pytest.importorskip("torch", reason="torch (extra 'collect') is not installed")
    assert draw_design(kind_of_design, (), BASE, 1, 0) == (BASE,)
    with pytest.raises(InputError, match="hold"):
        draw_design(kind_of_design, (), BASE, 2, 0)


def test_a_task_sets_the_lengths_that_have_no_range() -> None:
    ranges = [parse_knob("task=qa,captioning"), parse_knob("output_tokens=7,8")]
    design = draw_design("grid", ranges, BASE, None, 0)
    assert [(each.task, each.prompt_tokens, each.output_tokens) for each in design] == [
        ("qa", 64, 7),
        ("qa", 64, 8),
        ("captioning", 32, 7),
        ("captioning", 32, 8),
    ]


@pytest.mark.parametrize(
    ("kind_of_design", "text", "n", "seed", "message"),
    [
        ("sobel", "top_k=1:4", 1, 0, "design 'sobel' is unknown; did you mean 'sobol'"),
        ("sobol", "top_k=1:4", None, 0, "'sobol' needs a number"),
        ("lhs", "top_k=1:4", None, 0, "'lhs' needs a number"),
        ("lhs", "top_k=1:4", 0, 0, "0 configurations"),
        ("grid", "top_k=1:4", -1, 0, "-1 configurations"),
        ("grid", "top_k=1:4", 1, -1, "seed is -1"),
        ("grid", "topk=1:4", 1, 0, "'topk' is unknown"),
    ],
)
def test_arguments_that_cannot_be(
    kind_of_design: str, text: str, n: int | None, seed: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        draw_design(kind_of_design, [parse_knob(text)], BASE, n, seed)
