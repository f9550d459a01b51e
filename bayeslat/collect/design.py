"""Designs: which configurations to measure."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from bayeslat.collect.backend import load_torch
from bayeslat.collect.knobs import Knobs
from bayeslat.errors import InputError

__all__ = ["KnobRange", "KnobSpace", "sobol_design"]


@dataclass(frozen=True)
class KnobRange:
    """Integers from `low` to `high`, both included.

    Attributes
    ----------
    low, high : int
        The ends.
    log : bool
        Spread evenly in the logarithm: as many small values as large ones.
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high:
            raise InputError(f"knob range {self.low}..{self.high}: it must rise from 1 or more")

    def at(self, u: float) -> int:
        """Return the value at `u` in [0, 1)."""
        if not self.log:
            return self.low + math.floor(u * (self.high + 1 - self.low))
        value = math.exp(math.log(self.low) + u * math.log((self.high + 1) / self.low))
        # exp and log round, so the ends could be missed by one.
        return min(self.high, max(self.low, math.floor(value)))


@dataclass(frozen=True)
class KnobSpace:
    """Ranges of the knobs, in the order of `Knobs`.

    The number of crops and of prompt tokens decides most of the work, so these two are spread in
    the logarithm: small requests, where fixed costs show, are as frequent as large ones.
    """

    image_crops: KnobRange = KnobRange(1, 8, log=True)
    prompt_tokens: KnobRange = KnobRange(24, 384, log=True)
    top_k: KnobRange = KnobRange(1, 8)
    active_blocks: KnobRange = KnobRange(3, 12)
    batch_size: KnobRange = KnobRange(1, 4)
    output_tokens: KnobRange = KnobRange(4, 16)


def sobol_design(space: KnobSpace, configs: int, seed: int) -> tuple[Knobs, ...]:
    """Spread configurations over the knob space with a scrambled Sobol sequence.

    Parameters
    ----------
    space : KnobSpace
        Ranges of the knobs.
    configs : int
        How many configurations to draw. The first n of a longer design are the design of n.
    seed : int
        Seed of the scrambling.

    Returns
    -------
    tuple of Knobs, dim (config,)

    Raises
    ------
    InputError
        If `configs` is not positive.
    """
    if configs < 1:
        raise InputError(f"configs = {configs}: a design needs 1 or more")
    torch = load_torch()
    ranges: list[KnobRange] = [getattr(space, knob.name) for knob in fields(space)]
    engine = torch.quasirandom.SobolEngine(len(ranges), scramble=True, seed=seed)
    # shape: config x knob, each in [0, 1)
    points: list[list[float]] = engine.draw(configs, dtype=torch.float64).tolist()
    return tuple(
        Knobs(*(span.at(u) for span, u in zip(ranges, point, strict=True))) for point in points
    )
