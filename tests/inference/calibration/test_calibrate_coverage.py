"""Simulation-based calibration and coverage of calibrated GPUs.

Targets come from the donors' posterior without the heavy tails that calibration allows a new GPU,
and with a noise that differs from the donors' by a third and not by a half. So the truth is less
odd than is believed, and intervals are a little wide: ranks are a little too central, which the
bounds allow, and may not be too far out, which they do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from bayeslat.decisions.predict import predict
from bayeslat.evaluation.holm import adjust_holm
from bayeslat.evaluation.uniformity import rank_among, uniformity_p
from bayeslat.inference.calibration import calibrate as calibration
from bayeslat.inference.calibration.calibrate import calibrate_group
from bayeslat.inference.calibration.condition import Conditioned, condition
from bayeslat.inference.calibration.marginal import Marginal
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.model.simulate import draw_parameters, simulate
from tests.posteriors import GPUS, make_configs, make_data, small_spec, with_noise_shared
from tests.targets import draw_targets, stranger

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("small posterior")]

KEPT = 99
LEVEL = 0.01
TEST = make_configs(20, seed=77)


@dataclass(frozen=True)
class Outcome:
    """Over targets: ranks of coefficients and config medians, coverage of 90 % intervals."""

    ranks: NDArray[np.int64]  # shape: (target, quantity)
    coverage: NDArray[np.float64]  # shape: (target, median of stages and total; then a run)

    @property
    def worst(self) -> float:
        """Smallest p-value of uniform ranks, adjusted by Holm."""
        each = [uniformity_p(column, KEPT, bins=20) for column in self.ranks.T]
        return float(adjust_holm(np.array(each)).min())

    @property
    def outside(self) -> float:
        """Probability of so many ranks in the outer tenth, were they uniform; adjusted."""
        out = np.sum((self.ranks < 5) | (self.ranks >= 95), axis=0)
        return float(adjust_holm(binom.sf(out - 1, len(self.ranks), 0.1)).min())

    @property
    def interval(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean coverage over targets and its standard error; configs of a target go together."""
        count = len(self.coverage)
        return self.coverage.mean(axis=0), self.coverage.std(axis=0) / np.sqrt(count)


def observe(rows: int, count: int, seed: int, dof: float = np.inf) -> Outcome:
    """Calibrate targets, and see where the truth lies among the draws."""
    # Of simulated GPUs the model misses nothing, and knows it: typical runs do not depart.
    data, gpu = with_noise_shared(make_data(), 0.0), stranger()
    stages = {name: replace(part, noise_dof=dof) for name, part in data.stages.items()}
    data = replace(data, stages=stages)
    configs = pd.concat([make_configs(rows, seed=5), TEST], ignore_index=True)
    ranks, coverage = [], []
    for number, truth in enumerate(draw_targets(data, configs, count, seed)):
        found = calibrate_group(data, truth.frame[:rows], gpu, "", seed=number)
        typical = predict(found, TEST, gpu, of="typical", seed=number)
        run = predict(found, TEST, gpu, seed=number).frame
        of_target: list[NDArray[np.int64]] = []
        for stage, part in found.targets[gpu.key, ""].stages.items():
            keep = np.arange(KEPT) * (len(part.effects) // KEPT)
            terms = len(part.departure)
            effects = part.effects[keep, :terms]
            of_target.append(rank_among(truth.effects[stage][:terms], effects))
            draws = typical.stages[stage].typical_ms[:3][:, keep]
            of_target.append(rank_among(truth.typical_ms[stage][rows:][:3], draws.T))
        ranks.append(np.concatenate(of_target))
        medians = {**truth.typical_ms, "total": truth.total_ms(data)}
        covered = [_covers(typical.frame, s, t[rows:]) for s, t in medians.items()]
        held = truth.frame.iloc[rows:]
        covered += [_covers(run, s, held[f"t_{s}_ms"].to_numpy()) for s in data.stages]
        coverage.append(covered)
    return Outcome(np.array(ranks), np.array(coverage))


def _covers(frame: pd.DataFrame, stage: str, truth: NDArray[np.float64]) -> float:
    low, high = frame[f"{stage}_q05_ms"].to_numpy(), frame[f"{stage}_q95_ms"].to_numpy()
    return float(np.mean((low <= truth) & (truth <= high)))


@pytest.mark.parametrize(("rows", "dof"), [(5, np.inf), (25, np.inf), (5, 3.0), (25, 3.0)])
def test_truth_is_among_the_draws_as_often_as_they_say(rows: int, dof: float) -> None:
    found = observe(rows, 300, seed=41, dof=dof)
    assert found.outside > LEVEL
    mean, error = found.interval
    assert (mean > 0.90 - 3 * error).all(), mean
    assert (mean < 0.95 + 3 * error).all(), mean


type Twin = Callable[..., Conditioned]


def too_sure_of_offsets(marginal: Marginal, *rest, **options):  # type: ignore[no-untyped-def]
    """Half of the spread between GPUs."""
    population = marginal.population
    narrow = replace(population, spread=0.5 * population.spread)
    return condition(replace(marginal, population=narrow), *rest, **options)


def too_sure_of_the_centre(marginal: Marginal, *rest, **options):  # type: ignore[no-untyped-def]
    """The centre and the noise of the mean draw, at a third of the noise."""
    population = marginal.population
    flat = np.broadcast_to(population.log_noise.mean() - np.log(3), population.log_noise.shape)
    quiet = replace(population, log_noise=flat, log_noise_sd=0.05)
    return condition(replace(marginal, population=quiet), *rest, **options)


def too_narrow(*given, **options):  # type: ignore[no-untyped-def]
    """Draws drawn in towards their mean by a quarter."""
    drawn = condition(*given, **options)
    centre = drawn.effects.mean(axis=0)
    return replace(drawn, effects=centre + 0.75 * (drawn.effects - centre))


@pytest.mark.parametrize("twin", [too_sure_of_offsets, too_sure_of_the_centre, too_narrow])
def test_broken_twins_are_seen(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "condition", twin)
    assert observe(5, 300, seed=41).outside < LEVEL


def test_predictions_cover_targets_of_full_simulations() -> None:
    """Donors and targets drawn from the priors, donors fitted anew: all that can go wrong together.

    Four targets a simulation share their donors, so the standard error is over simulations.
    """
    targets = ("l40s", "b200_sxm", "a30", "gh200")
    covered: dict[int, list[float]] = {5: [], 25: []}
    for seed in range(100, 130):
        configs = make_configs(65, seed)
        gpus = (*GPUS, *targets)
        truth = draw_parameters(small_spec(), gpus, configs=configs, seed=seed)
        frame = simulate(small_spec(), configs, gpus, parameters=truth, seed=seed)
        frame = frame.drop(columns=["config_id", "repeat"])
        data = fit_posterior(small_spec(), frame[frame["gpu"].isin(GPUS)], engine="laplace")
        for rows, found in covered.items():
            found.append(np.mean([_covered_runs(data, frame, gpu, rows) for gpu in targets]))
    for found in covered.values():
        error = np.std(found) / np.sqrt(len(found))
        assert 0.90 - 3 * error < np.mean(found) < 0.95 + 3 * error, np.mean(found)


def _covered_runs(data, frame, gpu, rows):  # type: ignore[no-untyped-def]
    """Coverage of held-out runs of one GPU, over stages."""
    from bayeslat.features.hardware import load_hardware

    own, entry = frame[frame["gpu"] == gpu], load_hardware().resolve(gpu)
    found = calibrate_group(data, own.iloc[:rows], entry, "")
    held = own.iloc[25:]
    run = predict(found, held[list(TEST)], entry).frame
    return np.mean([_covers(run, s, held[f"t_{s}_ms"].to_numpy()) for s in data.stages])
