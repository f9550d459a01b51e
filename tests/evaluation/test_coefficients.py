"""Coefficients of GPUs, beside those of the donors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.evaluation.coefficients import coefficient_table, compare_with_donors
from bayeslat.posterior import Posterior
from tests.posteriors import GPUS, make_data, make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

TERMS = [
    ("prefill", "compute"), ("prefill", "memory"), ("prefill", "launch"),
    ("decode", "memory"), ("decode", "launch"),
]  # fmt: skip


def test_every_gpu_has_every_term_with_its_quantiles() -> None:
    data = Posterior(make_data()).calibrate(make_frame(5, ("l40s",), rows=20), "l40s").data
    table = coefficient_table(data)
    assert len(table) == len(TERMS) * (len(GPUS) + 1)
    assert set(zip(table["stage"], table["term"], strict=True)) == set(TERMS)
    assert (table.groupby("gpu")["fitted"].first() == [True, True, True, False]).all()
    assert (table["q05"] < table["median"]).all()
    assert (table["median"] < table["q95"]).all()
    part = data.stages["decode"]
    node = part.problem.tree.index("h100_sxm")
    times = np.exp(part.shared_efficiency[0] + part.effects[:, node, 0])
    row = table[(table["gpu"] == "h100_sxm") & (table["stage"] == "decode")].iloc[0]
    assert row["median"] == pytest.approx(np.median(times))
    assert row["q95"] == pytest.approx(np.quantile(times, 0.95))


def test_a_gpu_that_is_slower_in_one_kind_of_work_stands_out() -> None:
    rows = make_frame(0, ("a100_sxm",), rows=40).assign(gpu="l40s")
    # Decoding takes twice as long; all else is as a donor has it.
    slow = rows.assign(t_decode_ms=2.0 * rows["t_decode_ms"])
    data = Posterior(make_data()).calibrate(slow, "l40s").data
    found = compare_with_donors(coefficient_table(data), "l40s")
    assert list(zip(found["stage"], found["term"], strict=True)) == TERMS
    assert (found["low"] <= found["ratio"]).all()
    assert (found["ratio"] <= found["high"]).all()
    expected = ~((found["low"] <= 1.0) & (found["high"] >= 1.0))
    assert found["differs"].tolist() == expected.tolist()


def make_table(*rows: tuple[str, str, bool, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "stage": "decode",
                "term": "memory",
                "gpu": gpu,
                "stack": stack,
                "fitted": fitted,
                "median": median,
                "q05": 0.8 * median,
                "q95": 1.25 * median,
            }
            for gpu, stack, fitted, median in rows
        ]
    )


def test_the_middle_is_the_geometric_mean_of_the_other_donors() -> None:
    table = make_table(
        ("a100", "", True, 1.0),
        ("h100", "", True, 4.0),
        ("l40s", "v1", False, 3.0),
        ("l40s", "v2", False, 2.0),
    )
    [found] = compare_with_donors(table, "l40s", "v1").to_dict("records")
    assert found["ratio"] == pytest.approx(3.0 / 2.0)
    assert (found["low"], found["high"]) == (pytest.approx(1.2), pytest.approx(1.875))
    assert found["differs"]
    [other] = compare_with_donors(table, "l40s", "v2").to_dict("records")
    assert other["ratio"] == pytest.approx(1.0)
    assert not other["differs"]
    # A donor is compared with the others, not with itself.
    [donor] = compare_with_donors(table, "h100").to_dict("records")
    assert donor["ratio"] == pytest.approx(4.0)


def test_without_a_gpu_or_without_others_there_is_nothing_to_compare() -> None:
    table = make_table(("a100", "", True, 1.0), ("h100", "", True, 4.0))
    assert compare_with_donors(table, "l40s").empty
    assert compare_with_donors(table[table["gpu"] == "a100"], "a100").empty


def test_a_donor_that_was_updated_is_told_by_its_update() -> None:
    table = make_table(("a100", "", True, 1.0), ("h100", "", True, 4.0), ("h100", "", False, 2.0))
    [found] = compare_with_donors(table, "h100").to_dict("records")
    assert found["ratio"] == pytest.approx(2.0)
