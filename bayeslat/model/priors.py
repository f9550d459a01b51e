"""A stage's problem: priors of effects and scales, from its terms and residual features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bayeslat.features.residual import ResidualBasis
from bayeslat.features.spec import Spec
from bayeslat.features.terms import KindPrior
from bayeslat.model.groups import GroupTree, label_group
from bayeslat.model.problem import MOST_COUNTED, ROUNDING, FeaturePriors, StageProblem
from bayeslat.model.scales import ScaleLayout
from bayeslat.model.statistics import Statistics

__all__ = [
    "RESIDUAL_OFFSET_SCALE",
    "RESIDUAL_SHARED_SCALE",
    "feature_priors",
    "scale_layout",
    "stage_features",
    "stage_priors",
    "stage_problem",
    "stage_scales",
]

RESIDUAL_OFFSET_SCALE = 0.04
"""How far GPUs' smooth corrections differ, per half range of a feature: a few percent."""
RESIDUAL_SHARED_SCALE = 0.2
"""How large the correction is that all GPUs share, per half range of a feature."""


def feature_priors(
    terms: Sequence[str], kinds: Sequence[str], priors: Sequence[KindPrior], basis: ResidualBasis
) -> FeaturePriors:
    """Lay out the priors of the physics terms, then of the residual columns.

    Parameters
    ----------
    terms, kinds : sequence of str, shape (term,)
    priors : sequence of KindPrior, shape (term,)
    basis : ResidualBasis

    Returns
    -------
    FeaturePriors
    """
    columns = len(basis.names)
    return FeaturePriors(
        names=(*terms, *basis.names),
        kinds=(*kinds, *basis.kinds),
        offset_scales=(*terms, *basis.offset_scales),
        multiplier=np.concatenate([np.ones(len(terms)), basis.multiplier]),
        shared_sd=np.array([prior.shared_sd for prior in priors] + [np.nan] * columns),
    )


def stage_features(spec: Spec, stage: str, basis: ResidualBasis) -> FeaturePriors:
    """Lay out a stage's features and their priors.

    Parameters
    ----------
    spec : Spec
    stage : str
    basis : ResidualBasis

    Returns
    -------
    FeaturePriors
    """
    terms = spec.stages[stage].physics
    return feature_priors(list(terms), _kinds(spec, stage), stage_priors(spec, stage), basis)


def stage_scales(
    spec: Spec,
    stage: str,
    basis: ResidualBasis,
    groups: Sequence[tuple[str, str]],
    tree: GroupTree,
    untold: Sequence[int] = (),
) -> ScaleLayout:
    """Lay out a stage's scales and their priors.

    Parameters
    ----------
    spec : Spec
    stage : str
    basis : ResidualBasis
    groups : sequence of (gpu, stack)
    tree : GroupTree
    untold : sequence of int
        Positions of the physics terms that rows cannot tell (`SettledStage`).

    Returns
    -------
    ScaleLayout
    """
    terms = list(spec.stages[stage].physics)
    layout = scale_layout(terms, stage_priors(spec, stage), basis, groups, tree)
    return replace(layout, untold=tuple(terms[place] for place in untold))


def stage_problem(
    spec: Spec,
    stage: str,
    basis: ResidualBasis,
    groups: Sequence[tuple[str, str]],
    tree: GroupTree,
    statistics: Statistics,
    *,
    untold: Sequence[int] = (),
    most_counted: float = MOST_COUNTED,
) -> StageProblem:
    """Lay out a stage's problem: all but its statistics follows from the spec.

    Parameters
    ----------
    spec, stage, basis, groups, tree, untold
        As `stage_scales` takes them.
    statistics : Statistics
    most_counted : float
        Rows that those of a group count for together at most.

    Returns
    -------
    StageProblem
    """
    return StageProblem(
        statistics=statistics,
        tree=tree,
        features=stage_features(spec, stage, basis),
        layout=stage_scales(spec, stage, basis, groups, tree, untold),
        most_counted=most_counted,
        rounding=ROUNDING,
    )


def stage_priors(spec: Spec, stage: str) -> list[KindPrior]:
    """Return the prior of each physics term of a stage."""
    return [spec.priors[term.kind] for term in spec.stages[stage].physics.values()]


def _kinds(spec: Spec, stage: str) -> list[str]:
    """Kind of each physics term of a stage."""
    return [term.kind.value for term in spec.stages[stage].physics.values()]


def scale_layout(
    terms: Sequence[str],
    priors: Sequence[KindPrior],
    basis: ResidualBasis,
    groups: Sequence[tuple[str, str]],
    tree: GroupTree,
) -> ScaleLayout:
    """Lay out the scales: the offsets', the group levels', the noise's.

    Every physics term and every residual feature has an offset scale of its own, whose prior is
    that of its kind. Log efficiencies of reading the key-value cache scatter by 0.5 over measured
    GPUs, those of reading weights by 0.1: one scale for both is wrong for each.

    Parameters
    ----------
    terms : sequence of str, shape (term,)
    priors : sequence of KindPrior, shape (term,)
    basis : ResidualBasis
    groups : sequence of (gpu, stack)
    tree : GroupTree

    Returns
    -------
    ScaleLayout
    """
    smooth = list(dict.fromkeys(basis.offset_scales))
    shared = tuple(dict.fromkeys(basis.kinds))
    physics = tuple(prior.offset_scale for prior in priors)
    return ScaleLayout(
        offset_names=(*terms, *smooth),
        offset_prior=(*physics, *[RESIDUAL_OFFSET_SCALE] * len(smooth)),
        shared_names=shared,
        shared_prior=(RESIDUAL_SHARED_SCALE,) * len(shared),
        groups=tuple(label_group(*group) for group in groups),
        has_families=tree.has_families,
        has_stacks=tree.has_stacks,
    )
