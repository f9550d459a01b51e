"""Rows that name another GPU than the one that they are predicted for."""

from __future__ import annotations

import pandas as pd
import pytest

from bayeslat.features.hardware import load_hardware
from bayeslat.report.other_gpus import count_other_gpus, other_gpus_line


def test_aliases_are_one_gpu_and_the_most_rows_come_first() -> None:
    names = pd.Series(["mine", "A100-SXM", "h100", " ", None, "a100_sxm", "H100_SXM"])
    found = count_other_gpus(pd.DataFrame({"gpu": names}), "h100_sxm", load_hardware())
    assert list(found.items()) == [("a100_sxm", 2), ("mine", 1)]


@pytest.mark.parametrize("frame", [pd.DataFrame({"k": [1]}), pd.DataFrame({"gpu": [None, None]})])
def test_without_names_there_are_no_others(frame: pd.DataFrame) -> None:
    assert count_other_gpus(frame, "h100_sxm", load_hardware()) == {}


def test_many_gpus_are_told_in_short() -> None:
    others = {"a": 2000, "b": 3, "c": 2, "d": 1, "e": 1}
    assert other_gpus_line(others, 3000, "l40s") == (
        "Other GPUs: 2,007 of 3,000 rows name another (a, b, c, 2 more), and are predicted as l40s"
    )
