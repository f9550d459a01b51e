"""How far a further pass may be from those that a GPU was calibrated in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.pass_effects import draw_pass_sd
from bayeslat.evaluation.passes import PassDifferences, compare_passes
from bayeslat.features.admit import admit
from bayeslat.features.hardware import HardwareTable, load_hardware
from bayeslat.inference.posterior import PosteriorData

__all__ = ["PassOffset", "donor_passes", "pass_offset"]


@dataclass(frozen=True)
class PassOffset:
    """How far a further pass is from the mean of those that were measured, in log total.

    Attributes
    ----------
    of : str
        Whose passes tell: `own`, `donors`, or nobody's (empty).
    sd : ndarray, shape (draw,)
        Of passes.
    offset : ndarray, shape (draw,)
    """

    of: str
    sd: NDArray[np.float64]
    offset: NDArray[np.float64]


def pass_offset(
    data: PosteriorData, passes: PassDifferences | None, count: int, rng: np.random.Generator
) -> PassOffset:
    """Draw how far a further pass is off.

    With P passes of sd s, the variance is s^2 (1 + 1 / P): its own, and that of their mean. What
    the passes leave open of s counts (`draw_pass_sd`), so nothing hangs on whether a test finds a
    difference. A GPU whose rows do not tell counts as measured in one pass, with the s of a donor
    drawn at random: donors may be of other machines.

    Parameters
    ----------
    data : PosteriorData
    passes : PassDifferences or None
        Of the calibrated GPU.
    count : int
        Draws.
    rng : numpy.random.Generator

    Returns
    -------
    PassOffset
        Zero where nothing is known of passes.
    """
    own = None if passes is None else passes.total
    donors = data.attrs.get("passes", ())
    if own is not None:
        sd = draw_pass_sd(own.found.effect, own.found.effect_sd, count, rng)
        several = len(own.found.passes)
    elif donors:
        sd, several = _of_donors(donors, count, rng), 1
    else:
        return PassOffset("", np.zeros(count), np.zeros(count))
    offset = sd * np.sqrt(1.0 + 1.0 / several) * rng.standard_normal(count)
    return PassOffset("own" if own is not None else "donors", sd, offset)


def donor_passes(
    data: PosteriorData,
    traces: pd.DataFrame,
    hardware: HardwareTable | None = None,
    *,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Keep what the passes of a fit's donors say of the total.

    Parameters
    ----------
    data : PosteriorData
    traces : DataFrame, one row a measurement
        That were fitted.
    hardware : HardwareTable, optional
    seed : int

    Returns
    -------
    list of dict
        Of each group with configurations that several passes measured: `gpu`, `stack`, and by pass
        `effect` and `effect_sd`, as of `PassEffects`.
    """
    table = (hardware or load_hardware()).extended(data.hardware)
    frame = admit(traces, data.spec, table)
    kept = []
    for gpu, stack in data.groups:
        rows = frame[frame["gpu"] == gpu]
        found = compare_passes(data.spec, rows, data.hardware[gpu], stack, seed=seed)
        if found is not None and found.total is not None:
            effects = found.total.found
            kept.append(
                {
                    "gpu": gpu,
                    "stack": stack,
                    "effect": effects.effect.round(6).tolist(),
                    "effect_sd": effects.effect_sd.round(6).tolist(),
                }
            )
    return kept


def _of_donors(
    donors: Sequence[Mapping[str, Any]], count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the sd of passes of donors, each as often as the other. Shape (draw,)."""
    drawn = [
        draw_pass_sd(np.array(each["effect"]), np.array(each["effect_sd"]), count, rng)
        for each in donors
    ]
    sd: NDArray[np.float64] = np.stack(drawn)[rng.integers(len(drawn), size=count), range(count)]
    return sd
