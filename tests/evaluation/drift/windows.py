"""Windows made by hand: a regression whose posterior is known."""

from __future__ import annotations

import numpy as np

from bayeslat.evaluation.drift.course import Course
from bayeslat.evaluation.drift.row_errors import row_errors
from bayeslat.evaluation.drift.scores import Scores
from bayeslat.evaluation.drift.window import Window, WindowCounts

NOISE_SD = 0.03
DRAWS = 2000


def make_window(
    error: np.ndarray,
    *,
    config: np.ndarray | None = None,
    dof: float = np.inf,
    posterior_sd: float = 0.02,
    residual: int = 1,
    allowance: float = 0.0,
    places: np.ndarray | None = None,
    noise_shared: float = 0.5,
    seed: int = 0,
) -> Window:
    """Return a window of two physics terms and some residual columns with given errors.

    Without places, no configuration is close to another.
    """
    rows = len(error)
    rng = np.random.default_rng([5, seed])
    share = rng.uniform(0.1, 0.9, rows)
    smooth = rng.uniform(-1.0, 1.0, (rows, residual))
    design = np.column_stack([share, 1.0 - share, smooth])
    size = design.shape[1]
    return Window(
        counts=WindowCounts(rows, 0, 0, (), rows),
        design=design,
        error=error,
        config=np.arange(rows) if config is None else config,
        position=np.arange(rows),
        terms=("work", "launch"),
        residual_size=np.ones(residual),
        departures=posterior_sd / NOISE_SD * rng.standard_normal((DRAWS, size)),
        noise=np.exp(0.05 * rng.standard_normal(DRAWS)),
        noise_sd=NOISE_SD,
        dof=dof,
        places=np.empty((rows, 0)) if places is None else places,
        noise_shared=noise_shared,
        own_places=np.empty((0, 0 if places is None else places.shape[1])),
        taken_up=np.empty((rows, 0)),
        allowance=allowance,
    )


def make_scores(window: Window, course: Course | None = None) -> Scores:
    """Return the scores of a window."""
    return Scores(window, row_errors(window), course or Course.blocks(len(window)))
