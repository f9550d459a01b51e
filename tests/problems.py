"""Small random stage problems with known truth, for tests of the model and of inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.residual import span_basis
from bayeslat.features.terms import DEFAULT_PRIORS, TermKind
from bayeslat.model.groups import Level, grow_tree
from bayeslat.model.priors import feature_priors, scale_layout
from bayeslat.model.problem import StageProblem
from bayeslat.model.statistics import stack_statistics, summarise

type Matrices = tuple[NDArray[np.float64], ...]

# GPU -> family; names and families are made up, as nothing below the data sheet reads them.
LONE = {"a": "north", "b": "south"}
KIN = {"a": "north", "b": "north", "c": "south"}
GROUPS = (("a", "v1"), ("a", "v2"), ("b", ""), ("c", ""))
"""A GPU under two stacks, its relative, and a GPU without relatives."""


@dataclass(frozen=True)
class Case:
    """A stage problem, the rows behind its statistics, and what the rows were drawn from."""

    problem: StageProblem
    designs: Matrices
    responses: Matrices
    scales: NDArray[np.float64]  # shape: (scale,)
    effects: NDArray[np.float64]  # shape: (node + 1, feature)


def lone_groups(families: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return one group of rows a GPU."""
    return tuple((gpu, "") for gpu in families)


def make_case(
    seed: int,
    families: Mapping[str, str],
    groups: Sequence[tuple[str, str]] | None = None,
    *,
    kinds: Sequence[str] = ("launch", "bytes"),
    degree: int = 2,
    tasks: Sequence[str] = (),
    rows: int | Sequence[int] = 40,
    scales: NDArray[np.float64] | None = None,
) -> Case:
    """Draw designs, then a truth and rows from the model, all from one seed.

    Parameters
    ----------
    seed : int
    families : mapping of GPU to family
    groups : sequence of (gpu, stack), optional
        One a GPU by default.
    kinds : sequence of str, shape (term,)
    degree : int
        Of the residual, a polynomial in one feature; 0 for none.
    tasks : sequence of str
    rows : int, or one a group
    scales : ndarray, shape (scale,), optional
        The truth; drawn from its prior by default.
    """
    rng = np.random.default_rng(seed)
    groups = tuple(groups or lone_groups(families))
    counts = [rows] * len(groups) if isinstance(rows, int) else rows
    terms = tuple(f"{kind}_{i}" for i, kind in enumerate(kinds))
    priors = [DEFAULT_PRIORS[TermKind(kind)] for kind in kinds]
    tree = grow_tree(groups, families)
    basis = span_basis(["size"], degree, np.array([[-1.0], [1.0]]), tasks=tasks)
    designs = tuple(_design(rng, count, len(kinds), basis, tasks) for count in counts)
    problem = StageProblem(
        statistics=stack_statistics([summarise(z, np.zeros(len(z))) for z in designs]),
        tree=tree,
        features=feature_priors(terms, kinds, priors, basis),
        layout=scale_layout(terms, priors, basis, groups, tree),
    )
    if scales is None:
        scales = problem.layout.draw_prior(rng)
    return draw_case(problem, designs, scales, rng)


def _design(rng, rows, terms, basis, tasks):  # type: ignore[no-untyped-def]
    """Shares of the physics terms, which sum to 1, and residual columns."""
    shares = rng.dirichlet(np.full(terms, 0.7), rows)
    task = rng.choice(tasks, rows) if tasks else None
    return np.concatenate([shares, basis.columns(rng.uniform(-1, 1, (rows, 1)), task)], axis=1)


def draw_case(
    problem: StageProblem,
    designs: Matrices,
    scales: NDArray[np.float64],
    rng: np.random.Generator,
) -> Case:
    """Draw effects given scales, and rows given effects."""
    effects = draw_truth(problem, scales, rng)
    noise = noise_sd(problem, scales)
    node_of = {group: node for node, group in enumerate(problem.tree.leaf) if group >= 0}
    responses = tuple(
        z @ effects[node_of[g]] + noise[g] * rng.standard_normal(len(z))
        for g, z in enumerate(designs)
    )
    return Case(with_rows(problem, designs, responses), designs, responses, scales, effects)


def with_rows(problem: StageProblem, designs: Matrices, responses: Matrices) -> StageProblem:
    """Return the problem with the statistics of these rows."""
    parts = [summarise(z, y) for z, y in zip(designs, responses, strict=True)]
    return replace(problem, statistics=stack_statistics(parts))


def draw_truth(
    problem: StageProblem, scales: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw every effect from its prior, parents first; the last row is the shared effect."""
    nodes = len(problem.tree.names)
    effects = np.empty((nodes + 1, len(problem.features.names)))
    effects[nodes] = problem.shared_sd(scales) * rng.standard_normal(effects.shape[1])
    for node in reversed(range(nodes)):
        departure = departure_sd(problem, scales, node) * rng.standard_normal(effects.shape[1])
        effects[node] = effects[problem.tree.parent[node]] + departure
    return effects


def departure_sd(
    problem: StageProblem, scales: NDArray[np.float64], node: int
) -> NDArray[np.float64]:
    """Sd of a node's departure from its parent, written out from the model's definition."""
    named = problem.layout.name_draws(scales)
    level = problem.tree.level[node]
    part: Any = 1.0
    if level == Level.MEMBER:
        part = np.sqrt(1 - named["family_share"])
    if level == Level.FAMILY:
        part = np.sqrt(named["family_share"])
    if level == Level.STACK:
        part = named["stack_ratio"]
    return part * problem.offset_sd(scales)


def noise_sd(problem: StageProblem, scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noise of each group's rows. Shape (group,)."""
    named = problem.layout.name_draws(scales)
    return named["noise"] * named["noise_ratio"]


CASES: Mapping[str, Mapping[str, Any]] = {
    "one GPU": {"families": {"a": "north"}},
    "lone GPUs": {"families": LONE},
    "family": {"families": KIN},
    "family and stacks": {"families": KIN, "groups": GROUPS},
    "two families": {"families": {"a": "north", "b": "south", "c": "north", "d": "south"}},
    "tasks": {"families": KIN, "tasks": ("chat", "code"), "degree": 1},
    "no residual": {"families": LONE, "degree": 0, "kinds": ("launch", "flops", "flops")},
    "few rows and none": {"families": KIN, "rows": (0, 3, 40)},
}
"""Every shape that a stage's problem takes: arguments of `make_case`."""
