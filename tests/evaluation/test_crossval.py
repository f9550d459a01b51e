"""Cross-validation refuses what it cannot score, before it fits anything."""

from __future__ import annotations

import pytest

from bayeslat.errors import InputError
from bayeslat.evaluation.crossval import cross_validate
from bayeslat.inference.fitting import fit
from tests.posteriors import make_frame, small_spec


def test_counts_beyond_what_is_left_are_refused_before_any_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_fit(*_: object, **__: object) -> None:
        raise AssertionError("was fitted")

    monkeypatch.setattr(fit, "fit_posterior", no_fit)
    traces = make_frame(0, rows=40)
    few = traces["gpu"].ne("h200_sxm") | (traces.groupby("gpu").cumcount() < 30)
    with pytest.raises(InputError) as caught:
        cross_validate(small_spec(), traces[few], counts=(0, 18, 50, 500), test_configs=15)
    assert str(caught.value) == (
        "counts are 50, 500, but a100_sxm has 25 configurations left to calibrate with; "
        "counts are 50, 500, but h100_sxm has 25 configurations left to calibrate with; "
        "counts are 18, 50, 500, but h200_sxm has 15 configurations left to calibrate with. "
        "Ask for fewer, or add traces"
    )
    with pytest.raises(AssertionError, match="was fitted"):
        cross_validate(small_spec(), traces, counts=(0, 25), test_configs=15)


def test_without_counts_those_that_every_donor_has_configurations_for_are_scored() -> None:
    traces = make_frame(0, rows=24)
    found = cross_validate(small_spec(), traces, splits=1, test_configs=12)
    assert set(found.scores["rows"]) == {0, 5, 10}
