"""The model as one big Gaussian: slow, plain, and independent of the code under test."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.stats import multivariate_normal

from tests.problems import Case, departure_sd, noise_sd

type Array = NDArray[np.float64]


def prior_covariance(case: Case, scales: Array) -> Array:
    """Covariance of all effects, nodes first. Shape (node + 1, feature, node + 1, feature)."""
    problem = case.problem
    nodes, features = len(problem.tree.names), len(problem.features.names)
    # Row v of `lineage`: 1 for v itself and all above it. An effect is the sum of its departures.
    lineage = np.zeros((nodes + 1, nodes + 1))
    for node in range(nodes):
        at = node
        while at >= 0:
            lineage[node, at] = 1.0
            at = problem.tree.parent[at]
    lineage[:, nodes] = 1.0
    sds = np.stack(
        [departure_sd(problem, scales, v) for v in range(nodes)] + [problem.shared_sd(scales)]
    )
    covariance = np.zeros((nodes + 1, features, nodes + 1, features))
    for j in range(features):
        covariance[:, j, :, j] = (lineage * sds[:, j] ** 2) @ lineage.T
    return covariance


def dense_design(case: Case) -> Array:
    """Design of the rows of all groups against all effects. Shape (row, (node + 1) x feature)."""
    problem = case.problem
    nodes, features = len(problem.tree.names), len(problem.features.names)
    blocks = []
    for group, design in enumerate(case.designs):
        block = np.zeros((len(design), nodes + 1, features))
        block[:, list(problem.tree.leaf).index(group)] = design
        blocks.append(block.reshape(len(design), (nodes + 1) * features))
    return np.concatenate(blocks)


def dense_log_likelihood(case: Case, scales: Array) -> float:
    """Log density of all rows under their joint normal distribution."""
    design, response = dense_design(case), np.concatenate(case.responses)
    size = design.shape[1]
    covariance = design @ prior_covariance(case, scales).reshape(size, size) @ design.T
    return float(multivariate_normal.logpdf(response, cov=covariance + _noise(case, scales)))


def dense_conditional(case: Case, scales: Array) -> tuple[Array, Array]:
    """Mean and covariance of all effects given the rows. Shapes (effect,), (effect, effect)."""
    design, response = dense_design(case), np.concatenate(case.responses)
    size = design.shape[1]
    prior = prior_covariance(case, scales).reshape(size, size)
    gain = np.linalg.solve(design @ prior @ design.T + _noise(case, scales), design @ prior).T
    return gain @ response, prior - gain @ design @ prior


def _noise(case: Case, scales: Array) -> Array:
    sds = noise_sd(case.problem, scales)
    parts = [sds[g] ** 2 * np.eye(len(y)) for g, y in enumerate(case.responses)]
    return block_diag(*[part for part in parts if part.size])
