from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import HardwareError, InputError
from bayeslat.features.spec import Spec
from bayeslat.features.terms import HARDWARE_FIELDS

SPEC = Spec.from_text(
    """
    name = "tiny"
    knobs = ["a", "b"]
    architecture.c = 3
    [quantities]
    first = "a + c"
    unused = "b"
    second = "first * first"
    third = "second + first + l2_MB"
    [stages.only.physics]
    x = 1
    """
)


class Recorder(Mapping[str, Any]):
    """Columns that note which were looked up."""

    def __init__(self, **columns: Any) -> None:
        self.columns = columns
        self.seen: list[str] = []

    def __getitem__(self, name: str) -> Any:
        self.seen.append(name)
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


def test_quantities_are_computed_from_others_in_order() -> None:
    result = SPEC.evaluate("third", {"a": [1.0, 2.0]}, {"l2_MB": 0.5})
    assert result.tolist() == [4 * 4 + 4 + 0.5, 5 * 5 + 5 + 0.5]


def test_only_what_is_needed_must_be_given() -> None:
    assert SPEC.evaluate("second", {"a": [1.0, 2.0]}, {}).tolist() == [16.0, 25.0]


def test_a_quantity_is_computed_once() -> None:
    columns = Recorder(a=np.array([1.0]))
    names = SPEC.namespace(columns, {"l2_MB": 1.0})
    columns.seen.clear()
    for _ in range(3):
        names.evaluate("third")
    assert columns.seen == ["a"]


def test_a_long_chain_of_quantities_does_not_recurse() -> None:
    chain = "\n".join(f'q{i} = "q{i - 1} + a"' for i in range(1, 3000))
    text = (
        f'name = "x"\nknobs = ["a"]\n[quantities]\nq0 = "a"\n{chain}\n[stages.s.physics]\nt = 1\n'
    )
    assert Spec.from_text(text).evaluate("q2999", {"a": 1.0}, {}).tolist() == [3000.0]


def test_numbers_and_rows_of_several_gpus_are_spread_over_the_rows() -> None:
    assert SPEC.evaluate("1", {"a": [1, 2, 3]}, {}).tolist() == [1.0, 1.0, 1.0]
    assert SPEC.evaluate("a", {"a": 2.0}, {"l2_MB": [1.0, 2.0]}).tolist() == [2.0, 2.0]
    assert SPEC.evaluate("a + l2_MB", {"a": 1}, {"l2_MB": 1}).tolist() == [2.0]
    assert SPEC.evaluate("a", {"a": []}, {}).shape == (0,)


def test_a_data_frame_gives_columns() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4], "first": [100, 100], "c": [100, 100]})
    result = SPEC.evaluate("first + b", {str(name): column for name, column in frame.items()}, {})
    assert result.tolist() == [7.0, 9.0], "columns that are not knobs stand for nothing"


def test_results_are_new_arrays() -> None:
    column = np.array([1.0, 2.0])
    SPEC.evaluate("a", {"a": column}, {})[:] = 0.0
    assert column.tolist() == [1.0, 2.0]


def test_the_mapping_lists_every_name_without_computing_it() -> None:
    names = SPEC.namespace({}, {})
    expected = {"a", "b", "c", "task", "first", "unused", "second", "third", *HARDWARE_FIELDS}
    assert set(names) == expected
    assert len(names) == len(expected)
    assert "third" in names
    assert "fourth" not in names
    with pytest.raises(KeyError):
        names["fourth"]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match=r"no column 'a', which spec 'tiny' needs.*columns: b"):
        SPEC.evaluate("first", {"b": [1]}, {})
    with pytest.raises(InputError, match="no column 'task'"):
        SPEC.evaluate("task == 'qa'", {"b": [1]}, {})


@pytest.mark.parametrize("hardware", [{"num_sm": 1.0}, {"num_sm": 1.0, "l2_MB": None}])
def test_a_missing_hardware_field_is_named(hardware: dict[str, Any]) -> None:
    with pytest.raises(HardwareError, match=r"no 'l2_MB', which spec 'tiny' needs.*num_sm"):
        SPEC.evaluate("third", {"a": [1.0]}, hardware)


@pytest.mark.parametrize(
    "columns", [{"a": [1, 2], "b": [1]}, {"a": [[1, 2]]}, {"a": [1, 2], "other": [1, 2, 3]}]
)
def test_columns_of_other_lengths_are_refused(columns: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="differ in length"):
        SPEC.namespace(columns, {})
