"""Settings and fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A shared machine has no steady clock, so no example has a deadline. Continuous integration draws
# the same examples every time; a developer's run goes looking for new ones.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")

_SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of reference data that stands beside the checkout; skip without it."""
    if not _SHARED_DATA.is_dir():
        pytest.skip("the reference data, ../shared/data beside the checkout, is absent")
    return _SHARED_DATA
