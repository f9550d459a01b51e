"""What repeats count for, against the covariance of rows written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import beta

from bayeslat.inference.rows.pilot import Pilot, fit_pilot
from bayeslat.inference.rows.repeats import (
    UNTOLD_CONFIGS,
    number_configs,
    pooled_shared_variance,
    repeat_counts,
    row_weights,
    shared_prior,
    shared_variance,
)
from tests.regressions import Array

MAX_ERRORS = 4.0
UNTOLD = 0.4
UNEVEN = np.repeat(np.arange(6), [1, 2, 3, 1, 8, 5])


def covariance(labels: NDArray[np.int64], shared: float) -> Array:
    """Covariance of rows of unit variance, of which repeats share a part. Shape (row, row)."""
    same = (labels[:, None] == labels).astype(float)
    return shared * same + (1 - shared) * np.eye(len(labels))


def draw_repeats(
    seed: int, counts: NDArray[np.int64], shared: float
) -> tuple[Array, NDArray[np.int64]]:
    """Draw errors of unit variance, of which repeats share a part, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    own = np.sqrt(1 - shared) * rng.standard_normal(len(labels))
    return np.sqrt(shared) * rng.standard_normal(len(counts))[labels] + own, labels


def estimate(errors: Array, labels: NDArray[np.int64], dof: float = np.inf) -> float:
    """Estimate the shared part round a constant."""
    return shared_variance(pilot_of(errors, labels, dof), labels)


def pilot_of(errors: Array, labels: NDArray[np.int64], dof: float = np.inf) -> Pilot:
    """Fit a constant."""
    design, once = np.ones((len(errors), 1)), row_weights(labels, 1.0)
    return fit_pilot(design, 0.3 + 0.05 * errors, once, np.array([1e6]), dof)


def shared_error(counts: NDArray[np.int64], shared: float) -> float:
    """Standard error of an ICC of normal rows, at least: Donner 1986, eq. 3.2, with mean counts."""
    size, configs = counts.mean(), len(counts)
    spread = (1 - shared) ** 2 * (1 + (size - 1) * shared) ** 2
    return float(np.sqrt(2 * spread / (size * (size - 1) * configs)))


def test_repeats_have_equal_numbers_and_others_have_not() -> None:
    configs = pd.DataFrame(
        {
            "batch_size": [1, 2, 1, 1, 2, 1],
            "context": [128.0, 128.0, 128.0, 256.0, 128.0, 128.0],
            "task": ["qa", "qa", "qa", "qa", "qa", "chat"],
        }
    )
    labels = number_configs(configs)
    expected = configs.groupby(list(configs.columns), sort=False).ngroup().to_numpy()
    np.testing.assert_array_equal(
        labels[:, None] == labels, expected[:, None] == expected, strict=True
    )
    assert sorted(set(labels)) == [0, 1, 2, 3]
    np.testing.assert_array_equal(repeat_counts(labels), [2, 2, 2, 1, 2, 1])


def test_numbers_do_not_depend_on_the_index_or_the_other_rows() -> None:
    configs = pd.DataFrame({"batch_size": [4, 1, 4], "context": [8, 8, 8]}, index=[7, 7, 3])
    labels = number_configs(configs)
    assert labels[0] == labels[2] != labels[1]
    reverse = number_configs(configs.iloc[::-1])
    np.testing.assert_array_equal(reverse[::-1], labels)


def test_no_rows_have_no_numbers() -> None:
    none = number_configs(pd.DataFrame({"batch_size": np.empty(0)}))
    assert none.shape == repeat_counts(none).shape == row_weights(none, 0.5).shape == (0,)


@pytest.mark.parametrize("shared", [0.0, 0.3, 1.0])
def test_the_variance_of_a_weighted_mean_is_one_over_its_rows(shared: float) -> None:
    """Kish 1965, section 5.4: and no other weights have a smaller one (Gauss and Markov)."""
    weights = row_weights(UNEVEN, shared)
    rows = covariance(UNEVEN, shared)
    variance = weights @ rows @ weights / weights.sum() ** 2
    assert variance == pytest.approx(1 / weights.sum(), rel=1e-12)
    inverse = np.linalg.pinv(rows)
    assert weights.sum() == pytest.approx(inverse.sum(), rel=1e-9)


def test_rows_that_count_for_one_each_are_too_sure() -> None:
    """The broken twin of the test above."""
    even = row_weights(UNEVEN, 0.0)
    variance = even @ covariance(UNEVEN, 0.3) @ even / even.sum() ** 2
    assert variance > 1.5 / even.sum()


def test_weights_are_one_or_one_a_configuration_at_the_ends() -> None:
    np.testing.assert_array_equal(row_weights(UNEVEN, 0.0), np.ones(len(UNEVEN)))
    np.testing.assert_allclose(np.bincount(UNEVEN, row_weights(UNEVEN, 1.0)), 1.0, rtol=1e-12)


@pytest.mark.parametrize("dof", [4.0, np.inf])
@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("uneven", [False, True])
def test_the_shared_part_is_recovered(shared: float, uneven: bool, dof: float) -> None:
    rng = np.random.default_rng(12)
    counts = rng.integers(1, 8, 300) if uneven else np.full(300, 4)
    errors, labels = draw_repeats(13, counts, shared)
    found = estimate(errors, labels, dof)
    assert abs(found - shared) < MAX_ERRORS * shared_error(counts, shared)
    # The broken twin: repeats that lost their labels share nothing.
    lost = estimate(errors, rng.permutation(labels), dof)
    assert shared == 0 or abs(lost - shared) > MAX_ERRORS * shared_error(counts, shared)


def test_one_wild_repeat_does_not_decide() -> None:
    counts = np.full(300, 4)
    errors, labels = draw_repeats(14, counts, 0.5)
    errors[0] += 100.0
    assert abs(estimate(errors, labels, 4.0) - 0.5) < MAX_ERRORS * shared_error(counts, 0.5)


def test_exact_copies_share_everything() -> None:
    errors, labels = draw_repeats(15, np.full(20, 3), 1.0)
    assert estimate(errors, labels) == pytest.approx(1.0, abs=1e-12)


def test_rows_that_a_fit_follows_keep_a_fifth_of_their_variance() -> None:
    """Of pairs at +1.5 and 0.5 round nothing: 0.5 within, and 1.25 / 0.2 in all."""
    labels = np.repeat(np.arange(20), 2)
    residual = np.tile([1.5, 0.5, -1.5, -0.5], 10)
    nothing = np.zeros(40)
    pilot = Pilot(np.zeros(20), nothing, residual, np.ones(40), 1.0, 0.0)
    assert shared_variance(pilot, labels) == pytest.approx(1 - 0.5 / (1.25 / 0.2))
    free = Pilot(np.zeros(20), nothing, residual, nothing, 1.0, 0.0)
    assert shared_variance(free, labels) == pytest.approx(1 - 0.5 / 1.25)


@pytest.mark.parametrize("repeated", [0, 4])
def test_few_repeated_configurations_leave_the_cautious_end(repeated: int) -> None:
    counts = np.where(np.arange(50) < repeated, 3, 1)
    errors, labels = draw_repeats(16, counts, 0.0)
    assert estimate(errors, labels) == 1.0


def test_five_repeated_configurations_are_enough() -> None:
    counts = np.where(np.arange(50) < 5, 3, 1)
    errors, labels = draw_repeats(16, counts, 0.0)
    assert estimate(errors, labels) < 1.0


def test_no_rows_share_everything() -> None:
    none = fit_pilot(np.empty((0, 1)), np.empty(0), np.empty(0), np.array([1.0]), 4.0)
    assert shared_variance(none, np.empty(0, dtype=np.int64)) == 1.0


def pooled(parts: list[tuple[float, NDArray[np.int64]]]) -> float:
    """Estimate over groups that share parts of their variance, with the counts of their repeats."""
    drawn = [draw_repeats(20 + at, counts, shared) for at, (shared, counts) in enumerate(parts)]
    pilots, labels = [pilot_of(*each) for each in drawn], [each[1] for each in drawn]
    return pooled_shared_variance(pilots, labels, UNTOLD)[0]


def test_groups_count_by_their_repeated_configurations() -> None:
    many, few, once = np.full(300, 4), np.full(100, 4), np.ones(200, dtype=int)
    error = max(shared_error(few, 0.8), shared_error(many, 0.4))
    found = pooled([(0.4, many), (0.8, few), (0.0, once)])
    assert abs(found - 0.5) < MAX_ERRORS * error


def test_without_repeats_it_is_what_was_expected() -> None:
    assert pooled([(0.0, np.ones(50, dtype=int)), (0.0, np.full(4, 3))]) == UNTOLD
    assert pooled_shared_variance([], [], UNTOLD) == (UNTOLD, UNTOLD_CONFIGS)


def test_few_repeats_hardly_tell() -> None:
    few = pooled([(1.0, np.full(5, 3))])
    assert few == pytest.approx((10 * UNTOLD + 5) / 15, abs=1e-9)
    assert few < pooled([(1.0, np.full(100, 3))]) < 0.99


@pytest.mark.parametrize(("shared", "limit"), [(0.0, 0.01), (1.0, 0.99)])
def test_nothing_is_all_noise_or_without_any(shared: float, limit: float) -> None:
    labels = np.repeat(np.arange(1000), 4)
    rng = np.random.default_rng(0)
    values = rng.standard_normal(1000)[labels] if shared else np.tile([-1.0, 1.0], 2000)
    assert pooled_shared_variance([pilot_of(values, labels)], [labels], UNTOLD)[0] == limit


@pytest.mark.parametrize("shared", [0.0, 0.2, 0.5, 1.0])
def test_what_is_known_of_the_part_grows_with_repeated_configurations(shared: float) -> None:
    parts = [beta(*shared_prior(shared, configs)) for configs in (UNTOLD_CONFIGS, 100.0, 1000.0)]
    for part in parts:
        assert part.mean() == pytest.approx(np.clip(shared, 0.01, 0.99))
    assert parts[0].std() > 2 * parts[1].std() > 4 * parts[2].std()
    assert shared_prior(0.5) == (1.0, 1.0)  # uniform, where nothing tells
