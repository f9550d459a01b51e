"""The draws of a posterior that predictions stand on."""

from __future__ import annotations

from dataclasses import replace

from bayeslat.features.thinning import evenly
from bayeslat.inference.posteriors.posterior import PosteriorData, StagePosterior
from bayeslat.inference.posteriors.target import Target

__all__ = ["DRAWS", "thin_draws"]

DRAWS = 512
"""That predictions and calibrations stand on, of the thousands that show convergence."""


def thin_draws(data: PosteriorData, most: int) -> PosteriorData:
    """Keep at most so many draws of every stage and target, evenly spread over the chains.

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
    targets = {group: _thin_target(target, most) for group, target in data.targets.items()}
    return replace(data, stages=stages, targets=targets)


def _thin_stage(part: StagePosterior, most: int) -> StagePosterior:
    """Keep at most so many draws of one stage."""
    kept = evenly(len(part.scales), most)
    hurdle = None if part.hurdle is None else part.hurdle.take(kept)
    return replace(part, scales=part.scales[kept], effects=part.effects[kept], hurdle=hurdle)


def _thin_target(target: Target, most: int) -> Target:
    """Keep at most so many draws of a calibrated GPU."""
    stages = {}
    for stage, part in target.stages.items():
        kept = evenly(len(part.noise_sd), most)
        hurdle, walk = part.hurdle, part.walk
        stages[stage] = replace(
            part,
            effects=part.effects[kept],
            noise_sd=part.noise_sd[kept],
            hurdle=None if hurdle is None else replace(hurdle, effects=hurdle.effects[kept]),
            walk=None if walk is None else walk.take(kept),
        )
    return replace(target, stages=stages)
