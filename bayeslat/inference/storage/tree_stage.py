"""A stage in a posterior's tree: its sufficient statistics, and what it was linearised round."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from bayeslat.features.spec import Spec
from bayeslat.inference.posteriors.posterior import StagePosterior
from bayeslat.inference.storage.tree_draws import Drawn
from bayeslat.inference.storage.tree_hurdle import read_hurdle
from bayeslat.inference.storage.tree_settled import read_settled, settled_group
from bayeslat.inference.storage.tree_sums import read_sums, sums_group
from bayeslat.model.groups import GroupTree
from bayeslat.model.priors import stage_problem

__all__ = ["read_stage", "stage_group"]


def stage_group(part: StagePosterior, gpus: Sequence[str]) -> xr.Dataset:
    """Lay out what a stage knows besides its draws.

    Parameters
    ----------
    part : StagePosterior
    gpus : sequence of str
        The fitted GPUs, in order.

    Returns
    -------
    Dataset
    """
    names, groups = part.problem.features.names, part.problem.layout.groups
    settled = settled_group(part.settled, names, gpus, groups)
    sums = sums_group(part.problem.statistics, part.measured, names, groups)
    return settled.merge(sums, join="exact", combine_attrs="override")


def read_stage(
    node: xr.DataTree,
    spec: Spec,
    stage: str,
    groups: Sequence[tuple[str, str]],
    tree: GroupTree,
    drawn: Drawn,
) -> StagePosterior:
    """Rebuild a stage; its features and priors follow from the specification.

    Parameters
    ----------
    node : DataTree
        Holds what `stage_group` made, and the hurdle below it.
    spec : Spec
    stage : str
    groups : sequence of (gpu, stack)
    tree : GroupTree
    drawn : Drawn

    Returns
    -------
    StagePosterior

    Raises
    ------
    KeyError, ValueError
        If something is missing or does not fit.
    """
    stored = node.dataset
    settled = read_settled(stored)
    statistics, measured = read_sums(stored)
    problem = stage_problem(
        spec,
        stage,
        settled.basis,
        groups,
        tree,
        statistics,
        untold=settled.untold,
        most_counted=settled.most_counted,
    )
    hurdle = read_hurdle(node["hurdle"].dataset) if "hurdle" in node.children else None
    return StagePosterior.of(settled, problem, measured, drawn.scales, drawn.effects, hurdle)
