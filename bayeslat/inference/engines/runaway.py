"""Why a stage has no mode: which of its scales ran away, and what to try."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayeslat.model.problem import StageProblem

__all__ = ["explain_runaway"]

_FAR = 4.0  # prior standard deviations: a scale beyond is what ran away
_NAMED = 3


def explain_runaway(problem: StageProblem, scores: NDArray[np.float64]) -> str:
    """Say which terms, features and GPUs the scales that ran away are of, and what to try.

    Parameters
    ----------
    problem : StageProblem
    scores : ndarray, shape (scale,)
        Where the optimiser stopped.

    Returns
    -------
    str
    """
    layout, far = problem.layout, np.abs(scores)
    found = [int(at) for at in np.argsort(-far) if far[at] > _FAR][:_NAMED]
    offsets = [at for at in found if at < len(layout.offset_names)]
    first = layout.size - len(layout.groups)
    noisy = [at for at in found if at >= first]
    told = [f"{layout.names[at]} {far[at]:.1f}" for at in found if at not in offsets + noisy]
    terms = [f"`{layout.offset_names[at]}`" for at in offsets]
    groups = [layout.groups[at - first] for at in noisy]
    told += [
        f"how GPUs differ in {name} {far[at]:.1f}" for name, at in zip(terms, offsets, strict=True)
    ]
    told += [f"the noise of {name} {far[at]:.1f}" for name, at in zip(groups, noisy, strict=True)]
    cures = []
    if terms:
        cures.append(
            f"take {' or '.join(terms)} out of the spec, if it takes next to none of the time or "
            "counts what another term counts"
        )
    if groups:
        cures.append(
            f"check the rows of {', '.join(groups)} (their unit, another model or setting than the "
            "others', all alike), or fit the other GPUs (--gpus)"
        )
    if not found:
        cures.append("check for rows that are all alike, and for two terms that are the same")
    ran = f"The farthest, in the prior's standard deviations: {', '.join(told)}. " * bool(told)
    cure = "; ".join(cures) or "give the stage more rows, or fewer features"
    return f"{ran}{cure[0].upper()}{cure[1:]}."
