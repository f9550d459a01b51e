"""The draws of a posterior that predictions stand on."""

from __future__ import annotations

from dataclasses import replace

from bayeslat.features.thinning import evenly
from bayeslat.inference.posterior import PosteriorData, StagePosterior

__all__ = ["thin_draws"]


def thin_draws(data: PosteriorData, most: int) -> PosteriorData:
    """Keep at most so many draws of every stage, evenly spread over the chains.

    Before anything new is drawn for them: strata of more draws than are kept would be broken.

    Parameters
    ----------
    data : PosteriorData
    most : int

    Returns
    -------
    PosteriorData
        For prediction alone: `chains`, `statistics` and `diagnostics` stay those of all draws.
    """
    stages = {stage: _thin_stage(part, most) for stage, part in data.stages.items()}
    return replace(data, stages=stages)


def _thin_stage(part: StagePosterior, most: int) -> StagePosterior:
    """Keep at most so many draws of one stage."""
    kept = evenly(len(part.scales), most)
    return replace(part, scales=part.scales[kept], effects=part.effects[kept])
