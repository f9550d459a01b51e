"""Which knobs a stage's residual features tell the range of, and which they hide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.spec import Spec
from bayeslat.features.spec_fields import reachable
from bayeslat.features.terms import HARDWARE_FIELDS

__all__ = ["covered_knobs"]

_PLACES = 16  # from which knobs are moved: a feature may be flat at some
_NEAR, _FAR = 1e3, 1e6  # how many times larger a knob becomes
_STILL = 0.1  # of the first step: a feature that the second moves less has an end
_ROUNDING = 1e-9


@lru_cache(maxsize=64)
def covered_knobs(spec: Spec, stage: str) -> frozenset[str]:
    """Name the knobs whose range the residual features tell.

    A knob far above its range must leave that of a feature: by itself, and with others that are far
    above theirs. `minimum(tokens, 512)` tells nothing of many tokens, and `log(prompt / output)`
    nothing of both; `log(text + image)` tells of either, and `log(batch * beams)` too: that a large
    batch with few beams is like a small one with many is the spec's word.

    Parameters
    ----------
    spec : Spec
    stage : str

    Returns
    -------
    frozenset of str
        Some of the knobs that the features use.
    """
    residual = spec.stages[stage].residual
    features = residual.features if residual else ()
    named = reachable((name for each in features for name in each.names), spec.quantity_names)
    knobs = [knob for knob in spec.knobs if knob in named]
    if not knobs:
        return frozenset()
    grown = np.array(list(_groups(len(knobs))))
    moves = _moves(spec, [each.text for each in features], knobs, grown)
    hidden = np.any(grown & ~moves[:, None], axis=0)
    return frozenset(knob for knob, is_hidden in zip(knobs, hidden, strict=True) if not is_hidden)


def _groups(size: int) -> Iterator[NDArray[np.bool_]]:
    """Yield which knobs grow together: each, each two, and all."""
    unit = np.eye(size, dtype=bool)
    yield from unit
    for one, other in combinations(unit, 2):
        yield one | other
    yield np.ones(size, dtype=bool)


def _moves(
    spec: Spec, features: Sequence[str], knobs: Sequence[str], grown: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Tell for which knobs that grow together a feature goes on and on. Shape (group,)."""
    places = np.exp(np.random.default_rng(0).uniform(0.0, 4.0, (_PLACES, len(knobs))))
    steps = [np.where(grown, step, 1.0) for step in (1.0, _NEAR, _FAR)]
    table = np.stack([places * step[:, None] for step in steps])  # step, group, place, knob
    columns = {knob: table[..., at].ravel() for at, knob in enumerate(knobs)}
    others = [knob for knob in spec.knobs if knob not in columns]
    columns |= dict.fromkeys(others, np.ones(table[..., 0].size))
    if spec.uses_task:
        columns["task"] = np.full(table[..., 0].size, "")
    with np.errstate(all="ignore"):
        names = spec.namespace(columns, dict.fromkeys(HARDWARE_FIELDS, 1.0))
        found = [_follows(names.evaluate(feature), table.shape[:3]) for feature in features]
    moves: NDArray[np.bool_] = np.any(found, axis=0)
    return moves


def _follows(values: object, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Tell of which groups a feature goes on, at most places. Shape (group,).

    Where it is no number there, a configuration has none either.
    """
    table = np.broadcast_to(np.asarray(values, dtype=float), math.prod(shape)).reshape(shape)
    first, second = np.abs(np.diff(table, axis=0))
    rounding = _ROUNDING * np.maximum(np.abs(table[1]), 1.0)
    goes_on = ~(second <= np.maximum(_STILL * first, rounding))
    moves: NDArray[np.bool_] = goes_on.mean(axis=1) > 0.5
    return moves
