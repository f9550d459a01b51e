"""The names of a check's blocks: a GPU's rows, by stack."""

from __future__ import annotations

import pytest

from bayeslat.evaluation.blocks import name_block


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
