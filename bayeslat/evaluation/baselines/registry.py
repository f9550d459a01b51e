"""All baselines by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from bayeslat.errors import InputError
from bayeslat.evaluation.baselines.affine import StageAffine
from bayeslat.evaluation.baselines.ard import Ard
from bayeslat.evaluation.baselines.boosted_trees import BoostedTrees
from bayeslat.evaluation.baselines.bootstrap import Bootstrap
from bayeslat.evaluation.baselines.direct import Direct
from bayeslat.evaluation.baselines.fine_tuned import FineTuned
from bayeslat.evaluation.baselines.gaussian_process import GaussianProcess
from bayeslat.evaluation.baselines.hfd_tl import HierarchicalTransfer
from bayeslat.evaluation.baselines.interface import Baseline
from bayeslat.evaluation.baselines.mole_rd import MoleRd
from bayeslat.evaluation.baselines.picf import Picf
from bayeslat.evaluation.baselines.residual_ridge import ResidualRidge
from bayeslat.evaluation.baselines.ridge import Ridge
from bayeslat.evaluation.baselines.source_models import BY_STAGE, TOTAL_ONLY
from bayeslat.evaluation.baselines.total_affine import TotalAffine

__all__ = ["BASELINES", "find_baseline"]

_METHODS: tuple[Baseline, ...] = (
    # source models, unchanged
    *(Direct(name, model=name) for name in BY_STAGE),
    Direct(TOTAL_ONLY, model=TOTAL_ONLY),
    # transfer of the best source model
    Direct("direct"),
    StageAffine("A"),
    StageAffine("A_ols", relative=False),
    TotalAffine("B"),
    TotalAffine("B_ols", relative=False),
    FineTuned("C_neural"),
    ResidualRidge("C_ridge"),
    # transfer of each source model
    *(StageAffine(f"A_{name}", model=name) for name in BY_STAGE),
    *(TotalAffine(f"B_{name}", model=name) for name in (*BY_STAGE, TOTAL_ONLY)),
    # the target's own rows alone
    Ridge("ridge"),
    GaussianProcess("gaussian_process"),
    BoostedTrees("boosted_trees"),
    Bootstrap("bootstrap"),
    # all donors
    HierarchicalTransfer("hfd_tl_ridge"),
    HierarchicalTransfer("hfd_tl_ard", base=Ard(), residual=Ard()),
    # of a server alone
    Picf("picf"),
    Picf("picf_relative", relative=True),
    MoleRd("mole_rd"),
    MoleRd("mole_rd_relative", relative=True),
)

BASELINES: Mapping[str, Baseline] = MappingProxyType({each.name: each for each in _METHODS})
"""In the order of tables."""


def find_baseline(name: str) -> Baseline:
    """Return a baseline by its name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in BASELINES:
        near = difflib.get_close_matches(name, BASELINES, n=3, cutoff=0.0)
        raise InputError(
            f"no baseline {name!r}; nearest: {', '.join(near)}. All: {', '.join(BASELINES)}"
        )
    return BASELINES[name]
