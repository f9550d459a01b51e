"""How far groups of each level depart from their parents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayeslat.model.groups import Level

__all__ = ["NamedScales", "level_ratios"]

type NamedScales = dict[str, NDArray[np.float64]]
"""Draws of the scales by name, as `ScaleLayout.name_draws` gives them."""


def level_ratios(named: NamedScales) -> dict[Level, NDArray[np.float64]]:
    """Sd of a departure from the parent, over the offset scale, by level.

    Parameters
    ----------
    named : NamedScales

    Returns
    -------
    dict of Level to ndarray, shape (draw,) or ()
    """
    share = np.asarray(named.get("family_share", 0.0))
    return {
        Level.GPU: np.ones(share.shape),
        Level.MEMBER: np.sqrt(1.0 - share),
        Level.FAMILY: np.sqrt(share),
        Level.STACK: np.asarray(named.get("stack_ratio", 1.0)),
    }
