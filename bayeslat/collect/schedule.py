"""The order of the measurements."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields

from bayeslat.collect.knobs import Knobs

__all__ = ["Visit", "reference_of", "schedule"]


@dataclass(frozen=True)
class Visit:
    """One measurement to make.

    Attributes
    ----------
    config_id : int
    repeat : int or None
        None for the reference, whose measurements are counted as they come.
    """

    config_id: int
    repeat: int | None = None


def schedule(
    config_ids: Sequence[int],
    repeats: int,
    seed: int,
    *,
    reference: int,
    every: int,
    done: Collection[tuple[int, int]] = (),
) -> tuple[Visit, ...]:
    """Return the measurements that are left, in their order.

    Every repeat goes through all configurations in an order of its own, so a slow drift of the
    machine shows as disagreement between repeats and not as the effect of a knob. The reference
    comes first, after every so many others, and last.

    Parameters
    ----------
    config_ids : sequence of int
        The design.
    repeats : int
        Measurements of each configuration.
    seed : int
        Seed of the order.
    reference : int
        The configuration that is measured again and again.
    every : int
        Others between two measurements of the reference.
    done : collection of (config_id, repeat), optional
        What is measured already.

    Returns
    -------
    tuple of Visit
        Empty if everything is done.
    """
    order = random.Random(seed)
    left: list[Visit] = []
    for repeat in range(repeats):
        shuffled = list(config_ids)
        order.shuffle(shuffled)
        left += [Visit(config, repeat) for config in shuffled if (config, repeat) not in done]
    visits: list[Visit] = []
    for start in range(0, len(left), every):
        visits += [Visit(reference), *left[start : start + every]]
    return (*visits, Visit(reference)) if visits else ()


def reference_of(design: Sequence[Knobs]) -> Knobs:
    """Return the configuration in the middle of a design.

    Parameters
    ----------
    design : sequence of Knobs, dim (config,)

    Returns
    -------
    Knobs
        The one whose ranks among the others, knob by knob, are nearest to the middle.
    """
    names = [knob.name for knob in fields(Knobs) if knob.name not in {"dtype", "task"}]
    columns = {name: sorted(getattr(knobs, name) for knobs in design) for name in names}

    def distance(knobs: Knobs) -> float:
        return sum(_off_middle(columns[name], getattr(knobs, name)) for name in names)

    return min(design, key=distance)


def _off_middle(ordered: Sequence[int], value: int) -> float:
    """Return by how much more values lie on one side of a value than on the other, squared."""
    below = bisect_left(ordered, value)
    above = len(ordered) - bisect_right(ordered, value)
    return ((below - above) / len(ordered)) ** 2
