"""What is asked of an assessment."""

from __future__ import annotations

from dataclasses import dataclass

from bayeslat.errors import InputError
from bayeslat.evaluation.guardrail.risk_control import limit_problems
from bayeslat.evaluation.guardrail.trial_options import TrialOptions, trial_problems

__all__ = ["AssessmentOptions"]


@dataclass(frozen=True)
class AssessmentOptions(TrialOptions):
    """What is asked beside the trials.

    Attributes
    ----------
    false_accepts : float
        The limit that held-out rows shall show, as a part of all configurations.
    confidence : float
        Of that.
    suggested : int
        How many configurations to suggest.
    """

    false_accepts: float = 0.01
    confidence: float = 0.95
    suggested: int = 10

    def check(self) -> None:
        """Refuse impossible values.

        Raises
        ------
        InputError
            With every one.
        """
        problems = [*trial_problems(self), *limit_problems(self.false_accepts, self.confidence)]
        if self.suggested < 1:
            problems.append(f"suggested is {self.suggested}; it must be 1 or more")
        if problems:
            raise InputError("; ".join(problems))
