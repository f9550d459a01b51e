"""What is asked of trials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bayeslat.decisions.guard import Budget
from bayeslat.decisions.predict import Of, wrong_of
from bayeslat.finite import wrong_budget, wrong_share

__all__ = ["TrialOptions", "trial_problems"]


@dataclass(frozen=True)
class TrialOptions:
    """How the trials are run.

    Attributes
    ----------
    budget : Budget
    max_risk : float
    counts : tuple of int
        Calibration rows.
    repetitions : int
        Random choices of calibration and test configurations.
    test_configs : int
        At most half of the GPU's configurations.
    of : {"run", "typical"}
        What the budget is for.
    seed : int
    """

    budget: Budget
    max_risk: float = 0.05
    counts: tuple[int, ...] = (0, 5, 10, 25, 50)
    repetitions: int = 5
    test_configs: int = 100
    of: Of = "run"
    seed: int = 0


def trial_problems(options: TrialOptions) -> Iterator[str]:
    """Say which values are impossible."""
    budget = options.budget
    for problem in (
        wrong_budget(f"the budget of {budget}" if budget.stages else "budget_ms", budget.ms),
        wrong_share("max_risk", options.max_risk, "0.05 for 5 %"),
        wrong_of(options.of),
    ):
        if problem:
            yield problem
    if not options.counts or min(options.counts) < 0:
        yield f"counts are {options.counts}; give numbers of rows from 0 on, as in 0, 10, 50"
    for name in ("repetitions", "test_configs"):
        if (value := getattr(options, name)) < 1:
            yield f"{name} is {value}; it must be 1 or more"
