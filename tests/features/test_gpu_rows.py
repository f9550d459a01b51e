"""The rows of some GPUs, under any of their names."""

from __future__ import annotations

import pandas as pd
import pytest

from bayeslat.errors import InputError
from bayeslat.features.gpu_rows import gpu_rows
from bayeslat.features.hardware import load_hardware

TABLE = load_hardware()
ROWS = pd.DataFrame(
    {"gpu": ["NVIDIA L40S", "l40s", "h100_sxm", None, "my card"], "batch": range(5)}
)


def test_a_gpu_goes_by_all_of_its_names() -> None:
    assert gpu_rows(ROWS, ["l40s"], TABLE)["batch"].tolist() == [0, 1]
    assert gpu_rows(ROWS, ["h100_sxm", "l40s"], TABLE)["batch"].tolist() == [0, 1, 2]


def test_all_that_have_no_row_are_named_with_those_that_have() -> None:
    with pytest.raises(InputError) as raised:
        gpu_rows(ROWS, ["t4", "l40s", "a100_sxm"], TABLE)
    told = "no rows of GPU t4, a100_sxm; the trace holds NVIDIA L40S, h100_sxm, l40s, my card."
    assert str(raised.value).startswith(told)


@pytest.mark.parametrize("rows", [ROWS.head(0), ROWS.drop(columns="gpu")])
def test_what_lacks_rows_or_names_is_judged_elsewhere(rows: pd.DataFrame) -> None:
    assert gpu_rows(rows, ["l40s"], TABLE) is rows
