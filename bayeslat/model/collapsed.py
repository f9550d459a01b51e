"""The collapsed form: effects integrated out exactly, so that only the scales are left to sample.

Given the scales, every effect is Gaussian, and rows enter by their sufficient statistics alone.
A node of the group tree passes up what its rows say about its parent, as a precision matrix and
a vector; what arrives at the shared effects gives the marginal likelihood. Passing back down gives
each effect's posterior, and with it the gradient: by Fisher's identity the gradient of a marginal
log likelihood is the posterior mean of the complete-data gradient (Dempster, Laird and Rubin 1977,
eq. 2.13-2.15; Cappé, Moulines and Rydén 2005, prop. 10.1.6).

The functions are compiled by numba without the GIL, so chains run side by side. All that are
compiled stand in this file: numba's cache looks at the file of a function, and would keep an old
copy of what that function calls from another.
"""

from __future__ import annotations

import math

import numpy as np
from numba import carray

from bayeslat.model.collapsed_data import CollapsedData
from bayeslat.model.compiled import compiled
from bayeslat.model.groups import Level
from bayeslat.model.scores import FARTHEST

__all__ = [
    "HEAD",
    "draw_effects",
    "log_likelihood",
    "log_posterior",
    "packed_identity",
    "packed_log_posterior",
]

HEAD = 8
"""Numbers at the head of what `packed_log_posterior` is handed."""


_MEMBER, _FAMILY, _STACK = int(Level.MEMBER), int(Level.FAMILY), int(Level.STACK)
_LOG_TAU = float(np.log(2 * np.pi))
_ROOT_HALF = math.sqrt(0.5)
_NEWTON_STEPS = 7  # quadratic from one side, so far more than double precision needs


@compiled
def _half_normal_size(score):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return x > 0 with P(|z| < x) = P(z < score) for standard normal z.

    Newton's steps approach from one side, since erf is concave and so is log erfc; each branch
    solves for the smaller of the two tails, and so keeps its relative precision.
    """
    lower = 0.5 * math.erfc(-score * _ROOT_HALF)
    if score < 0.0:
        x = lower * math.sqrt(0.5 * math.pi)
        for _ in range(_NEWTON_STEPS):
            density = math.sqrt(2.0 / math.pi) * math.exp(-0.5 * x * x)
            x += (lower - math.erf(x * _ROOT_HALF)) / density
        return x
    upper = 0.5 * math.erfc(score * _ROOT_HALF)
    x = score
    for _ in range(_NEWTON_STEPS):
        tail = math.erfc(x * _ROOT_HALF)
        density = math.sqrt(2.0 / math.pi) * math.exp(-0.5 * x * x)
        x += math.log(tail / upper) * tail / density
    return x


@compiled
def _scales_from_scores(scores, data):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return scales and their slopes by the scores: `scores.scales_from_scores`, compiled."""
    scales = np.empty(scores.size)
    slope = np.empty(scores.size)
    for k in range(scores.size):
        score = min(max(scores[k], -FARTHEST), FARTHEST)
        if data.half_normal[k] > 0.0:
            x = _half_normal_size(score)
            scales[k] = math.log(data.half_normal[k] * x)
            slope[k] = 0.5 * math.exp(0.5 * (x * x - score * score)) / x
        else:
            scales[k] = data.normal[k, 0] + data.normal[k, 1] * score
            slope[k] = data.normal[k, 1]
        if score != scores[k]:
            slope[k] = 0.0
    return scales, slope


@compiled
def _invert(matrix):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the inverse of a positive definite matrix, and the log of its determinant.

    Gauss and Jordan's sweeps, which need no pivoting here; NaN where the matrix is not positive
    definite, where LAPACK would raise. Inner loops run along rows, as vector instructions do: for
    some twenty features faster than LAPACK.
    """
    size = matrix.shape[0]
    swept = matrix.copy()
    log_det = 0.0
    for k in range(size):
        pivot = 1.0 / swept[k, k]
        log_det += np.log(swept[k, k])
        swept[k, k] = 1.0
        for column in range(size):
            swept[k, column] *= pivot
        for row in range(size):
            if row != k:
                weight = swept[row, k]
                swept[row, k] = 0.0
                for column in range(size):
                    swept[row, column] -= weight * swept[k, column]
    return swept, log_det


@compiled
def _root(matrix):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the Cholesky factor of a positive definite matrix."""
    size = matrix.shape[0]
    factor = np.zeros((size, size))
    for row in range(size):
        for column in range(row + 1):
            rest = matrix[row, column]
            for inner in range(column):
                rest -= factor[row, inner] * factor[column, inner]
            if column < row:
                factor[row, column] = rest / factor[column, column]
            else:
                factor[row, row] = np.sqrt(rest)
    return factor


@compiled
def _level_sd(data, scales, level):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return what a level multiplies the offset sd by."""
    if level == _STACK:
        return np.exp(scales[data.stack_at])
    if level == _MEMBER:
        return np.sqrt(1.0 / (1.0 + np.exp(scales[data.family_at])))
    if level == _FAMILY:
        return np.sqrt(1.0 / (1.0 + np.exp(-scales[data.family_at])))
    return 1.0


@compiled
def _feature_sd(data, scales):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the offset sd and the shared sd of every feature."""
    size = data.multiplier.size
    offset_sd = np.empty(size)
    shared_sd = np.empty(size)
    for j in range(size):
        offset_sd[j] = np.exp(scales[data.offset_index[j]]) * data.multiplier[j]
        at = data.shared_index[j]
        shared_sd[j] = np.exp(scales[at]) * data.multiplier[j] if at >= 0 else data.shared_sd[j]
    return offset_sd, shared_sd


@compiled
def _pass_up(data, scales, offset_sd, shared_sd):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Eliminate every node in turn; the last slot is the shared effects.

    Per node, with precision L, vector e and departure sd S: C = I + S L S; what it tells its parent
    is the precision L - L S C^-1 S L = S^-1 (I - C^-1) S^-1 and the vector
    e - L S C^-1 S e = S^-1 C^-1 S e. The right-hand sides lose no digits, neither where S is near
    zero nor where L is large, once 1 - (C^-1)_jj is formed as (S L S C^-1)_jj.
    Returns per node C^-1, the gain C^-1 S L, S, L, e and the precision told, and the rows' log
    marginal likelihood.
    """
    nodes, size = data.level.size, data.multiplier.size
    precision = np.zeros((nodes + 1, size, size))
    vector = np.zeros((nodes + 1, size))
    told = np.empty((nodes, size, size))
    inverse = np.empty((nodes + 1, size, size))
    gain = np.empty((nodes, size, size))
    sd = np.empty((nodes + 1, size))
    coupled = np.empty((size, size))
    total = 0.0
    for v in range(nodes + 1):
        group = data.leaf[v] if v < nodes else -1
        if group >= 0:
            log_noise = scales[data.noise_at] + scales[data.noise_at + 1 + group]
            weight = np.exp(-2.0 * log_noise)
            precision[v] += data.gram[group] * weight
            vector[v] += data.moment[group] * weight
            total -= 0.5 * (
                data.rows[group] * (2.0 * log_noise + _LOG_TAU) + data.square[group] * weight
            )
        sd[v] = offset_sd * _level_sd(data, scales, data.level[v]) if v < nodes else shared_sd
        for j in range(size):
            for k in range(size):
                coupled[j, k] = sd[v, j] * precision[v, j, k] * sd[v, k]
            coupled[j, j] += 1.0
        inverse[v], log_det = _invert(coupled)
        scaled = sd[v] * vector[v]
        mean = inverse[v] @ scaled
        total += 0.5 * (scaled @ mean - log_det)
        if v < nodes:
            up = data.parent[v] if data.parent[v] >= 0 else nodes
            per_sd = 1.0 / sd[v]
            for j in range(size):
                taken = 0.0
                for k in range(size):
                    taken += precision[v, j, k] * sd[v, k] * inverse[v, j, k]
                    gain[v, j, k] = -inverse[v, j, k] * per_sd[k]
                gain[v, j, j] = taken
                for k in range(size):
                    told[v, j, k] = gain[v, j, k] * per_sd[j]
                    precision[up, j, k] += told[v, j, k]
            vector[up] += mean * per_sd
    return inverse, gain, sd, precision, vector, told, total


@compiled
def log_likelihood(scales, data):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Log marginal likelihood of a stage's rows given its scales, and its gradient.

    Parameters
    ----------
    scales : ndarray, shape (scale,)
        Logs of the scales, logit of the family share; in the order of `ScaleLayout`.
    data : CollapsedData

    Returns
    -------
    value : float
    gradient : ndarray, shape (scale,)
    """
    nodes, size = data.level.size, data.multiplier.size
    offset_sd, shared_sd = _feature_sd(data, scales)
    inverse, gain, sd, precision, vector, told, value = _pass_up(data, scales, offset_sd, shared_sd)
    gradient = np.zeros(scales.size)
    mean = np.zeros((nodes + 1, size))
    spread = np.zeros((nodes + 1, size, size))

    # Shared effects m = S0 z, with z of covariance C^-1.
    z = inverse[nodes] @ (sd[nodes] * vector[nodes])
    mean[nodes] = sd[nodes] * z
    spread[nodes] = inverse[nodes] * sd[nodes] * sd[nodes].reshape(size, 1)
    for j in range(size):
        if data.shared_index[j] >= 0:
            gradient[data.shared_index[j]] += inverse[nodes, j, j] + z[j] * z[j] - 1.0

    excess = np.empty(size)
    for v in range(nodes - 1, -1, -1):
        # A departure is S z; E[z^2] - 1 is the slope of its complete-data log density in log S.
        up = data.parent[v] if data.parent[v] >= 0 else nodes
        z = inverse[v] @ (sd[v] * vector[v]) - gain[v] @ mean[up]
        mean[v] = mean[up] + sd[v] * z
        carried = gain[v] @ spread[up]
        trace = 0.0
        for j in range(size):
            variance = inverse[v, j, j] + carried[j] @ gain[v, j]
            trace += variance
            excess[j] = variance + z[j] * z[j] - 1.0
            gradient[data.offset_index[j]] += excess[j]
        if data.level[v] == _STACK:
            gradient[data.stack_at] += excess.sum()
        elif data.level[v] != 0:
            share = 1.0 / (1.0 + np.exp(-scales[data.family_at]))
            slope = -0.5 * share if data.level[v] == _MEMBER else 0.5 * (1.0 - share)
            gradient[data.family_at] += slope * excess.sum()
        group = data.leaf[v]
        if group >= 0:
            # E[(y - Z beta)'(y - Z beta)] / noise^2, with trace(L Cov beta) by C = I + S L S.
            log_noise = scales[data.noise_at] + scales[data.noise_at + 1 + group]
            misfit = data.square[group] * np.exp(-2.0 * log_noise)
            misfit += mean[v] @ (precision[v] @ mean[v]) - 2.0 * (vector[v] @ mean[v])
            misfit += size - trace + (told[v] * spread[up]).sum()
            gradient[data.noise_at] += misfit - data.rows[group]
            gradient[data.noise_at + 1 + group] += misfit - data.rows[group]
        else:
            turn = -gain[v] * sd[v].reshape(size, 1)
            for j in range(size):
                turn[j, j] += 1.0
            spread[v] = turn @ spread[up] @ turn.T
            spread[v] += inverse[v] * sd[v] * sd[v].reshape(size, 1)
    return value, gradient


@compiled
def log_posterior(white, centre, root, data):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Log posterior density at scores = centre + root @ white, up to a constant, and its gradient.

    Parameters
    ----------
    white : ndarray, shape (scale,)
    centre : ndarray, shape (scale,)
    root : ndarray, shape (scale, scale)
    data : CollapsedData

    Returns
    -------
    value : float
    gradient : ndarray, shape (scale,)
        By `white`.
    """
    scores = centre + root @ white
    scales, slope = _scales_from_scores(scores, data)
    value, gradient = log_likelihood(scales, data)
    return value - 0.5 * (scores @ scores), root.T @ (gradient * slope - scores)


def packed_log_posterior(dim, white, gradient, value, packed):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Evaluate `log_posterior` for callers that hand over addresses: a C function, once compiled.

    Parameters
    ----------
    dim : int
        Number of scales.
    white, gradient, value : pointer to float
        In; out; out.
    packed : pointer to float
        Its length; the numbers of groups, features, nodes and scales; `family_at`, `stack_at`,
        `noise_at`; then centre, root and the arrays of `CollapsedData`, in order.

    Returns
    -------
    int
        0, or 4 where the density is not finite: nutpie takes it for a divergence.
    """
    store = carray(packed, (int(carray(packed, (1,))[0]),))
    groups, size, nodes, scales = int(store[1]), int(store[2]), int(store[3]), int(store[4])
    at = HEAD
    centre, at = store[at : at + scales], at + scales
    root, at = store[at : at + scales**2].reshape((scales, scales)), at + scales**2
    gram, at = store[at : at + groups * size**2], at + groups * size**2
    moment, at = store[at : at + groups * size], at + groups * size
    square, at = store[at : at + groups], at + groups
    rows, at = store[at : at + groups], at + groups
    level, at = store[at : at + nodes], at + nodes
    parent, at = store[at : at + nodes], at + nodes
    leaf, at = store[at : at + nodes], at + nodes
    offset_index, at = store[at : at + size], at + size
    shared_index, at = store[at : at + size], at + size
    multiplier, at = store[at : at + size], at + size
    shared_sd, at = store[at : at + size], at + size
    half_normal, at = store[at : at + scales], at + scales
    data = CollapsedData(
        gram.reshape((groups, size, size)),
        moment.reshape((groups, size)),
        square,
        rows,
        level.astype(np.int64),
        parent.astype(np.int64),
        leaf.astype(np.int64),
        offset_index.astype(np.int64),
        shared_index.astype(np.int64),
        multiplier,
        shared_sd,
        half_normal,
        store[at : at + 2 * scales].reshape((scales, 2)),
        int(store[5]),
        int(store[6]),
        int(store[7]),
    )
    height, slope = log_posterior(carray(white, (dim,)), centre, root, data)
    carray(value, (1,))[0] = height
    carray(gradient, (dim,))[:] = slope
    return 0 if np.isfinite(height) and np.all(np.isfinite(slope)) else 4


def packed_identity(dim, expanded, white, out, packed):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Copy the point: the other C function that nutpie asks for."""
    carray(out, (expanded,))[:] = carray(white, (dim,))
    return 0


@compiled
def draw_effects(scales, standard, data):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Exact draws of the shared effects and of every node, given draws of the scales.

    Parameters
    ----------
    scales : ndarray, shape (draw, scale)
    standard : ndarray, shape (draw, node + 1, feature)
        Independent standard normals.
    data : CollapsedData

    Returns
    -------
    ndarray, shape (draw, node + 1, feature)
        Each node's effect (not its departure); the last node is the shared effect m.
    """
    nodes = data.level.size
    effect = np.empty(standard.shape)
    for d in range(scales.shape[0]):
        offset_sd, shared_sd = _feature_sd(data, scales[d])
        inverse, gain, sd, _, vector, _, _ = _pass_up(data, scales[d], offset_sd, shared_sd)
        for v in range(nodes, -1, -1):
            z = inverse[v] @ (sd[v] * vector[v]) + _root(inverse[v]) @ standard[d, v]
            effect[d, v] = sd[v] * z
            if v < nodes:
                up = data.parent[v] if data.parent[v] >= 0 else nodes
                effect[d, v] += effect[d, up] - sd[v] * (gain[v] @ effect[d, up])
    return effect
