"""Every baseline keeps the contract, and the contract refuses those that do not."""

from __future__ import annotations

from pickle import PicklingError  # noqa: TID251  to catch it: nothing is pickled to a file

import pytest

from bayeslat.errors import BayeslatError
from bayeslat.evaluation.baselines import BASELINES
from tests.evaluation.baselines.contract import CHECKS
from tests.evaluation.baselines.twins import TWINS, Twin

pytestmark = pytest.mark.xdist_group("baselines")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", BASELINES)
def test_the_contract_is_kept(name: str, check: str) -> None:
    CHECKS[check](BASELINES[name])


def test_the_whole_twin_passes() -> None:
    """What is wrong with the broken ones is what they break."""
    for check in CHECKS.values():
        check(Twin())


@pytest.mark.parametrize("name", TWINS)
def test_a_broken_twin_is_refused(name: str) -> None:
    twin, check = TWINS[name]
    refusals = (AssertionError, AttributeError, PicklingError, BayeslatError, pytest.fail.Exception)
    with pytest.raises(refusals):
        CHECKS[check](twin)
