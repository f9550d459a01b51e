from __future__ import annotations

import numpy as np
import pytest

from bayeslat.features.residual import span_basis
from bayeslat.features.terms import DEFAULT_PRIORS, TermKind
from bayeslat.model.groups import grow_tree
from bayeslat.model.priors import (
    RESIDUAL_OFFSET_SCALE,
    RESIDUAL_SHARED_SCALE,
    feature_priors,
    scale_layout,
)
from bayeslat.model.problem import StageProblem
from tests.problems import CASES, GROUPS, KIN, make_case

KINDS = ("flops", "flops", "launch")
PRIORS = [DEFAULT_PRIORS[TermKind(kind)] for kind in KINDS]
BASIS = span_basis(["log(x)", "log(y)"], 2, np.array([[0.0, 0.0], [1.0, 1.0]]), tasks=["p", "q"])


def test_features_are_terms_then_residual_columns_then_tasks() -> None:
    features = feature_priors(["gemm", "attention", "blocks"], KINDS, PRIORS, BASIS)
    assert features.names == (
        *("gemm", "attention", "blocks"),
        *("log(x)", "log(y)", "log(x)^2", "log(y)^2", "log(x) * log(y)"),
        *("task=p", "task=q"),
    )
    assert features.kinds == (*KINDS, *("residual",) * 5, "task", "task")
    assert features.multiplier.tolist() == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 1, 1]
    np.testing.assert_array_equal(features.shared_sd[:3], [prior.shared_sd for prior in PRIORS])
    assert np.isnan(features.shared_sd[3:]).all()


def test_a_kind_has_one_scale() -> None:
    layout = scale_layout(KINDS, PRIORS, BASIS, GROUPS, grow_tree(GROUPS, KIN))
    assert layout.offset_names == ("flops", "launch", "residual", "task")
    assert layout.offset_prior == (
        PRIORS[0].offset_scale,
        PRIORS[2].offset_scale,
        RESIDUAL_OFFSET_SCALE,
        RESIDUAL_OFFSET_SCALE,
    )
    assert layout.shared_names == ("residual", "task")
    assert layout.shared_prior == (RESIDUAL_SHARED_SCALE, RESIDUAL_SHARED_SCALE)
    assert layout.groups == ("a@v1", "a@v2", "b", "c")
    assert layout.has_families
    assert layout.has_stacks


@pytest.fixture
def problem() -> StageProblem:
    return make_case(1, **CASES["tasks"]).problem


def test_sds_come_from_the_kinds_scale(problem: StageProblem) -> None:
    names = problem.layout.names
    scales = np.random.default_rng(0).standard_normal((3, len(names)))
    offset, shared = problem.offset_sd(scales), problem.shared_sd(scales)
    assert offset.shape == shared.shape == (3, len(problem.features.names))
    for j, (kind, multiplier) in enumerate(
        zip(problem.features.kinds, problem.features.multiplier, strict=True)
    ):
        at = names.index(f"offset_scale[{kind}]")
        np.testing.assert_allclose(offset[:, j], multiplier * np.exp(scales[:, at]))
        given = problem.features.shared_sd[j]
        if np.isnan(given):
            at = names.index(f"shared_scale[{kind}]")
            np.testing.assert_allclose(shared[:, j], multiplier * np.exp(scales[:, at]))
        else:
            np.testing.assert_array_equal(shared[:, j], given)
