"""What is asked of an assessment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bayeslat.evaluation.guardrail.risk_control import limit_problems
from bayeslat.evaluation.guardrail.trial_options import TrialOptions

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

    def problems(self) -> Iterator[str]:
        """Say which values are impossible."""
        yield from super().problems()
        if self.suggested < 1:
            yield f"suggested is {self.suggested}; it must be 1 or more"
        yield from limit_problems(self.false_accepts, self.confidence)
