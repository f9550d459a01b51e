"""Which stack each row of a trace is of."""

from __future__ import annotations

import pandas as pd
import pytest

from bayeslat.traces.row_stacks import row_stacks, split_by_stack


@pytest.mark.parametrize(
    ("named", "unnamed", "blocks"),
    [
        ((None, "v2", None), "", {"": [0, 2], "v2": [1]}),
        ((None, "v2", "v1"), "v1", {"v1": [0, 2], "v2": [1]}),
        (("v2", None, "v2"), None, {"v2": [0, 2], None: [1]}),
        ((pd.NA, 3, "3"), "v1", {"v1": [0], "3": [1, 2]}),
        ((" ", "v2 ", "v2"), "v1", {"v1": [0], "v2": [1, 2]}),
    ],
)
def test_rows_that_name_no_stack_are_of_the_one_that_is_meant(
    named: tuple[object, ...], unnamed: str | None, blocks: dict[str | None, list[int]]
) -> None:
    rows = pd.DataFrame({"stack": list(named)}, index=[7, 7, 9], dtype=object)
    found = split_by_stack(rows, unnamed)
    assert {stack: held.tolist() for stack, held in found.items()} == blocks
    assert list(found) == list(blocks)  # in the order of the rows


@pytest.mark.parametrize("unnamed", ["v1", "", None])
def test_without_a_column_all_rows_are_of_one_stack(unnamed: str | None) -> None:
    rows = pd.DataFrame({"context": [1, 2]}, index=[3, 3])
    assert row_stacks(rows, unnamed).tolist() == [unnamed] * 2
    ((stack, held),) = split_by_stack(rows, unnamed).items()
    assert (stack, held.tolist()) == (unnamed, [0, 1])


def test_each_gpu_has_a_stack_of_its_own() -> None:
    rows = pd.DataFrame(
        {"gpu": ["l40s", "h100_sxm", "l40s"], "stack": [None, None, "v3"]}, index=[5, 6, 7]
    )
    found = row_stacks(rows, {"l40s": "v1", "h100_sxm": ""})
    assert found.to_dict() == {5: "v1", 6: "", 7: "v3"}


def test_no_rows_are_of_no_stack() -> None:
    assert split_by_stack(pd.DataFrame({"stack": []}), "v1") == {}
    assert row_stacks(pd.DataFrame()).empty
