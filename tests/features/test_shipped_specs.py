"""The shipped specs, as text: what people read of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

MODELS = sorted((Path(__file__).parents[2] / "models").glob("*.toml"))
_ORPHAN = re.compile(r"^# .*\n\[stages\.\w+\.residual\]", re.MULTILINE)


def test_a_comment_without_its_term_is_found() -> None:
    assert _ORPHAN.search('a = "1"\n# of a term that went\n[stages.decode.residual]\n')


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_comment_of_the_physics_stands_above_its_term(path: Path) -> None:
    assert not _ORPHAN.search(path.read_text(encoding="utf-8"))
