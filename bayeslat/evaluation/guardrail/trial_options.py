"""What is asked of trials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bayeslat.decisions.predict import Of, wrong_of
from bayeslat.errors import InputError
from bayeslat.finite import is_between, tell

__all__ = ["TrialOptions"]


@dataclass(frozen=True)
class TrialOptions:
    """How the trials are run.

    Attributes
    ----------
    budget_ms : float
        Of the total.
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

    budget_ms: float
    max_risk: float = 0.05
    counts: tuple[int, ...] = (0, 5, 10, 25, 50)
    repetitions: int = 5
    test_configs: int = 100
    of: Of = "run"
    seed: int = 0

    def check(self) -> None:
        """Refuse impossible values.

        Raises
        ------
        InputError
            With every one.
        """
        if problems := list(self.problems()):
            raise InputError("; ".join(problems))

    def problems(self) -> Iterator[str]:
        """Say which values are impossible."""
        if not is_between(self.budget_ms, 0):
            yield f"budget_ms is {tell(self.budget_ms)}; it must be a positive number of ms"
        if not is_between(self.max_risk, 0, 1):
            told = f"max_risk is {tell(self.max_risk)}"
            yield f"{told}; it must be between 0 and 1, as 0.05 for 5 %"
        if problem := wrong_of(self.of):
            yield problem
        if not self.counts or min(self.counts) < 0:
            yield f"counts are {self.counts}; give numbers of rows from 0 on, as in 0, 10, 50"
        for name in ("repetitions", "test_configs"):
            if (value := getattr(self, name)) < 1:
                yield f"{name} is {value}; it must be 1 or more"
