"""Simulation-based calibration of both engines, for every named parameter.

All p-values of one test are adjusted by Holm; the tests of an engine together reject a right
sampler in 1 % of all seeds. Seeds are fixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bayeslat.evaluation.uniformity import KEPT
from bayeslat.inference.engines.draws import StageDraws
from bayeslat.inference.engines.laplace import sample_laplace
from bayeslat.inference.engines.nuts import sample_nuts
from bayeslat.model.problem import StageProblem
from tests.calibration import calibrate, shrink_offsets

pytestmark = pytest.mark.slow

# Few rows, so that the priors matter: with many, a wrong prior is not seen.
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "2 GPUs": {"families": {"a": "n", "b": "s"}, "rows": 12},
    "2 GPUs of a family": {"families": {"a": "n", "b": "n"}, "rows": 12},
    "4 GPUs, a family and stacks": {
        "families": {"a": "n", "b": "n", "c": "s", "d": "e"},
        "groups": (("a", "v1"), ("a", "v2"), ("b", ""), ("c", ""), ("d", "")),
        "rows": 12,
    },
    "8 GPUs, two families": {
        "families": dict(zip("abcdefgh", "nnnsseuv", strict=True)),
        "rows": 12,
    },
}
LEVEL = 0.01 / len(SHAPES)


def nuts(problem: StageProblem, seed: int) -> StageDraws:
    """One chain, to be thinned by five: nearly independent draws."""
    return sample_nuts(problem, seed, chains=1, draws=5 * KEPT, tune=200)


@pytest.mark.parametrize("shape", SHAPES)
def test_nuts_is_calibrated(shape: str) -> None:
    found = calibrate(nuts, SHAPES[shape], simulations=250, seed=7)
    name, p = found.worst
    assert p > LEVEL, f"{name}: ranks are not uniform, adjusted p = {p:.2g}"


@pytest.mark.parametrize("shape", SHAPES)
def test_laplace_is_calibrated(shape: str) -> None:
    found = calibrate(sample_laplace, SHAPES[shape], simulations=250, seed=8)
    name, p = found.worst
    assert p > LEVEL, f"{name}: ranks are not uniform, adjusted p = {p:.2g}"


@pytest.mark.parametrize("shape", ["2 GPUs", "4 GPUs, a family and stacks", "8 GPUs, two families"])
def test_a_prior_three_times_too_narrow_is_seen(shape: str) -> None:
    """The broken twin: GPUs differ more than the fit believes."""
    found = calibrate(
        nuts, SHAPES[shape], simulations=60, seed=7, believe=lambda each: shrink_offsets(each, 3.0)
    )
    name, p = found.worst
    assert p < LEVEL
    assert name.startswith("offset_scale")


def test_intervals_a_quarter_too_narrow_are_seen() -> None:
    """The other broken twin: right everywhere, but too sure."""

    def too_sure(problem: StageProblem, seed: int) -> StageDraws:
        drawn = sample_laplace(problem, seed)
        centre = drawn.effects.mean(axis=(0, 1))
        return StageDraws(drawn.scales, centre + 0.75 * (drawn.effects - centre), drawn.statistics)

    assert calibrate(too_sure, SHAPES["2 GPUs"], simulations=250, seed=8).worst[1] < LEVEL
