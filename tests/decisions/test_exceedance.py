"""What follows from the chances that budgets are exceeded, for any max_risk."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bayeslat.decisions.exceedance import ACCEPT, MEASURE, REJECT, Exceedance

LEVELS = (0.001, 0.05, 0.5, 0.99)


def exceedance(
    chances: Sequence[NDArray[np.float64]], *, beyond: Sequence[bool], unmeasured: Sequence[bool]
) -> Exceedance:
    """Chances of budgets and configs, and which of the configs nobody knows."""
    left_in = np.where(beyond, "context", "").astype(object)
    gap = np.where(unmeasured, "the GPU was not measured", "").astype(object)
    p_exceed, low, high = chances
    zeros = np.zeros(len(gap))
    return Exceedance(p_exceed, low, high, left_in, gap, doubted=zeros > 0, shown=zeros)


@st.composite
def exceedances(draw: st.DrawFn) -> Exceedance:
    """Some budgets and configs; chances are often equal, and often those of the levels."""
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 8))
    chance = st.sampled_from([0.0, *LEVELS, 1.0]) | st.floats(0.0, 1.0)
    size = shape[0] * shape[1]
    three = np.array(draw(st.lists(chance, min_size=3 * size, max_size=3 * size)))
    three = three.reshape(3, *shape)
    low, high = np.sort(three[1:], axis=0)
    flags = draw(st.lists(st.booleans(), min_size=2 * shape[1], max_size=2 * shape[1]))
    beyond, unmeasured = flags[: shape[1]], flags[shape[1] :]
    return exceedance([three[0], low, high], beyond=beyond, unmeasured=unmeasured)


@given(exceedances())
def test_the_least_max_risk_is_where_acceptance_begins(found: Exceedance) -> None:
    least = float(found.least_max_risk.min())
    for level in (*LEVELS, np.nextafter(least, 0.0), least) if least < 1.0 else LEVELS:
        accepted = found.decide(level)["decision"] == ACCEPT
        np.testing.assert_array_equal(accepted, found.least_max_risk <= level)


@given(exceedances())
def test_more_risk_accepts_more_and_rejects_less(found: Exceedance) -> None:
    decided = [found.decide(level)["decision"].to_numpy() for level in LEVELS]
    for less, more in pairwise(decided):
        assert ((less == ACCEPT) <= (more == ACCEPT)).all()
        assert ((more == REJECT) <= (less != ACCEPT)).all()


def one(
    p: float, low: float, high: float, *, beyond: bool = False, unmeasured: bool = False
) -> pd.Series:
    chances = list(np.array([p, low, high])[:, None, None])
    found = exceedance(chances, beyond=[beyond], unmeasured=[unmeasured])
    return found.decide(0.05).iloc[0]


@pytest.mark.parametrize(
    ("chances", "flags", "decision", "reason"),
    [
        ((0.01, 0.0, 0.04), {}, ACCEPT, ""),
        ((0.05, 0.05, 0.05), {}, ACCEPT, ""),  # at most max_risk
        ((0.3, 0.2, 0.4), {}, REJECT, ""),
        ((0.03, 0.0, 0.1), {}, MEASURE, "measuring could turn the answer"),
        ((0.3, 0.0, 0.9), {}, MEASURE, "measuring could turn the answer"),
        ((0.01, 0.0, 0.04), {"beyond": True}, MEASURE, "leaves the range of the fit"),
        ((0.01, 0.0, 0.04), {"unmeasured": True}, MEASURE, "the GPU was not measured"),
        ((0.3, 0.2, 0.4), {"beyond": True, "unmeasured": True}, REJECT, ""),
    ],
)
def test_each_decision_and_its_reason(
    chances: tuple[float, float, float], flags: dict[str, bool], decision: str, reason: str
) -> None:
    found = one(*chances, **flags)
    assert (found["decision"], found["reason"]) == (decision, reason)
    assert (found["p_exceed"], found["p_exceed_low"], found["p_exceed_high"]) == chances


def test_the_likeliest_budget_is_told_and_any_decides() -> None:
    p = np.array([[0.01, 0.01, 0.04], [0.02, 0.40, 0.01]])
    low = np.array([[0.0, 0.0, 0.0], [0.0, 0.2, 0.0]])
    high = np.array([[0.02, 0.02, 0.2], [0.03, 0.6, 0.02]])
    found = exceedance([p, low, high], beyond=[False] * 3, unmeasured=[False] * 3).decide(0.05)
    assert found["decision"].tolist() == [ACCEPT, REJECT, MEASURE]
    assert found["p_exceed"].tolist() == [0.02, 0.40, 0.04]
    assert found["p_exceed_high"].tolist() == [0.03, 0.6, 0.2]
