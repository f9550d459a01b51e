"""What a bundle holds of one stage: its expressions as steps, and its draws as matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.group_view import GroupView, view_group
from bayeslat.decisions.predict_stage import correction_size, stratified_noise
from bayeslat.decisions.run_noise import score_cubic
from bayeslat.decisions.unseen_task import task_effects
from bayeslat.export.graph import Graph, Value
from bayeslat.features.corners import Corners
from bayeslat.features.design import stage_inputs
from bayeslat.features.expressions import Expression
from bayeslat.features.hardware import Gpu
from bayeslat.features.noise_shape import NoiseShape
from bayeslat.features.residual import ResidualBasis
from bayeslat.features.tasks import NO_TASK
from bayeslat.inference.calibration.new_tasks import grid_of_tasks
from bayeslat.inference.calibration.widening import walk_steps
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.walk import Walk

__all__ = ["StagePart", "join_parts", "make_part"]


_LEFT = 0.02  # of a run's sd at a config: what the latent variables may leave of the draws' sd


@dataclass(frozen=True)
class StagePart:
    """One stage of a bundle.

    The log latency of a draw is log physics + shares' u + columns' w, with the shares of the terms
    and the columns of the correction. What makes the columns orthogonal to the shares is in u.

    Attributes
    ----------
    name : str
    times : Value
    parts : tuple of Value
        Physics in ms at the GPU's linearisation point: terms of one step, and constants, joined.
    coordinates : tuple of Value
        Of the basis.
    basis : ResidualBasis
    corners : Corners
        Empty ones of its features, which are the first coordinates.
    columns : tuple of (int, int)
        Each column of the correction as an earlier one (-1: 1) times a feature.
    latent : int
        Variables that configurations inside the range of the fit need; those before the others.
    loads : ndarray, shape (feature, 2 + latent)
        What the mean log latency, the log scale of the noise and each latent variable gain by the
        parts' shares, the columns and the tasks; then, for configurations beyond the range of the
        fit, by what the shares have moved from its edge, by the root of d + d^2 for the distance d
        along each coordinate and, if there is one, in an empty corner, by what the group's own
        rows tell of the way, and, where tasks were fitted, by a new one.
    draws : ndarray, shape (latent, draw)
        The latent variables: uncorrelated, of mean 0 and variance 1.
    noise_squares : ndarray, shape (draw,)
        Square of the noise's scale, over the mean of the draws'.
    noise : mapping of str to float
        Log of the root mean square of its scale, without the features, and what a typical run's
        adds to it; the cubic of its normal scores.
    walk : Walk or None
        What the group's own rows tell beyond the range of the fit.
    """

    name: str
    times: Value
    parts: tuple[Value, ...]
    coordinates: tuple[Value, ...]
    basis: ResidualBasis
    corners: Corners
    columns: tuple[tuple[int, int], ...]
    latent: int
    loads: NDArray[np.float64]
    draws: NDArray[np.float64]
    noise_squares: NDArray[np.float64]
    noise: dict[str, float]
    walk: Walk | None


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
    walk = walk_steps(part.basis, correction_size(data, stage, gpu, view), rng)
    corners = view.basis.corners
    if not len(corners.pairs):
        walk = walk[:, :-1]
    offsets, correction = view.effects[:, : part.terms], view.effects[:, part.terms :]
    projected = view.point.projection @ correction.T
    parts, joined = join_parts(
        [
            graph.value(term.expression).scaled(float(factor))
            for term, factor in zip(
                spec.physics.values(), np.exp(view.point.log_efficiency), strict=True
            )
        ]
    )
    columns, powers = _columns(part.basis, part.noise_shape)
    monomials = len(part.basis.exponents)
    inside = np.concatenate(
        [
            joined @ ((offsets - view.departure).T - projected),
            correction.T[:monomials],
            np.zeros((len(columns) - monomials, len(offsets))),
            correction.T[monomials:],
        ]
    )
    beyond = [joined @ projected, walk.T]
    if view.walk is not None:
        beyond.append(view.walk.steps.T)
    if part.basis.tasks:
        beyond.append(task_effects(part, np.array([NO_TASK], dtype=object), stream))
    outside = np.concatenate(beyond)
    basic = _latent(data, stage, gpu, view)
    # Beyond the range, the features come in other proportions: there nothing is left out.
    effects = np.concatenate([inside, outside])
    draws = np.concatenate([basic, _further(effects, basic)])
    loads = np.zeros((len(effects), 2 + len(draws)))
    loads[:, 0] = effects.mean(axis=1)
    loads[len(parts) : len(parts) + len(columns), 1] = powers
    loads[:, 2:] = effects @ draws.T / draws.shape[1]
    names = (*part.basis.features, *part.basis.watched)
    return StagePart(
        name=stage,
        times=graph.value(spec.times),
        parts=parts,
        coordinates=tuple(graph.value(Expression(name)) for name in names),
        basis=part.basis,
        corners=corners,
        columns=columns,
        latent=len(basic),
        loads=loads,
        draws=draws,
        noise_squares=view.noise_sd**2 / np.mean(view.noise_sd**2),
        noise=_noise(data, stage, view),
        walk=view.walk,
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


def _latent(data: PosteriorData, stage: str, gpu: Gpu, view: GroupView) -> NDArray[np.float64]:
    """Latent variables that the log latency over the knob grid is made of. Shape (latent, draw).

    The first principal components of the draws: as many as leave next to nothing at any config.
    """
    part = data.stages[stage]
    reference = stage_inputs(data.spec, stage, grid_of_tasks(data), gpu)
    departures = view.point.design(reference, part.basis)[1] @ view.effects.T
    departures -= departures.mean(axis=1, keepdims=True)
    draws = departures.shape[1]
    along, sizes, components = np.linalg.svd(departures, full_matrices=False)
    squares = (along * sizes) ** 2 / draws
    left = np.cumsum(squares[:, ::-1], axis=1)[:, ::-1]  # by the components from each on
    spread = part.noise_shape.spread(part.basis, reference.raw)
    run = left[:, 0] + np.mean(view.noise_sd**2) * spread**2
    enough = np.all(left < _LEFT**2 * run[:, None], axis=0)
    kept = int(np.argmax(enough)) if enough.any() else len(sizes)
    latent: NDArray[np.float64] = components[:kept] * np.sqrt(draws)
    return latent


def _further(effects: NDArray[np.float64], latent: NDArray[np.float64]) -> NDArray[np.float64]:
    """Latent variables that some effects need beside others. Shape (latent, draw)."""
    draws = effects.shape[1]
    left = effects - effects.mean(axis=1, keepdims=True)
    left -= left @ latent.T @ latent / draws
    _, sizes, components = np.linalg.svd(left, full_matrices=False)
    further: NDArray[np.float64] = components[sizes > 1e-6 * sizes.max(initial=0)] * np.sqrt(draws)
    return further


def _columns(
    basis: ResidualBasis, shape: NoiseShape
) -> tuple[tuple[tuple[int, int], ...], NDArray[np.float64]]:
    """Columns of the correction as products, and what the log scale of the noise gains by each.

    The noise may need squares that the correction lacks: they come last.
    """
    rows = [tuple(row) for row in basis.exponents.tolist()]
    units = [tuple(row) for row in np.eye(len(basis.features), dtype=int).tolist()]
    squares = [tuple(2 * power for power in row) for row in units]
    if shape.slopes.any():
        rows += [each for each in (*units, *squares) if each not in rows]
    columns = []
    for row in rows:
        last = max(at for at, power in enumerate(row) if power)
        before = tuple(power - (at == last) for at, power in enumerate(row))
        columns.append((rows.index(before) if any(before) else -1, last))
    powers = np.zeros(len(rows))
    for row, slope in zip((*units, *squares), shape.slopes, strict=True):
        if slope:
            powers[rows.index(row)] = slope
    return tuple(columns), powers


def _noise(data: PosteriorData, stage: str, view: GroupView) -> dict[str, float]:
    """What `StagePart.noise` holds."""
    part = data.stages[stage]
    linear, cubic = score_cubic(np.array([part.noise_dof]))
    shape, square = part.noise_shape, np.mean(view.noise_sd**2)
    return {
        "linear": float(linear[0]),
        "cubic": float(cubic[0]),
        "log_noise": float(0.5 * np.log(square) - shape.centre @ shape.slopes),
        "log_own": float(0.5 * np.log(part.noise_shared)),
    }
