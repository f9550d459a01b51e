"""P(latency > budget) of one run of several stages, given each draw of a posterior."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.run_noise import combine_noise, noise_size, student_above
from bayeslat.decisions.stage_prediction import StagePrediction

__all__ = ["exceed_given"]

_NOTHING_LEFT, _NOTHING_TAKEN = 1e-300, 1e-200  # ms
_NOISY = 0.3  # log scale of a stage's noise that may exceed a budget of the sum by itself
_APART = -0.2  # below this correlation, others make up for what it takes


def exceed_given(
    stages: Sequence[StagePrediction],
    budget_ms: float | NDArray[np.float64],
    noise_correlation: pd.DataFrame | None = None,
    *,
    add: bool = True,
) -> NDArray[np.float64]:
    """Return P(latency > budget) given each draw, over the noise of a run alone.

    A stage with a hurdle takes time or it does not: the probability is the mean over both.

    Parameters
    ----------
    stages : sequence of StagePrediction
        Of the same configs.
    budget_ms : float or ndarray, shape (config,)
    noise_correlation : DataFrame, stage by stage, optional
        Of the stages' noise, as a Gaussian copula; independent without one.
    add : bool
        Whether the budget is for the sum of `times` x latency, or for one run of a single stage.

    Returns
    -------
    ndarray, shape (config, draw)
    """
    times = [part.times[:, None] if add else np.ones((len(part.times), 1)) for part in stages]
    correlation = None if noise_correlation is None else noise_correlation.to_numpy()
    run = _Run(stages, times, correlation)
    everything = list(range(len(stages)))
    budgets = np.broadcast_to(budget_ms, len(times[0]))[:, None]
    return run.exceeds(budgets, everything, everything)


class _Run:
    """The stages of one run."""

    def __init__(
        self,
        stages: Sequence[StagePrediction],
        times: Sequence[NDArray[np.float64]],
        correlation: NDArray[np.float64] | None,
    ) -> None:
        self.stages, self.times, self.correlation = stages, times, correlation

    def exceeds(
        self, budget_ms: NDArray[np.float64], taking: list[int], undecided: list[int]
    ) -> NDArray[np.float64]:
        """P(over the budget). Shape (config, draw).

        Parameters
        ----------
        budget_ms : ndarray, shape (config, 1)
            What the stages that take no time leave.
        taking : list of int
            The stages that may take time.
        undecided : list of int
            Those of them that may have a hurdle which is still to be looked at.
        """
        if not undecided:
            return self._exceed_together(budget_ms, taking)
        at, *rest = undecided
        hurdle = self.stages[at].hurdle
        above = self.exceeds(budget_ms, taking, rest)
        if hurdle is None:
            return above
        others = [each for each in taking if each != at]
        if others:
            left = budget_ms - self.times[at] * hurdle.below_ms
            below = self.exceeds(left, others, rest)
        else:
            below = hurdle.p_below_exceeds(budget_ms / np.maximum(self.times[at], _NOTHING_LEFT))
        return hurdle.chance * above + (1.0 - hurdle.chance) * below

    def _exceed_together(
        self, budget_ms: NDArray[np.float64], taking: list[int]
    ) -> NDArray[np.float64]:
        """P(stages that take time are over the budget together), over their noise."""
        parts = [self.stages[at] for at in taking]
        # Stages that never run (`times` is 0) keep any budget, but for one that nothing is left of.
        amounts = [
            np.maximum(self.times[at] * self.stages[at].typical_ms, _NOTHING_TAKEN) for at in taking
        ]
        typical = sum(amounts, np.zeros(1))
        shares = np.stack([amount / typical for amount in amounts])
        noise_sd = np.stack([np.broadcast_to(part.noise_sd, typical.shape) for part in parts])
        dof = np.array([part.noise_dof for part in parts])
        correlation = self.correlation
        if correlation is not None:
            correlation = correlation[np.ix_(taking, taking)]
        # One distribution a config, of the draws' mean shares; each draw stretches it.
        middle = shares.mean(axis=2), np.sqrt(np.mean(noise_sd**2, axis=2))
        noise = combine_noise(*middle, dof, correlation)
        stretch = noise_size(shares * noise_sd, dof, correlation)
        stretch /= noise_size(middle[0] * middle[1], dof, correlation)[:, None]
        budget = np.maximum(budget_ms, _NOTHING_LEFT)
        found = noise.p_above(np.log(budget / typical) / stretch)
        if len(taking) > 1:
            for at, (amount, sd, usual_sd) in enumerate(
                zip(amounts, noise_sd, middle[1], strict=True)
            ):
                if correlation is not None and np.any(correlation[at] < _APART):
                    continue
                rows = np.flatnonzero(usual_sd > _NOISY)
                left = np.broadcast_to(budget, typical.shape)[rows]
                alone = _exceed_alone(amount[rows], typical[rows], left, sd[rows], dof[at])
                found[rows] = np.maximum(found[rows], alone)
        return found


def _exceed_alone(
    amount_ms: NDArray[np.float64],
    typical_ms: NDArray[np.float64],
    budget_ms: NDArray[np.float64],
    noise_sd: NDArray[np.float64],
    dof: float,
) -> NDArray[np.float64]:
    """P(one stage exceeds the budget of the sum by its own noise), where a typical run does not.

    The others are at their typical run, whatever their correlation. Of heavy-tailed amounts the
    largest makes the tail of the sum (the single big jump: Foss, Korshunov & Zachary 2013, *An
    Introduction to Heavy-Tailed and Subexponential Distributions*), which noise of the sum's log
    that is fitted to its body lacks. The largest chance of a stage stands for the sum of them, of
    which the body has a part. Shapes (config, draw).
    """
    left = np.maximum(budget_ms - (typical_ms - amount_ms), _NOTHING_LEFT)
    above = student_above((np.log(left) - np.log(amount_ms)) / noise_sd, dof)
    return np.where(typical_ms < budget_ms, above, 0.0)
