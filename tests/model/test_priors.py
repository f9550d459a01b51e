from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bayeslat.features.residual import span_basis
from bayeslat.features.terms import DEFAULT_PRIORS, TermKind
from bayeslat.inference.engines.mode import find_mode
from bayeslat.model.collapsed_data import collapse
from bayeslat.model.groups import grow_tree
from bayeslat.model.priors import (
    RESIDUAL_OFFSET_SCALE,
    RESIDUAL_SHARED_SCALE,
    feature_priors,
    scale_layout,
)
from bayeslat.model.problem import StageProblem
from tests.problems import CASES, GROUPS, KIN, make_case

TERMS = ("gemm", "attention", "blocks")
KINDS = ("flops", "flops", "launch")
PRIORS = [DEFAULT_PRIORS[TermKind(kind)] for kind in KINDS]
BASIS = span_basis(["log(x)", "log(y)"], 2, np.array([[0.0, 0.0], [1.0, 1.0]]), tasks=["p", "q"])


def test_features_are_terms_then_residual_columns_then_tasks() -> None:
    features = feature_priors(TERMS, KINDS, PRIORS, BASIS)
    assert features.names == (
        *TERMS,
        *("log(x)", "log(y)", "log(x)^2", "log(y)^2", "log(x) * log(y)"),
        *("task=p", "task=q"),
    )
    assert features.kinds == (*KINDS, *("residual",) * 5, "task", "task")
    assert features.multiplier.tolist() == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 1, 1]
    np.testing.assert_array_equal(features.shared_sd[:3], [prior.shared_sd for prior in PRIORS])
    assert np.isnan(features.shared_sd[3:]).all()


def test_offsets_have_a_scale_for_each_term_and_each_residual_feature() -> None:
    layout = scale_layout(TERMS, PRIORS, BASIS, GROUPS, grow_tree(GROUPS, KIN))
    smooth = ("residual log(x)", "residual log(y)", "residual, all products")
    assert layout.offset_names == (*TERMS, *smooth, "residual, all tasks")
    physics = [prior.offset_scale for prior in PRIORS]
    assert layout.offset_prior == (*physics, *[RESIDUAL_OFFSET_SCALE] * 4)
    assert layout.shared_names == ("residual", "task")
    assert layout.shared_prior == (RESIDUAL_SHARED_SCALE, RESIDUAL_SHARED_SCALE)
    assert layout.groups == ("a@v1", "a@v2", "b", "c")
    assert layout.has_families
    assert layout.has_stacks


def test_every_column_has_the_scale_of_its_feature() -> None:
    features = feature_priors(TERMS, KINDS, PRIORS, BASIS)
    scale_of = dict(zip(features.names, features.offset_scales, strict=True))
    assert scale_of == {
        **{term: term for term in TERMS},
        "log(x)": "residual log(x)",
        "log(x)^2": "residual log(x)",
        "log(y)": "residual log(y)",
        "log(y)^2": "residual log(y)",
        "log(x) * log(y)": "residual, all products",
        "task=p": "residual, all tasks",
        "task=q": "residual, all tasks",
    }


@pytest.fixture
def problem() -> StageProblem:
    return make_case(1, **CASES["tasks"]).problem


def test_sds_come_from_their_scales(problem: StageProblem) -> None:
    names = problem.layout.names
    scales = np.random.default_rng(0).standard_normal((3, len(names)))
    offset, shared = problem.offset_sd(scales), problem.shared_sd(scales)
    assert offset.shape == shared.shape == (3, len(problem.features.names))
    features = problem.features
    for j, (kind, scale, multiplier) in enumerate(
        zip(features.kinds, features.offset_scales, features.multiplier, strict=True)
    ):
        at = names.index(f"offset_scale[{scale}]")
        np.testing.assert_allclose(offset[:, j], multiplier * np.exp(scales[:, at]))
        given = problem.features.shared_sd[j]
        if np.isnan(given):
            at = names.index(f"shared_scale[{kind}]")
            np.testing.assert_allclose(shared[:, j], multiplier * np.exp(scales[:, at]))
        else:
            np.testing.assert_array_equal(shared[:, j], given)


def test_a_term_that_varies_leaves_those_that_do_not_alone() -> None:
    """Of two byte terms, the offsets of one differ; 12 GPUs tell which."""
    families = {name: name for name in "abcdefghijkl"}
    shape: dict[str, Any] = {"kinds": ("bytes", "bytes"), "degree": 1, "rows": 60}
    layout = make_case(3, families, **shape).problem.layout
    truth, names = layout.from_scores(np.zeros(layout.size)), layout.names
    truth[names.index("offset_scale[bytes_0]")] = np.log(0.02)
    truth[names.index("offset_scale[bytes_1]")] = np.log(0.5)
    truth[names.index("noise")] = np.log(0.01)
    problem = make_case(3, families, **shape, scales=truth).problem
    found = _offset_sd(problem)
    assert found[0] < 0.05
    assert found[1] > 0.25
    # The broken twin: one scale for a kind.
    features = replace(problem.features, offset_scales=("bytes_1", "bytes_1", "residual size"))
    assert _offset_sd(replace(problem, features=features))[0] > 0.15


def _offset_sd(problem: StageProblem) -> NDArray[np.float64]:
    """Sd of each feature's offsets at the mode of the scales. Shape (feature,)."""
    return problem.offset_sd(problem.layout.from_scores(find_mode(collapse(problem)).centre))
