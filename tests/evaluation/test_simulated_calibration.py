"""Simulation-based calibration of a spec: what it ranks, and that it sees a fit too sure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import bayeslat as bl
from bayeslat.errors import InputError
from bayeslat.evaluation.simulated_calibration import SimulatedCalibration
from bayeslat.inference.fitting import fit as fit_module
from bayeslat.inference.posteriors.posterior import PosteriorData
from tests.posteriors import make_configs, small_spec

GPUS = ("a100_sxm", "l40s")
SIMULATIONS = 60


def study(**options: Any) -> SimulatedCalibration:
    return bl.simulation_based_calibration(
        small_spec(), make_configs(30), GPUS, simulations=SIMULATIONS, seed=3, **options
    )


@pytest.mark.slow
def test_latencies_are_calibrated_and_a_fit_that_is_too_sure_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = study(jobs=2).frame
    latency = right[right["term"] == "latency"]
    assert len(latency) == 2 * len(GPUS)
    # 60 simulations: a share of .9 has a standard error of .04.
    assert latency["coverage_90"].min() > 0.90 - 4 * 0.04
    assert right["p_adjusted"].between(0, 1).all()

    whole = fit_module.fit_posterior

    def too_sure(*words: Any, **options: Any) -> PosteriorData:
        data = whole(*words, **options)
        stages = {
            name: replace(
                part,
                effects=part.effects.mean(axis=0)
                + 0.25 * (part.effects - part.effects.mean(axis=0)),
            )
            for name, part in data.stages.items()
        }
        return replace(data, stages=stages)

    monkeypatch.setattr(fit_module, "fit_posterior", too_sure)
    wrong = study().frame
    assert wrong["coverage_90"].mean() < right["coverage_90"].mean() - 0.2
    assert wrong["p_adjusted"].min() < 1e-6


@pytest.mark.slow
def test_every_stage_and_group_is_ranked_and_other_columns_change_nothing() -> None:
    configs = make_configs(20)
    trace = configs.assign(gpu="h100_sxm", stack="v9", t_prefill_ms=1.0)
    first, again = (
        bl.simulation_based_calibration(
            small_spec(), each, ["h100_sxm"], stacks=["v1", "v2"], simulations=20
        )
        for each in (configs, trace)
    )
    np.testing.assert_array_equal(first.ranks.ranks, again.ranks.ranks)
    assert first.ranks.ranks.shape == (20, len(first.labels))
    assert {group for _, _, group in first.labels} == {"h100_sxm@v1", "h100_sxm@v2"}
    assert {stage for stage, _, _ in first.labels} == set(small_spec().stages)
    assert first.frame["mean_rank"].between(0.2, 0.8).mean() > 0.8
    name, p = first.worst
    assert name in first.ranks.names
    assert p == pytest.approx(first.frame["p_adjusted"].min())


@pytest.mark.slow
def test_the_order_of_gpus_and_stacks_changes_names_alone() -> None:
    """Groups of a fit are sorted: each truth is ranked among the draws of its own group."""
    orders = [(("a100_sxm", "l40s"), ("v1", "v2")), (("l40s", "a100_sxm"), ("v2", "v1"))]
    tables = [
        bl.simulation_based_calibration(
            small_spec(), make_configs(20), gpus, stacks=stacks, simulations=20, seed=1
        ).frame
        for gpus, stacks in orders
    ]
    for table in tables:
        latency = table[table["term"] == "latency"]
        assert latency["coverage_90"].min() > 0.90 - 4 * 0.067  # 20 simulations
        assert latency["p"].min() > 1e-4


def test_too_few_simulations_are_refused() -> None:
    with pytest.raises(InputError, match="simulations is 5"):
        bl.simulation_based_calibration(small_spec(), make_configs(20), GPUS, simulations=5)
