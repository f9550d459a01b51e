from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bayeslat.model.groups import Level, grow_tree
from tests.problems import GROUPS, KIN, LONE, lone_groups


def table_of(groups, families):  # type: ignore[no-untyped-def]
    """Return name -> (level, name of the parent, leaf)."""
    tree = grow_tree(groups, families)
    above = (*tree.names, "shared")
    rows = zip(tree.names, tree.level, tree.parent, tree.leaf, strict=True)
    return {name: (Level(level), above[parent], leaf) for name, level, parent, leaf in rows}


def test_gpus_without_relatives_depart_from_the_shared_effects() -> None:
    assert table_of(lone_groups(LONE), LONE) == {
        "a": (Level.GPU, "shared", 0),
        "b": (Level.GPU, "shared", 1),
    }


def test_two_of_a_generation_make_a_family() -> None:
    assert table_of(lone_groups(KIN), KIN) == {
        "a": (Level.MEMBER, "north", 0),
        "b": (Level.MEMBER, "north", 1),
        "c": (Level.GPU, "shared", 2),
        "north": (Level.FAMILY, "shared", -1),
    }


def test_a_gpu_of_several_stacks_stands_above_them() -> None:
    assert table_of(GROUPS, KIN) == {
        "a@v1": (Level.STACK, "a", 0),
        "a@v2": (Level.STACK, "a", 1),
        "a": (Level.MEMBER, "north", -1),
        "b": (Level.MEMBER, "north", 2),
        "c": (Level.GPU, "shared", 3),
        "north": (Level.FAMILY, "shared", -1),
    }


def test_a_single_stack_needs_no_node() -> None:
    assert list(table_of((("a", "v1"), ("b", "v2")), LONE)) == ["a", "b"]


def test_stacks_of_one_gpu_make_no_family() -> None:
    tree = grow_tree((("a", "v1"), ("a", "v2")), {"a": "north"})
    assert (tree.has_stacks, tree.has_families) == (True, False)


def test_a_relative_that_is_not_in_the_fit_makes_no_family() -> None:
    tree = grow_tree((("a", ""),), KIN)
    assert tree.names == ("a",)
    assert not tree.has_families


def test_nodes_are_found_by_name() -> None:
    tree = grow_tree(GROUPS, KIN)
    assert [tree.names[tree.index(name)] for name in ("a", "north")] == ["a", "north"]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", "v1", "v2"])),
        min_size=1,
        unique=True,
    ),
    st.lists(st.sampled_from(["north", "south", "east"]), min_size=6, max_size=6),
)
def test_every_tree_can_be_swept_once_upwards(
    groups: list[tuple[str, str]], kinds: list[str]
) -> None:
    tree = grow_tree(groups, dict(zip("abcdef", kinds, strict=True)))
    nodes = np.arange(len(tree.names))
    assert np.all((tree.parent == -1) | (tree.parent > nodes)), "children come before parents"
    assert sorted(tree.leaf[tree.leaf >= 0]) == list(range(len(groups))), "each group has one leaf"
    inner = np.setdiff1d(nodes, tree.parent)
    assert np.all(tree.leaf[inner] >= 0), "every node without children has rows"
    for node in nodes[tree.parent >= 0]:
        above = Level(tree.level[tree.parent[node]])
        allowed = {
            Level.STACK: {Level.GPU, Level.MEMBER},
            Level.MEMBER: {Level.FAMILY},
        }
        assert above in allowed[Level(tree.level[node])]
