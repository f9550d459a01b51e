"""Candidates for work that goes on at the same time: arithmetic while memory is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.spec import Spec
from bayeslat.features.terms import TermKind
from bayeslat.inference.rows.stage_rows import StageRows

__all__ = ["Overlap", "list_overlaps"]

_LEAST = 0.1  # of the time of both: what can be hidden at most, somewhere


@dataclass(frozen=True)
class Overlap:
    """A feature that is the log of how much less both terms take if the shorter one is hidden.

    The roofline model (Williams, Waterman and Patterson 2009) has the longer of the two, the
    physics their sum; a coefficient of 0 is the sum and of 1 the roofline.

    Attributes
    ----------
    text : str
        As an expression of the spec.
    values : tuple over group of ndarray, shape (row,)
        On [-1, 1].
    """

    text: str
    values: tuple[NDArray[np.float64], ...]


def list_overlaps(spec: Spec, stage: str, rows: Sequence[StageRows]) -> tuple[Overlap, ...]:
    """Name the pairs of arithmetic and memory traffic of a stage that may hide one another.

    Parameters
    ----------
    spec : Spec
    stage : str
    rows : sequence over group of StageRows

    Returns
    -------
    tuple of Overlap
        Of pairs of which, somewhere, a tenth of the time or more could be hidden.
    """
    terms = list(spec.stages[stage].physics.values())
    arithmetic = [at for at, term in enumerate(terms) if term.kind is TermKind.flops]
    traffic = [at for at, term in enumerate(terms) if term.kind is TermKind.bytes]
    found = []
    for one, other in product(arithmetic, traffic):
        hidden = [_log_kept(group.inputs.terms_ms[:, [one, other]]) for group in rows]
        every = np.concatenate(hidden)
        if not np.isfinite(every).all() or np.ptp(every) < -np.log1p(-_LEAST):
            continue
        low, high = every.min(), every.max()
        scaled = tuple((2.0 * each - low - high) / (high - low) for each in hidden)
        first, second = (f"({terms[at].expression.text})" for at in (one, other))
        text = f"log(maximum({first}, {second}) / ({first} + {second}))"
        found.append(Overlap(text, scaled))
    return tuple(found)


def _log_kept(both_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the longer over the sum. Shapes (row, 2) to (row,)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        kept: NDArray[np.float64] = np.log(both_ms.max(axis=1) / both_ms.sum(axis=1))
    return kept
