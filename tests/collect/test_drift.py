from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.collect.drift import reference_drift


def reference_rows(total_ms: np.ndarray, hours: float = 2.0) -> pd.DataFrame:
    start = pd.Timestamp("2026-01-31T12:00:00Z")
    moments = [start + pd.Timedelta(hours=at) for at in np.linspace(0, hours, len(total_ms))]
    return pd.DataFrame(
        {
            "reference": True,
            "stage_sum_ms": total_ms,
            "collected_at": [f"{moment:%Y-%m-%dT%H:%M:%S}Z" for moment in moments],
        }
    )


def test_a_steady_rise_is_its_size() -> None:
    found = reference_drift(reference_rows(100 * 1.2 ** np.linspace(0, 1, 9)))
    assert found is not None
    assert found.change == pytest.approx(0.2)
    assert found.hours == pytest.approx(2.0)
    assert found.scatter == pytest.approx(0.0, abs=1e-9)
    assert not found.tolerable


def test_a_single_slow_one_is_no_drift() -> None:
    total_ms = np.full(12, 100.0)
    total_ms[-1] = 500.0
    found = reference_drift(reference_rows(total_ms))
    assert found is not None
    assert found.change == pytest.approx(0.0)
    assert found.tolerable


def test_the_error_is_that_of_repeated_collections() -> None:
    # No drift, 4 % scatter: the changes of 400 collections scatter as each of them says.
    rng = np.random.default_rng(0)
    found = [
        reference_drift(reference_rows(100 * np.exp(0.04 * rng.standard_normal(25))))
        for _ in range(400)
    ]
    changes = np.array([drift.change for drift in found if drift])
    errors = np.array([drift.change_se for drift in found if drift])
    # The sd of 400 values is known to 3.5 %, and the median of their errors to about as much.
    assert np.median(errors) == pytest.approx(changes.std(), rel=0.2)
    # Beyond two standard errors by chance: the twin without a tolerance is wrong far more often.
    assert np.mean([not drift.tolerable for drift in found if drift]) < 0.12
    assert np.mean(np.abs(changes) > 0.01) > 0.5


def test_scatter_alone_is_tolerable_and_drift_beyond_it_is_not() -> None:
    rng = np.random.default_rng(1)
    noise = np.exp(0.05 * rng.standard_normal(40))
    flat = reference_drift(reference_rows(100 * noise))
    rising = reference_drift(reference_rows(100 * noise * 1.3 ** np.linspace(0, 1, 40)))
    assert flat is not None
    assert rising is not None
    assert flat.tolerable
    assert not rising.tolerable


@pytest.mark.parametrize("rows", [0, 3])
def test_few_measurements_say_nothing(rows: int) -> None:
    assert reference_drift(reference_rows(np.full(rows, 100.0))) is None


def test_other_rows_are_not_the_reference() -> None:
    frame = reference_rows(100 * 1.2 ** np.linspace(0, 1, 9))
    assert reference_drift(frame.assign(reference=False)) is None


def test_measurements_at_one_moment_say_nothing() -> None:
    assert reference_drift(reference_rows(np.full(9, 100.0), hours=0.0)) is None
