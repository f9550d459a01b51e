"""Who shares what with whom: GPUs in architecture families, stacks within GPUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["GroupTree", "Level", "grow_tree", "label_group", "name_group"]

SHARED = -1


class Level(IntEnum):
    """What a node's departure is a departure from, which sets its share of the offset variance."""

    GPU = 0
    """A GPU without a relative in the fit: the whole offset variance."""
    MEMBER = 1
    """A GPU with relatives: the part of the variance that its family does not explain."""
    FAMILY = 2
    """An architecture generation with two or more GPUs in the fit."""
    STACK = 3
    """A serving stack on a GPU that was measured under several."""


@dataclass(frozen=True, eq=False)
class GroupTree:
    """The groups of a fit as a tree, children before their parents.

    Attributes
    ----------
    names : tuple of str
        One name a node; a family's is its architecture generation, a stack's is `gpu@stack`.
    level : ndarray of int, shape (node,)
        `Level` of each node.
    parent : ndarray of int, shape (node,)
        Index of the node that this one departs from; -1 for the shared effects.
    leaf : ndarray of int, shape (node,)
        Index of the group whose rows this node explains; -1 for nodes without rows of their own.
    """

    names: tuple[str, ...]
    level: NDArray[np.int64]
    parent: NDArray[np.int64]
    leaf: NDArray[np.int64]

    @property
    def has_families(self) -> bool:
        """Whether any two GPUs share an architecture generation."""
        return bool(np.any(self.level == Level.FAMILY))

    @property
    def has_stacks(self) -> bool:
        """Whether any GPU was measured under several stacks."""
        return bool(np.any(self.level == Level.STACK))

    def nodes(self, *levels: Level) -> NDArray[np.int64]:
        """Return the positions of the nodes at some levels."""
        return np.flatnonzero(np.isin(self.level, levels))

    @property
    def gpus(self) -> NDArray[np.int64]:
        """Positions of the GPUs, with relatives or without."""
        return self.nodes(Level.GPU, Level.MEMBER)

    def node_of(self, group: int) -> int:
        """Return the node whose rows are a group's."""
        return int(np.flatnonzero(self.leaf == group)[0])

    def index(self, name: str) -> int:
        """Return the node called `name`."""
        return self.names.index(name)


def grow_tree(groups: Sequence[tuple[str, str]], families: Mapping[str, str]) -> GroupTree:
    """Arrange groups of rows under their GPU, its family and the shared effects.

    Parameters
    ----------
    groups : sequence of (gpu, stack), one a group of rows
        The leaves. A GPU with several stacks gets a node of its own above them.
    families : mapping of GPU to architecture generation
        A family becomes a node when two or more of its GPUs are in the fit.

    Returns
    -------
    GroupTree
        Stacks first, then GPUs, then families.
    """
    gpus = list(dict.fromkeys(gpu for gpu, _ in groups))
    stacks = Counter(gpu for gpu, _ in groups)
    kin = Counter(families[gpu] for gpu in gpus)
    shared_families = [family for family in dict.fromkeys(kin) if kin[family] > 1]
    split = [pair for pair in groups if stacks[pair[0]] > 1]

    names = [f"{gpu}@{stack}" for gpu, stack in split] + gpus + shared_families
    gpu_at = {gpu: len(split) + i for i, gpu in enumerate(gpus)}
    family_at = {f: len(split) + len(gpus) + i for i, f in enumerate(shared_families)}
    rows_of = {pair: i for i, pair in enumerate(groups)}
    single = {gpu: i for i, (gpu, _) in enumerate(groups) if stacks[gpu] == 1}

    level = [Level.STACK] * len(split)
    level += [Level.MEMBER if kin[families[gpu]] > 1 else Level.GPU for gpu in gpus]
    level += [Level.FAMILY] * len(shared_families)
    parent = [gpu_at[gpu] for gpu, _ in split]
    parent += [family_at.get(families[gpu], SHARED) for gpu in gpus]
    parent += [SHARED] * len(shared_families)
    leaf = [rows_of[pair] for pair in split]
    leaf += [single.get(gpu, -1) for gpu in gpus]
    leaf += [-1] * len(shared_families)
    return GroupTree(tuple(names), np.array(level), np.array(parent), np.array(leaf))


def label_group(gpu: str, stack: str) -> str:
    """Return the label of a GPU and its stack in a posterior's arrays."""
    return f"{gpu}@{stack}" if stack else gpu


def name_group(gpu: str, stack: str) -> str:
    """Return the name of a GPU and its stack in a sentence."""
    return f"{gpu} with {stack}" if stack else gpu
