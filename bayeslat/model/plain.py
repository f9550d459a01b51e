"""The plain form: every parameter a PyMC variable. The reference that the collapsed form equals.

Nothing of a fit needs it: it is for reading, for checking the collapsed form against, and for
measuring what collapsing saves. Alone in this layer it imports PyMC, which takes seconds to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

from bayeslat.model.groups import Level
from bayeslat.model.problem import StageProblem
from bayeslat.model.scales import FAMILY_SHARE, NOISE, NOISE_RATIO, STACK_RATIO

__all__ = ["build_plain"]


def build_plain(
    problem: StageProblem,
    designs: Sequence[NDArray[np.float64]],
    responses: Sequence[NDArray[np.float64]],
) -> pm.Model:
    """Write a stage's hierarchy out in PyMC.

    Parameters
    ----------
    problem : StageProblem
        Its statistics are not read: the rows take their place.
    designs : sequence over group of ndarray, shape (config, feature)
    responses : sequence over group of ndarray, shape (config,)
        Log latency less the physics at the linearisation point.

    Returns
    -------
    pymc.Model
        Scales under the names that `ScaleLayout.name_draws` gives them; `shared_effect` (feature),
        `family_effect` (family, feature), `gpu_effect` (gpu, feature) and `stack_effect`
        (stack, feature), which are effects, not departures; families, stacks and the two scales
        that go with them only where they exist. `response` (row) is observed.
    """
    group_of_row = np.repeat(np.arange(len(designs)), [len(rows) for rows in responses])
    with pm.Model(coords=_coords(problem)) as model:
        effects = _effects(problem)
        noise = pm.LogNormal("noise", NOISE.mean, NOISE.sd)
        ratio = pm.LogNormal("noise_ratio", NOISE_RATIO.mean, NOISE_RATIO.sd, dims="group")
        pm.Normal(
            "response",
            mu=pt.concatenate([z @ effects[g] for g, z in enumerate(designs)]),
            sigma=noise * ratio[group_of_row],
            observed=np.concatenate(responses),
        )
    return model


def _coords(problem: StageProblem) -> dict[str, list[str]]:
    """Name the dimensions' labels; the nodes of the tree by level."""
    tree, layout = problem.tree, problem.layout
    nodes = {level: _nodes(problem, level) for level in ("stack", "gpu", "family")}
    return {
        "feature": list(problem.features.names),
        "offset_feature": list(layout.offset_names),
        "shared_kind": list(layout.shared_names),
        "group": list(layout.groups),
        **{level: [tree.names[node] for node in at] for level, at in nodes.items()},
    }


def _nodes(problem: StageProblem, level: str) -> NDArray[np.int64]:
    """Positions in the tree of the stacks, the GPUs (with relatives or without) or the families."""
    levels = {
        "stack": (Level.STACK,),
        "gpu": (Level.GPU, Level.MEMBER),
        "family": (Level.FAMILY,),
    }
    return np.flatnonzero(np.isin(problem.tree.level, levels[level]))


def _feature_sds(problem: StageProblem) -> tuple[Any, Any]:
    """Sd of a lone GPU's departure and of the shared effect, for every feature."""
    layout, features = problem.layout, problem.features
    prior = np.array(layout.offset_prior)
    offset_scale = pm.HalfNormal("offset_scale", prior, dims="offset_feature")
    offset_sd = offset_scale[problem.offset_index] * features.multiplier
    if not layout.shared_names:
        return offset_sd, features.shared_sd
    shared_scale = pm.HalfNormal("shared_scale", np.array(layout.shared_prior), dims="shared_kind")
    drawn = problem.shared_index >= 0
    at = np.where(drawn, problem.shared_index - len(layout.offset_names), 0)
    given = np.where(drawn, 1.0, features.shared_sd)
    return offset_sd, pt.where(drawn, shared_scale[at] * features.multiplier, given)


def _effects(problem: StageProblem) -> list[Any]:
    """Each group's effects, from the shared ones down the tree. Shapes (feature,)."""
    tree = problem.tree
    families, gpus, stacks = (_nodes(problem, level) for level in ("family", "gpu", "stack"))
    offset_sd, shared_sd = _feature_sds(problem)
    effect = {-1: pm.Normal("shared_effect", 0.0, shared_sd, dims="feature")}

    gpu_sd = pt.tile(offset_sd, (len(gpus), 1))
    if len(families):
        # PyMC gives it no transform of its own (https://github.com/pymc-devs/pymc/issues/8441).
        share = pm.LogitNormal(
            "family_share",
            FAMILY_SHARE.mean,
            FAMILY_SHARE.sd,
            default_transform=pm.distributions.transforms.logodds,
        )
        family_sd = pt.sqrt(share) * offset_sd
        family = pm.Normal("family_effect", effect[-1], family_sd, dims=("family", "feature"))
        effect |= {node: family[i] for i, node in enumerate(families)}
        member = (tree.level[gpus] == Level.MEMBER)[:, None]
        gpu_sd = pt.where(member, pt.sqrt(1 - share) * offset_sd, gpu_sd)

    above = pt.stack([effect[parent] for parent in tree.parent[gpus]])
    gpu = pm.Normal("gpu_effect", above, gpu_sd, dims=("gpu", "feature"))
    effect |= {node: gpu[i] for i, node in enumerate(gpus)}

    if len(stacks):
        ratio = pm.LogNormal("stack_ratio", STACK_RATIO.mean, STACK_RATIO.sd)
        above = pt.stack([effect[parent] for parent in tree.parent[stacks]])
        stack = pm.Normal("stack_effect", above, ratio * offset_sd, dims=("stack", "feature"))
        effect |= {node: stack[i] for i, node in enumerate(stacks)}

    explains = {group: node for node, group in enumerate(tree.leaf) if group >= 0}
    return [effect[explains[group]] for group in range(len(problem.layout.groups))]
