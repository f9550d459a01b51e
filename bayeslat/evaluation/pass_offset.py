"""How far a further pass may be from those that a GPU was calibrated in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.pass_spread import (
    PASS_SDS,
    VAGUE,
    weigh_pass_sds,
)
from bayeslat.evaluation.passes import PassDifferences, total_effects
from bayeslat.features.admit import resolve_gpus
from bayeslat.features.hardware import HardwareTable, load_hardware
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.traces.names import COLLECTED_AT, REPEAT

__all__ = ["PassOffset", "donor_passes", "pass_offset"]

_OTHER_MACHINE = 0.5  # donors that passes of a machine unlike theirs count for


@dataclass(frozen=True)
class PassOffset:
    """How far a further pass is from the mean of those that were measured, in log total.

    Attributes
    ----------
    sd : float
        Of passes: the mean of what is known of it.
    offset : ndarray, shape (draw,)
    """

    sd: float
    offset: NDArray[np.float64]


def pass_offset(
    data: PosteriorData, passes: PassDifferences | None, count: int, rng: np.random.Generator
) -> PassOffset:
    """Draw how far a further pass is off.

    With P passes of sd s that rows calibrated from, the variance is s^2 (1 + 1 / P): its own, and
    that of their mean. Further passes at hand tell of s alone. What is
    left open of s counts, so nothing hangs on whether a test finds a difference. Before the GPU's
    own passes tell, s is that of a donor drawn at random, or of none of them (`VAGUE`): donors may
    be of other machines. That counts for half a donor, as a Dirichlet process does whose draws were
    alike (Blackwell and MacQueen 1973, Annals of Statistics 1, p. 353). A GPU whose rows do not
    tell counts as measured in one pass.

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
        Zero where neither its rows nor the donors' tell of passes.
    """
    own = None if passes is None else passes.total
    donors = [
        weigh_pass_sds(np.array(each["effect"]), np.array(each["effect_sd"]))
        for each in data.attrs.get("passes", ())
    ]
    if own is None and not donors:
        return PassOffset(0.0, np.zeros(count))
    worth = [_OTHER_MACHINE, *np.ones(len(donors))]
    weights, several = np.average([VAGUE, *donors], axis=0, weights=worth), 1
    if own is not None:
        weights = weigh_pass_sds(own.found.effect, own.found.effect_sd, weights)
        several = passes.calibrated_in if passes else 1
    sd = rng.choice(PASS_SDS, count, p=weights) * np.sqrt(1.0 + 1.0 / several)
    offset = sd * rng.standard_normal(count)
    return PassOffset(float(weights @ PASS_SDS), offset)


def donor_passes(
    data: PosteriorData,
    traces: pd.DataFrame,
    hardware: HardwareTable | None = None,
) -> list[dict[str, Any]]:
    """Keep what the passes of a fit's donors say of the total.

    Parameters
    ----------
    data : PosteriorData
    traces : DataFrame, one row a measurement
        That were fitted.
    hardware : HardwareTable, optional

    Returns
    -------
    list of dict
        Of each group with configurations that several passes measured: `gpu`, `stack`, and by pass
        `effect` and `effect_sd`, as of `PassEffects`.
    """
    if not {REPEAT, COLLECTED_AT} & set(traces.columns):
        return []
    table = (hardware or load_hardware()).extended(data.hardware)
    frame = resolve_gpus(data.spec.complete(traces), table)  # the fit has checked them
    kept = []
    for gpu, stack in data.groups:
        rows = frame[frame["gpu"] == gpu]
        effects = total_effects(data.spec, rows, data.hardware[gpu], stack)
        if effects is not None:
            kept.append(
                {
                    "gpu": gpu,
                    "stack": stack,
                    "effect": effects.effect.round(6).tolist(),
                    "effect_sd": effects.effect_sd.round(6).tolist(),
                }
            )
    return kept
