"""Arguments of another kind are refused by what they are, with what to give."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bayeslat
from bayeslat.errors import InputError
from bayeslat.posterior import Posterior
from tests.posteriors import make_configs, make_data, make_frame, small_spec

pytestmark = pytest.mark.xdist_group("small posterior")

bl: Any = bayeslat  # what types would refuse
PATH = "models/vlm.toml"
SPEC = re.escape(f"spec is the text {PATH!r}; load it with load_spec(path)")
HARDWARE = re.escape("hardware is a PosixPath; load it with load_hardware(path)")
GPUS = ["a100_sxm", "h100_sxm"]


def known() -> Posterior:
    return Posterior(make_data())


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: bl.compress(PATH, "t", hardware=Path(PATH)), f"{SPEC}; {HARDWARE}"),
        (lambda: bl.compress(small_spec(), "t", window=" "), "window is ' '; write a name"),
        (lambda: bl.simulate(PATH, "c", "l40s"), f"{SPEC}; configs is the text 'c'.*; gpus is"),
        (
            lambda: bl.simulate(small_spec(), make_configs(3), GPUS, hardware=Path(PATH)),
            HARDWARE,
        ),
        (
            lambda: bl.simulation_based_calibration(
                PATH, make_configs(3), GPUS, hardware=Path(PATH)
            ),
            f"{SPEC}; {HARDWARE}",
        ),
        (
            lambda: bl.control_guard(known(), make_frame(3)),
            r"guard is a Posterior; make one with posterior\.guard",
        ),
        (
            lambda: bl.write_statistics(known(), "s.nc"),
            r"data is a Posterior; give the statistics .* by compress\(spec, files\)",
        ),
        (lambda: bl.write_traces("t.csv", make_frame(3)), "frame is a str; give the table, then"),
        (lambda: bl.update(known(), retire="fit"), r"retire is the text 'fit'; .* as in \['fit'\]"),
        (lambda: bl.update(known(), retire=None), "retire is a NoneType; give a list of names"),
    ],
)
def test_another_kind_is_told_with_what_to_give(
    call: Callable[[], Any], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=told):
        call()
    assert not list(tmp_path.iterdir())
