"""Which rows of a pass are gross errors, beside the settled pilot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bayeslat.inference.compression.stream.outliers import Outliers
from tests.posteriors import make_data

pytestmark = pytest.mark.xdist_group("small posterior")


def gross(off: Any, ratio: Any, *, dof: float = 4.0, hurdle: bool = False, **more: Any) -> Any:
    """Ask about rows that are off by noise sds, and by a ratio of latencies."""
    point = replace(make_data().stages["prefill"].settled, noise_dof=dof)
    unit = np.sqrt(dof) if np.isfinite(dof) else 1.0  # noise sds
    residual = np.sign(np.log(ratio)) * np.array(off) / unit
    whiten = np.abs(residual / np.log(ratio))
    beyond = more.get("beyond")
    return Outliers(point, hurdle=hurdle).gross(residual, whiten, beyond)


@pytest.mark.parametrize("dof", [4.0, np.inf])
def test_they_are_far_off_in_noise_and_in_latency(dof: float) -> None:
    off, ratio = [16.0, 16.0, 14.0, 16.0, 16.0], [6.0, 1 / 6.0, 6.0, 4.0, 1 / 4.0]
    assert gross(off, ratio, dof=dof).tolist() == [True, True, False, False, False]


def test_there_is_none_among_usual_rows_beyond_the_range_and_with_a_hurdle() -> None:
    assert gross([1.0, 14.0], [6.0, 6.0]) is None
    assert gross([16.0, 16.0], [6.0, 7.0], beyond=np.array([False, True])).tolist() == [True, False]
    assert gross([16.0], [6.0], beyond=np.array([True])) is None
    assert gross([16.0], [6.0], hurdle=True) is None


def test_what_is_no_number_is_no_gross_error() -> None:
    """The pass refuses it: it may not get lost among them."""
    point = make_data().stages["prefill"].settled
    residual = np.array([np.inf, np.nan, -np.inf])
    assert Outliers(point, hurdle=False).gross(residual, np.ones(3), None) is None
