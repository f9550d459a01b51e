"""The errors that bayeslat raises: each message names the value, the rule and the cure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayeslat.traces.violations import Violation

__all__ = [
    "BayeslatError",
    "ConvergenceError",
    "ExpressionError",
    "HardwareError",
    "InputError",
    "PosteriorFileError",
    "SpecError",
    "StatisticsFileError",
    "TraceError",
    "WorkerError",
]


class BayeslatError(Exception):
    """Base of every error that a user can cause and cure."""


class InputError(BayeslatError):
    """An argument or option has a value that the call cannot take."""


class TraceError(InputError):
    """One or more rows or columns of a trace, or of a table of configs, break a rule.

    Attributes
    ----------
    violations : tuple of Violation
        Every violation found, in file and row order; empty when the file could not be read at all.
    """

    def __init__(self, message: str, violations: tuple[Violation, ...] = ()) -> None:
        super().__init__(message)
        self.violations = violations


class SpecError(BayeslatError):
    """A model specification breaks a rule."""


class ExpressionError(SpecError):
    """An expression of a specification cannot be parsed or evaluated."""


class HardwareError(BayeslatError):
    """A GPU is not in the hardware table, or its entry breaks a rule."""


class PosteriorFileError(BayeslatError):
    """A posterior file is cut short, of another format version, or not a posterior."""


class StatisticsFileError(BayeslatError):
    """A file of statistics is cut short, of another format version, or holds none."""


class ConvergenceError(BayeslatError):
    """A fit did not converge; the message names the parameters and what to try."""


class WorkerError(BayeslatError):
    """The workers of a fan-out cannot be reached, run another version, or were lost for good."""
