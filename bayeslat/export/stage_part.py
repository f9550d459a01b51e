"""What a bundle holds of one stage: its expressions as steps, and its draws as matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.extrapolation import walk_steps
from bayeslat.decisions.group_view import GroupView, view_group
from bayeslat.decisions.predict_stage import correction_size, stratified_noise
from bayeslat.decisions.run_noise import score_cubic
from bayeslat.decisions.unseen_task import task_effects
from bayeslat.export.graph import Graph, Value
from bayeslat.features.expressions import Expression
from bayeslat.features.hardware import Gpu
from bayeslat.features.residual import ResidualBasis
from bayeslat.features.tasks import NO_TASK
from bayeslat.inference.posterior import PosteriorData

__all__ = ["StagePart", "join_parts", "make_part"]


@dataclass(frozen=True)
class StagePart:
    """One stage of a bundle.

    The log latency of a draw is log physics + shares' u + columns' w, with the shares of the terms
    and the columns of the correction. What makes the columns orthogonal to the shares is in u.

    Attributes
    ----------
    name : str
    times : Value
    terms : mapping of str to Value
        Physics in ms, at the GPU's linearisation point.
    parts : tuple of Value
        The same in fewer parts: those of one step, and the constants, joined.
    coordinates : tuple of Value
        Of the basis.
    basis : ResidualBasis
    effects : ndarray, shape (feature, draw)
        Of the parts' shares and the columns; then, for configurations beyond the range of the
        fit, of what the shares have moved from its edge, of the root of d + d^2 for the distance d
        along each coordinate, and, where tasks were fitted, of a new one.
    noise_sd : ndarray, shape (draw,)
    noise : mapping
        Cubic of its normal scores, and how its log depends on the scaled features.
    """

    name: str
    times: Value
    terms: dict[str, Value]
    parts: tuple[Value, ...]
    coordinates: tuple[Value, ...]
    basis: ResidualBasis
    effects: NDArray[np.float64]
    noise_sd: NDArray[np.float64]
    noise: dict[str, Any]


def make_part(
    data: PosteriorData, stage: str, gpu: Gpu, stack: str | None, seed: int, graph: Graph
) -> StagePart:
    """Draw a stage as a prediction draws it, and write its expressions as steps.

    Parameters
    ----------
    data : PosteriorData
        With as many draws as the bundle shall have.
    stage : str
    gpu : Gpu
    stack : str or None
    seed : int
    graph : Graph
        Takes the steps.

    Returns
    -------
    StagePart
    """
    part, spec = data.stages[stage], data.spec.stages[stage]
    stream = [seed, list(data.stages).index(stage)]
    rng = np.random.default_rng(stream)
    # In the order in which `predict_stage` asks for random numbers.
    view = view_group(data, stage, gpu, stack, rng)
    stratified_noise(len(view.noise_sd), part.noise_dof, rng)
    walk = walk_steps(part.basis.moved, correction_size(data, stage, gpu, view), rng)
    offsets, correction = view.effects[:, : part.terms], view.effects[:, part.terms :]
    projected = view.point.projection @ correction.T
    terms = {
        name: graph.value(term.expression).scaled(float(factor))
        for (name, term), factor in zip(
            spec.physics.items(), np.exp(view.point.log_efficiency), strict=True
        )
    }
    parts, joined = join_parts(list(terms.values()))
    effects = [
        joined @ ((offsets - view.departure).T - projected),
        correction.T,
        joined @ projected,
        walk.T,
    ]
    if part.basis.tasks:
        effects.append(task_effects(part, np.array([NO_TASK], dtype=object), stream))
    names = (*part.basis.features, *part.basis.watched)
    return StagePart(
        name=stage,
        times=graph.value(spec.times),
        terms=terms,
        parts=parts,
        coordinates=tuple(graph.value(Expression(name)) for name in names),
        basis=part.basis,
        effects=np.concatenate(effects),
        noise_sd=view.noise_sd,
        noise=_noise(data, stage, view),
    )


def join_parts(terms: Sequence[Value]) -> tuple[tuple[Value, ...], NDArray[np.float64]]:
    """Join terms of one step, and constants, so that less is computed for each config.

    Parameters
    ----------
    terms : sequence of Value

    Returns
    -------
    parts : tuple of Value
        With the same sum. A term with a negative offset or factor is a part of its own.
    weights : ndarray, shape (part, term)
        An effect of the terms' shares is one of the parts', multiplied by these.
    """
    joined: dict[int | str | None, dict[int, float]] = {}
    for at, term in enumerate(terms):
        if term.offset < 0 or term.factor < 0:
            joined[f"term {at}"] = {at: 1.0}
            continue
        if term.offset or term.step is None:
            joined.setdefault(None, {})[at] = term.offset
        if term.step is not None:
            joined.setdefault(term.step, {})[at] = term.factor
    parts, weights = [], np.zeros((len(joined), len(terms)))
    for row, (step, amounts) in enumerate(joined.items()):
        total = sum(amounts.values())
        if isinstance(step, str):
            parts.append(terms[next(iter(amounts))])
        else:
            parts.append(Value(total) if step is None else Value(0.0, total, step))
        for at, amount in amounts.items():
            weights[row, at] = amount / total if total else 0.0
    return tuple(parts), weights


def _noise(data: PosteriorData, stage: str, view: GroupView) -> dict[str, Any]:
    """Cubic of the normal scores; log of the scale as a quadratic of the scaled features."""
    part = data.stages[stage]
    linear, cubic = score_cubic(np.array([part.noise_dof]))
    shape, count = part.noise_shape, len(part.basis.features)
    log_rms = 0.5 * np.log(np.mean(view.noise_sd**2))
    return {
        "linear": float(linear[0]),
        "cubic": float(cubic[0]),
        "slopes": shape.slopes[:count].tolist(),
        "squares": shape.slopes[count:].tolist(),
        "constant": float(log_rms - shape.centre @ shape.slopes),
        "dof": float(part.noise_dof) if np.isfinite(part.noise_dof) else None,
    }
