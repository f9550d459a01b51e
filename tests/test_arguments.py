"""Arguments of another kind are refused by what they are, with what to give."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
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


@pytest.mark.parametrize(
    "call",
    [
        bl.load_posterior,
        bl.load_spec,
        bl.load_hardware,
        bl.read_statistics,
        lambda wrong: known().save(wrong),
        lambda wrong: bl.write_traces(make_frame(3), wrong),
    ],
)
@pytest.mark.parametrize(
    "wrong", [None, 3, b"a.nc", make_configs(2)], ids=lambda x: type(x).__name__
)
def test_what_is_no_path_is_told(call: Callable[[Any], Any], wrong: object) -> None:
    if call is bl.load_hardware and wrong is None:
        return  # the shipped table
    told = f"path is a {type(wrong).__name__}; give the path of a file, as in '"
    with pytest.raises(InputError, match=told):
        call(wrong)


@pytest.mark.parametrize(
    ("sources", "kind"),
    [
        ([make_frame(3)], "DataFrame"),
        ([["a.csv", make_frame(3)]], "DataFrame"),
        ([None], "NoneType"),
        ([3], "int"),
        ([b"a.csv"], "int"),
    ],
)
def test_what_names_no_file_is_told(sources: list[Any], kind: str) -> None:
    told = (
        f"a source is a {kind}; give the path of a file, a folder or a glob, as in "
        r"'traces/\*\.parquet' \(a table that is read already is passed as it is, as in fit\("
    )
    for read in (bl.read_traces, bl.read_configs, partial(bl.compress, small_spec())):
        with pytest.raises(InputError, match=told):
            read(*sources)


def test_sources_may_be_paths_of_any_kind_and_lists_of_them(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    make_frame(3).to_csv(path, index=False)
    rows = len(bl.read_traces(path))
    for source in ([path], pd.Series([str(path)]), (each for each in [path])):
        assert len(bl.read_traces(source)) == rows


@pytest.mark.parametrize("kind", [pd.Series, dict, list, type(None)])
def test_a_guard_decides_about_tables_alone(kind: type) -> None:
    guard, configs = known().guard("h100_sxm", 300.0), make_configs(2)
    rows = {pd.Series: configs.iloc[0], dict: dict(configs.iloc[0]), list: [1.0]}
    wrong: Any = rows.get(kind)
    made = "give a table, as pd.DataFrame" if kind in (pd.Series, dict) else "read a table with"
    told = re.escape(f"configs is a {kind.__name__}; {made}")
    for call in (guard.decide, guard.predict_and_decide, guard.predict):
        with pytest.raises(InputError, match=told):
            call(wrong)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda it: it.draws(["prefill"]), r"no stage \['prefill'\]; the posterior has prefill, "),
        (lambda it: it.typical(None), "no stage None; the posterior has prefill, decode and total"),
        (lambda it: it.p_exceed(1.0, ["prefill"]), r"no stage \['prefill'\]; the posterior has"),
        (lambda it: it.variance_ms2(3), "no stage 3; the posterior has"),
        (lambda it: it.left_in("prefill"), r"stages is the text 'prefill'; .* \['prefill'\]"),
        (lambda it: it.left_in(None), "stages is a NoneType; give a list of names"),
        (
            lambda it: it.left_in(["prefil"]),
            "no stage 'prefil'; the posterior has prefill, decode$",
        ),
        (lambda it: it.left_in([["prefill"]]), r"no stage \['prefill'\]; the posterior has"),
    ],
)
def test_stages_that_are_none_are_told(call: Callable[[Any], Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        call(known().predict(make_configs(2), "l40s"))


def test_budgets_of_stages_may_be_a_series() -> None:
    budgets = {"prefill": 20.0, "decode": 5.0}
    posterior = known()
    given = posterior.guard("l40s", stage_budgets_ms=pd.Series(budgets))
    assert given.budgets == posterior.guard("l40s", stage_budgets_ms=budgets).budgets
    wrong = pd.Series({"prefil": 20.0, "decode": float("nan")})
    with pytest.raises(InputError, match=r"no stage 'prefil'; .* of decode is nan; it must be a"):
        posterior.guard("l40s", stage_budgets_ms=wrong)
    with pytest.raises(InputError, match="stage_budgets_ms is a list; give the ms of each stage"):
        posterior.guard("l40s", 1.0, stage_budgets_ms=[])  # type: ignore[arg-type]


def test_a_risk_that_was_not_tested_is_told() -> None:
    rows = make_frame(5, ("l40s",), rows=30)
    control = bl.control_guard(known().guard("l40s", 300.0, max_risk=0.03), rows)
    assert control.at(0.03)["max_risk"] == 0.03
    for wrong in (0.04, "0.03", None):
        with pytest.raises(InputError, match=r"max_risk is .*, which was not tested; .* 0\.001, "):
            control.at(wrong)


@pytest.mark.parametrize("wrong", [3, b"tcp://a:1", ["tcp://a:1"]])
def test_an_address_that_is_no_text_is_told(wrong: object) -> None:
    with pytest.raises(InputError, match=r"engine address is .*; give that of a Dask scheduler"):
        bl.fit(small_spec(), make_frame(), engine_address=wrong)


def test_statistics_are_merged_with_statistics_alone(tmp_path: Path) -> None:
    make_frame().to_parquet(tmp_path / "a.parquet")
    found = bl.compress(small_spec(), tmp_path)
    for wrong in (3, known(), None):
        with pytest.raises(InputError, match=r"other is a .*; give the statistics of further rows"):
            found.merged(wrong)


def test_provenance_of_another_kind_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"provenance is a dict; make one by .*Provenance\(source"):
        bl.write_traces(make_frame(3), tmp_path / "a.csv", {"source": "measured"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [3, None, ["fit"]])
def test_a_command_that_is_no_text_is_told(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"command is a .*; give it as text"):
        known().with_history(wrong)
