"""What is asked of an assessment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bayeslat.decisions.predict import Of
from bayeslat.errors import InputError
from bayeslat.evaluation.guardrail.risk_control import limit_problems
from bayeslat.evaluation.guardrail.trial import TrialOptions

__all__ = ["AssessmentOptions"]


@dataclass(frozen=True)
class AssessmentOptions:
    """What is asked.

    Attributes
    ----------
    budget_ms : float
        Of the total.
    max_risk : float
    of : {"run", "typical"}
        What the budget is for.
    false_accepts : float
        The limit that held-out rows shall show, as a part of all configurations.
    confidence : float
        Of that.
    suggested : int
        How many configurations to suggest.
    counts, repetitions, test_configs
        Of the trials.
    seed : int
    """

    budget_ms: float
    max_risk: float = 0.05
    of: Of = "run"
    false_accepts: float = 0.01
    confidence: float = 0.95
    suggested: int = 10
    counts: tuple[int, ...] = (0, 5, 10, 25, 50)
    repetitions: int = 5
    test_configs: int = 100
    seed: int = 0

    def check(self) -> None:
        """Refuse impossible values.

        Raises
        ------
        InputError
            With every one.
        """
        if problems := [*self._problems(), *limit_problems(self.false_accepts, self.confidence)]:
            raise InputError("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        if not 0 < self.budget_ms < float("inf"):
            yield f"budget_ms is {self.budget_ms:g}; it must be a positive number of ms"
        if not 0 < self.max_risk < 1:
            yield f"max_risk is {self.max_risk:g}; it must be between 0 and 1, as 0.05 for 5 %"
        if self.of not in ("run", "typical"):
            yield f"of is {self.of!r}; it must be run or typical"
        if not self.counts or min(self.counts) < 0:
            yield f"counts are {self.counts}; give numbers of rows from 0 on, as in 0, 10, 50"
        for name in ("suggested", "repetitions", "test_configs"):
            if (value := getattr(self, name)) < 1:
                yield f"{name} is {value}; it must be 1 or more"

    @property
    def trials(self) -> TrialOptions:
        """Those of the trials."""
        return TrialOptions(
            self.budget_ms,
            self.max_risk,
            self.counts,
            self.repetitions,
            self.test_configs,
            self.of,
            self.seed,
        )
