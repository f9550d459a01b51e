from __future__ import annotations

import copy
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from bayeslat.features.frozen_map import FrozenMap


def test_it_is_a_mapping_that_keeps_its_order() -> None:
    frozen = FrozenMap({"b": 1, "a": 2})
    assert list(frozen) == ["b", "a"]
    assert frozen["a"] == 2
    assert len(frozen) == 2
    assert frozen == {"a": 2, "b": 1}
    assert repr(frozen) == "FrozenMap({'b': 1, 'a': 2})"
    with pytest.raises(KeyError):
        frozen["c"]


def test_it_cannot_change() -> None:
    items = {"a": 1}
    frozen = FrozenMap(items)
    items["a"] = 2
    assert frozen["a"] == 1
    with pytest.raises(TypeError):
        frozen["a"] = 2  # type: ignore[index]


def test_equal_maps_hash_alike_whatever_their_order() -> None:
    one, other = FrozenMap({"a": 1, "b": 2}), FrozenMap({"b": 2, "a": 1})
    assert one == other
    assert hash(one) == hash(other)


def test_it_can_be_copied_and_sent_to_another_process() -> None:
    frozen = FrozenMap({"a": 1})
    assert copy.deepcopy(frozen) == frozen
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(copy.copy, frozen).result() == frozen
