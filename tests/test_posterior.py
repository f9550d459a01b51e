"""The Python interface: arguments that are easily given in place of others."""

from __future__ import annotations

from typing import Any

import pytest

import bayeslat as bl
from tests.posteriors import make_frame, small_spec


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"spec": "vlm.toml"}, r"spec is the text 'vlm\.toml'; load it with load_spec"),
        ({"traces": ["a.parquet"]}, "traces is a list; read a table with read_traces"),
        ({"gpus": "h100_sxm"}, r"gpus is the text 'h100_sxm'; .* as in \['h100_sxm'\]"),
        ({"gpus": []}, "gpus names no GPU; name at least one, or leave it out"),
        ({"spec": None, "gpus": ""}, "spec is a NoneType; .*; gpus is the text ''"),
    ],
)
def test_arguments_of_another_kind_are_told(changed: dict[str, Any], told: str) -> None:
    given = {"spec": small_spec(), "traces": make_frame(), **changed}
    with pytest.raises(bl.BayeslatError, match=told):
        bl.fit(**given)
