"""Candidates for measurement keep what a GPU cannot, or does not, change."""

from __future__ import annotations

import pandas as pd

from bayeslat.evaluation.candidates import candidate_configs

KNOBS = ["batch_size", "dtype_bytes"]


def rows_of(gpu: str, batches: list[int], dtype_bytes: list[int]) -> pd.DataFrame:
    table = pd.DataFrame({"batch_size": batches, "dtype_bytes": dtype_bytes})
    return table.assign(gpu=gpu)


DONOR = rows_of("a", [1, 2, 4, 8, 4], [4] * 5)
OWN = rows_of("b", [1, 1, 16], [2] * 3)


def candidates(own: pd.DataFrame, *others: pd.DataFrame) -> set[tuple[int, int]]:
    found = candidate_configs(pd.concat([*others, own], ignore_index=True), own, KNOBS)
    assert not found.duplicated().any()
    return set(found.itertuples(index=False, name=None))


def test_what_no_gpu_moves_stays_as_the_gpu_has_it() -> None:
    assert candidates(OWN, DONOR) == {(batch, 2) for batch in (1, 2, 4, 8, 16)}


def test_few_rows_do_not_hold_what_others_move() -> None:
    one = OWN.head(1)
    assert candidates(one, DONOR) == {(batch, 2) for batch in (1, 2, 4, 8)}
    mixed = rows_of("c", [1, 2], [2, 4])
    assert (8, 4) in candidates(OWN, DONOR, mixed)


def test_many_rows_hold_what_they_never_moved() -> None:
    mixed = rows_of("c", [1, 2], [2, 4])
    many = rows_of("b", list(range(1, 11)), [2] * 10)
    assert {dtype_bytes for _, dtype_bytes in candidates(many, DONOR, mixed)} == {2}
    nine = candidates(many.head(9), DONOR, mixed)
    assert {dtype_bytes for _, dtype_bytes in nine} == {2, 4}


def test_stacks_are_told_apart() -> None:
    donor = pd.concat([DONOR.assign(stack="x"), DONOR.assign(stack="y", dtype_bytes=2)])
    assert {kept for _, kept in candidates(OWN.assign(stack="y"), donor)} == {2}


def test_without_rows_of_the_gpu_all_configs_are_candidates() -> None:
    assert candidates(OWN.head(0), DONOR) == {(batch, 4) for batch in (1, 2, 4, 8)}
