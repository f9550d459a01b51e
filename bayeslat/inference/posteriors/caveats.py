"""What a fit cannot know from its rows, and what in it cannot be, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bayeslat.features.terms import TermKind
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.model.problem import MOST_COUNTED

__all__ = ["IMPOSSIBLE", "caveats_of"]

IMPOSSIBLE = 0.2
"""Of the time that a data sheet's peak allows: no GPU does its arithmetic five times as fast."""
_PEAKS = (TermKind.flops, TermKind.bytes)  # those that a data sheet states
_NAMED = 4  # GPUs


def caveats_of(data: PosteriorData) -> tuple[str, ...]:
    """Tell what the fit cannot know.

    Rows that nobody measured, too few GPUs for their scale, terms and counts of rows that had to be
    held, efficiencies that no GPU has, stacks that change with GPUs.

    Parameters
    ----------
    data : PosteriorData

    Returns
    -------
    tuple of str
    """
    return (*_of_rows(data), *_of_stages(data), *_of_stacks(data))


def _of_rows(data: PosteriorData) -> Iterator[str]:
    """What the rows are worth."""
    if "simulated" in data.sources:
        kinds = f" (of the kinds {', '.join(data.sources)})" if len(data.sources) > 1 else ""
        yield (
            f"Simulated rows were fitted{kinds}: what is predicted is what they were drawn "
            "from, not what a GPU was seen to do."
        )
    fitted = data.fitted_gpus
    if len(fitted) == 1:
        yield (
            f"One GPU ({fitted[0]}): how GPUs differ is the prior's, not the data's. "
            "Predictions for this GPU stand; for any other they are as wide as the prior."
        )
    elif len(fitted) == 2:
        yield (
            "Two GPUs: how GPUs differ rests on a single difference. Predictions for other "
            "GPUs are wide, and calibrating one needs more rows than with three or more."
        )


def _of_stages(data: PosteriorData) -> Iterator[str]:
    """What had to be held in a stage, and which of its efficiencies cannot be."""
    for stage, part in data.stages.items():
        terms = list(data.spec.stages[stage].physics)
        if part.untold:
            several = len(part.untold) > 1
            named = " and ".join(f"`{terms[place]}`" for place in sorted(part.untold))
            take, they, them = ("take", "they", "them") if several else ("takes", "it", "it")
            yield (
                f"Stage {stage}: the rows cannot tell how long {named} {take}: so little that "
                f"{they} would have stood for what the physics lacks, at efficiencies that no GPU "
                f"has. How GPUs differ in {them} is the prior's, not the data's. Take {them} out "
                f"of the spec, or measure configurations in which {they} {take} more of the time."
            )
        if part.most_counted < MOST_COUNTED:
            yield (
                f"Stage {stage}: the rows of a group count for at most "
                f"{part.most_counted:g}, since with more no mode was found; intervals "
                "of its coefficients are wider for it. A term that takes next to none of the "
                "time, or that the smooth correction can stand in for, does that."
            )
        yield from _impossible(data, stage)


def _impossible(data: PosteriorData, stage: str) -> Iterator[str]:
    """Efficiencies beyond any data sheet, a sentence a term."""
    part = data.stages[stage]
    nodes = [part.problem.tree.index(gpu) for gpu in data.gpus]
    for place, (term, physics) in enumerate(data.spec.stages[stage].physics.items()):
        if physics.kind not in _PEAKS:
            continue
        effects = np.median(part.effects[:, nodes, place], axis=0)
        slowdown = np.exp(part.shared_efficiency[place] + effects)
        found = np.flatnonzero(slowdown < IMPOSSIBLE)
        if not len(found):
            continue
        named = [data.gpus[at] for at in found[np.argsort(slowdown[found])]]
        more = len(named) - _NAMED
        gpus = ", ".join(named[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        yield (
            f"Stage {stage}: `{term}` is found to run up to {1 / slowdown.min():.0f} times faster "
            f"than the data sheet's peak (on {gpus}), which no GPU does. It takes next to none of "
            "the time, counts bytes that stay in a cache, or stands for what the physics lacks: "
            "take it out of the spec, correct its formula or the peak, or measure configurations "
            "in which it takes more."
        )


def _of_stacks(data: PosteriorData) -> Iterator[str]:
    """Stacks that cannot be told from GPUs."""
    stacks = {stack for _, stack in data.groups}
    if len(stacks) > 1 and len(data.groups) == len(data.gpus):
        yield (
            f"Stacks ({', '.join(sorted(map(str, stacks)))}) and GPUs change together: what a "
            "stack does cannot be told from what a GPU does."
        )
