"""Strata are covered in turn, and what was measured counts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayeslat.decisions.suggest.strata import BANDS, Strata, bands_of, strata_of

YES, NO = np.ones(6, dtype=bool), np.zeros(6, dtype=bool)


def test_each_value_is_a_stratum() -> None:
    values = pd.Series(["qa", "chat", "qa", "qa", "chat", "tools"])
    distinct = np.array([True, True, True, False, True, True])
    measured = np.array([True, False, False, False, True, False])
    found = strata_of(values, distinct, measured)
    assert found.names == ("chat", "qa", "tools")
    assert found.labels.tolist() == [1, 0, 1, 1, 0, 2]
    assert found.sizes.tolist() == [2, 2, 1]
    assert found.taken.tolist() == [1, 1, 0]


def test_numbers_are_in_their_order() -> None:
    found = strata_of(pd.Series([8, 16, 8, 1, 1, 1]), YES, NO)
    assert found.names == ("1", "8", "16")


def test_what_was_measured_elsewhere_counts_for_its_value() -> None:
    values = pd.Series(["qa", "chat", "qa", "tools"])
    found = strata_of(values, YES[:4], NO[:4], pd.Series(["tools", "tools", "unheard of", ""]))
    assert (found.names, found.taken.tolist(), found.unplaced) == (
        ("chat", "qa", "tools"),
        [0, 0, 2],
        0,
    )
    assert found.sizes.tolist() == [1, 2, 1]  # of candidates
    # Knobs of a calibration are floats, whatever those of the candidates are.
    found = strata_of(pd.Series([8, 16, 8]), YES[:3], NO[:3], pd.Series([16.0, 16.0, 8.5]))
    assert found.taken.tolist() == [0, 2]


def test_beyond_a_largest_number_that_many_have_it_is_the_last_band() -> None:
    values = pd.Series([*np.arange(14.0), *[14.0] * 6])
    found = strata_of(values, np.ones(20, bool), np.zeros(20, bool), pd.Series([14.0, 1e9]))
    assert found.sizes.sum() == 20
    assert len(found.names) == len(found.sizes) == len(found.taken)
    assert found.taken.tolist() == [0] * (len(found.names) - 1) + [2]


def test_of_a_column_that_nobody_kept_measurements_are_in_no_stratum() -> None:
    found = strata_of(pd.Series(["a", "b"]), YES[:2], NO[:2], 3)
    assert (found.taken.tolist(), found.unplaced) == ([0, 0], 3)


def test_numbers_that_were_measured_elsewhere_count_for_their_band() -> None:
    values = pd.Series(np.arange(100.0))
    measured = np.zeros(100, dtype=bool)
    measured[50] = True
    elsewhere = pd.Series([-5.0, 19.0, 19.5, 20.5, 79.5, 1e9])
    found = strata_of(values, np.ones(100, bool), measured, elsewhere)
    assert found.names[0] == "0 to 19"
    assert found.taken.tolist() == [3, 1, 1, 0, 2]
    logs = np.array(elsewhere, dtype=np.float64)
    by_latency = bands_of(values.to_numpy(), np.ones(100, bool), measured, logs)
    assert by_latency.taken.tolist() == found.taken.tolist()


def test_numbers_with_many_values_are_cut_into_bands() -> None:
    found = strata_of(pd.Series(np.arange(100.0)), np.ones(100, bool), np.zeros(100, bool))
    assert found.names == ("0 to 19", "20 to 39", "40 to 59", "60 to 79", "80 to 99")
    assert found.sizes.tolist() == [20] * BANDS
    words = strata_of(
        pd.Series([f"n{k}" for k in range(20)]), np.ones(20, bool), np.zeros(20, bool)
    )
    assert len(words.names) == 20


def test_bands_of_latency_are_of_equal_size_and_in_order() -> None:
    rng = np.random.default_rng(0)
    log_total = rng.normal(5.0, 1.0, 200)
    found = bands_of(log_total, np.ones(200, dtype=bool), np.zeros(200, dtype=bool))
    assert found.sizes.tolist() == [40] * BANDS
    tops = [log_total[found.labels == band].max() for band in range(BANDS)]
    assert tops == sorted(tops)
    assert found.names[0] == f"{np.exp(log_total.min()):.4g} to {np.exp(tops[0]):.4g} ms"


def test_repeats_do_not_move_the_bands() -> None:
    log_total = np.array([1.0] * 50 + [2.0, 3.0, 4.0, 5.0])
    distinct = np.array([True] + [False] * 49 + [True] * 4)
    found = bands_of(log_total, distinct, np.zeros(54, dtype=bool))
    assert found.sizes.tolist() == [1, 1, 1, 1, 1]


def test_candidates_of_one_latency_are_one_band() -> None:
    assert bands_of(np.zeros(6), YES, NO).sizes.tolist() == [6]


def strata(sizes: list[int], taken: list[int]) -> Strata:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return Strata(tuple("abc")[: len(sizes)], labels, np.array(sizes), np.array(taken))


def test_what_was_measured_counts_for_its_size() -> None:
    left = np.ones(9, dtype=bool)
    assert strata([3, 3, 3], [0, 0, 0]).open(left).all()
    assert np.flatnonzero(strata([3, 3, 3], [1, 0, 1]).open(left)).tolist() == [3, 4, 5]
    # 2 of 6 are as much as 1 of 3.
    assert strata([6, 3], [2, 1]).open(left).all()
    assert np.flatnonzero(strata([6, 3], [2, 0]).open(left)).tolist() == [6, 7, 8]
    assert np.flatnonzero(strata([6, 3], [1, 1]).open(left)).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_stratum_without_candidates_left_is_passed_over() -> None:
    left = np.array([False] * 3 + [True] * 6)
    assert np.flatnonzero(strata([3, 3, 3], [0, 2, 1]).open(left)).tolist() == [6, 7, 8]


def test_a_measurement_is_counted_in_a_new_value() -> None:
    before = strata([3, 3], [0, 1])
    after = before.after(1)
    assert (before.taken.tolist(), after.taken.tolist()) == ([0, 1], [1, 1])
