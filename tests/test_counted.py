"""Numbers of things in messages."""

from __future__ import annotations

import pytest

from bayeslat.counted import counted


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1234, "1,234 rows")]
)
def test_one_thing_is_singular(count: int, told: str) -> None:
    assert counted(count, "row") == told


def test_another_plural_is_named() -> None:
    assert counted(1, "row of a GPU", "rows of GPUs") == "1 row of a GPU"
    assert counted(2, "row of a GPU", "rows of GPUs") == "2 rows of GPUs"
