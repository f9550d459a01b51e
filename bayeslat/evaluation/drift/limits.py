"""What may be asked of the test of drift."""

from __future__ import annotations

from bayeslat.finite import is_between, tell, wrong_share

__all__ = ["limit_problems"]

_LEAST_ALARM_RATE = 1e-4
"""The number of windows to simulate goes as 1 / rate: these take minutes, those of 1e-6 hours."""


def limit_problems(alarm_rate: float, allowance: float) -> list[str]:
    """Say which of both has an impossible value."""
    problem = wrong_share("alarm_rate", alarm_rate, "0.01 for one in a hundred")
    problems = [problem] if problem else []
    if not problem and alarm_rate < _LEAST_ALARM_RATE:
        problems.append(
            f"alarm_rate is {tell(alarm_rate)}; it must be at least {_LEAST_ALARM_RATE:g}, since "
            "so rare an alarm would take hours of simulated windows to tell"
        )
    if allowance != 0 and not is_between(allowance, 0):
        problems.append(
            f"allowance is {tell(allowance)}; it must be a number from 0 on, as 0.1 for a tenth of "
            "the noise"
        )
    return problems
