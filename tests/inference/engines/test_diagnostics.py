"""The verdict: each threshold, at its edge, names the parameter and the cure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bayeslat.inference.engines.diagnostics import Diagnostics, StageDiagnostics

NUTS = StageDiagnostics(
    stage="prefill",
    rhat=(1.002, "noise"),
    ess_bulk=(900.0, "noise"),
    ess_tail=(800.0, "noise"),
    divergences=0,
    bfmi=0.9,
    pareto_k=np.nan,
)
LAPLACE = replace(NUTS, rhat=(np.nan, ""), bfmi=np.nan, pareto_k=0.2)

EDGES: Mapping[str, tuple[StageDiagnostics, dict[str, Any], dict[str, Any]]] = {
    "rhat": (NUTS, {"rhat": (1.01, "tau")}, {"rhat": (np.nextafter(1.01, 2), "tau")}),
    "bulk": (NUTS, {"ess_bulk": (400.0, "tau")}, {"ess_bulk": (np.nextafter(400.0, 0), "tau")}),
    "tail": (NUTS, {"ess_tail": (400.0, "tau")}, {"ess_tail": (np.nextafter(400.0, 0), "tau")}),
    "divergences": (NUTS, {"divergences": 0}, {"divergences": 1}),
    "bfmi": (NUTS, {"bfmi": 0.3}, {"bfmi": np.nextafter(0.3, 0)}),
    "pareto": (LAPLACE, {"pareto_k": 0.7}, {"pareto_k": np.nextafter(0.7, 1)}),
}
"""Of each diagnostic: the last value that passes, and the first that does not."""

WORDS = {
    "rhat": ("R-hat of tau", "1.01", "--draws and --tune"),
    "bulk": ("bulk ESS of tau", "400", "--draws"),
    "tail": ("tail ESS of tau", "400", "--draws"),
    "divergences": ("1 divergent", "--tune", "physics terms"),
    "bfmi": ("BFMI", "0.3", "--tune"),
    "pareto": ("Pareto k", "0.7", "--engine nuts"),
}


@pytest.mark.parametrize("name", EDGES)
def test_the_last_good_value_passes_and_the_next_does_not(name: str) -> None:
    good, edge, beyond = EDGES[name]
    assert replace(good, **edge).problems == ()
    (problem,) = replace(good, **beyond).problems
    for word in ("stage prefill", *WORDS[name]):
        assert word in problem


def test_nothing_wrong_is_no_problem() -> None:
    for good in (NUTS, LAPLACE):
        assert good.problems == ()
    both = Diagnostics((NUTS, LAPLACE))
    assert both.converged
    assert both.problems == ()


def test_everything_wrong_is_told_at_once() -> None:
    bad = replace(
        NUTS, rhat=(1.5, "a"), ess_bulk=(10.0, "b"), ess_tail=(20.0, "c"), divergences=7, bfmi=0.1
    )
    assert len(bad.problems) == 5
    for word in ("R-hat of a is 1.500", "bulk ESS of b is 10", "tail ESS of c is 20", "7 diverg"):
        assert any(word in problem for problem in bad.problems)


def test_weighted_draws_need_no_effective_size_of_a_chain() -> None:
    """Resampled draws are no chain: the Pareto shape judges them."""
    few = replace(LAPLACE, ess_bulk=(30.0, "noise"), ess_tail=(30.0, "noise"))
    assert few.problems == ()
    assert len(replace(few, pareto_k=np.nan).problems) == 2


def test_what_a_fit_could_not_measure_is_no_problem() -> None:
    """A single chain has no R-hat."""
    assert replace(NUTS, rhat=(np.nan, "")).problems == ()


def test_a_fit_is_as_good_as_its_worst_stage() -> None:
    bad = replace(NUTS, stage="decode", divergences=3)
    verdict = Diagnostics((NUTS, bad))
    assert not verdict.converged
    assert verdict.problems == bad.problems
    assert "stage decode" in verdict.problems[0]
