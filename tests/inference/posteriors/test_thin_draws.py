"""Fewer draws, the same posterior."""

from __future__ import annotations

import numpy as np
import pytest

from bayeslat.inference.posteriors.thin_draws import thin_draws
from tests.posteriors import make_data

pytestmark = pytest.mark.xdist_group("small posterior")


def test_scales_and_effects_are_thinned_alike_and_evenly() -> None:
    data = make_data()
    few = thin_draws(data, 3)
    for stage, part in data.stages.items():
        kept = [0, round((len(part.scales) - 1) / 2), len(part.scales) - 1]
        np.testing.assert_array_equal(few.stages[stage].scales, part.scales[kept])
        np.testing.assert_array_equal(few.stages[stage].effects, part.effects[kept])
        assert few.stages[stage].basis is part.basis


def test_few_draws_are_all_kept() -> None:
    data = make_data()
    part, kept = data.stages["prefill"], thin_draws(data, 10**6).stages["prefill"]
    np.testing.assert_array_equal(kept.effects, part.effects)
