"""The rows of a GPU, in a block for each stack that they are taken for."""

from __future__ import annotations

import pandas as pd
import pytest

from bayeslat.evaluation.blocks import name_block, split_stacks
from tests.posteriors import make_data

pytestmark = pytest.mark.xdist_group("small posterior")


@pytest.mark.parametrize(
    ("stacks", "named", "blocks"),
    [
        ((), (None, "v2", None), {"": [0, 2], "v2": [1]}),
        (("v1",), (None, "v2", "v1"), {"v1": [0, 2], "v2": [1]}),
        (("v1", "v2"), ("v2", None, "v2"), {"v2": [0, 2], None: [1]}),
    ],
)
def test_rows_that_name_no_stack_are_of_the_one_that_is_meant(
    stacks: tuple[str, ...],
    named: tuple[str | None, ...],
    blocks: dict[str | None, list[int]],
) -> None:
    rows = pd.DataFrame({"stack": list(named)}, index=[7, 7, 9], dtype=object)
    found = split_stacks(make_data(stacks=stacks), "a100_sxm", rows)
    assert {stack: held.tolist() for stack, held in found.items()} == blocks


def test_without_a_column_all_rows_are_of_one_block() -> None:
    (held,) = split_stacks(make_data(), "l40s", pd.DataFrame({"context": [1, 2]})).values()
    assert held.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("stack", "unmeasured", "alone", "name"),
    [
        ("v1", "", True, "l40s"),
        ("v1", "gpu", True, "l40s"),
        ("v1", "", False, "l40s with v1"),
        ("v1", "stack", True, "l40s with v1"),
        ("", "name", True, "l40s without a stack"),
        ("", "", False, "l40s without a stack"),
    ],
)
def test_a_stack_is_named_where_it_is_not_the_only_one(
    stack: str, unmeasured: str, alone: bool, name: str
) -> None:
    row = {"gpu": "l40s", "stack": stack, "unmeasured": unmeasured}
    assert name_block(row, alone=alone) == name
