"""The Python interface: arguments that are easily given in place of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayeslat as bl
from bayeslat.errors import InputError
from bayeslat.export import guard_reader
from bayeslat.posterior import Posterior, load_posterior
from tests.posteriors import GPUS, make_configs, make_data, make_frame, small_spec


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"spec": "vlm.toml"}, r"spec is the text 'vlm\.toml'; load it with load_spec"),
        ({"traces": ["a.parquet"]}, "traces is a list; read a table with read_traces"),
        ({"gpus": "h100_sxm"}, r"gpus is the text 'h100_sxm'; .* as in \['h100_sxm'\]"),
        ({"gpus": []}, "gpus names no GPU; name at least one, or leave it out"),
        ({"spec": None, "gpus": ""}, "spec is a NoneType; .*; gpus is the text ''"),
        ({"hardware": "hw.toml"}, r"hardware is the text 'hw\.toml'; load it with load_hardware"),
    ],
)
def test_arguments_of_another_kind_are_told(changed: dict[str, Any], told: str) -> None:
    given = {"spec": small_spec(), "traces": make_frame(), **changed}
    with pytest.raises(bl.BayeslatError, match=told):
        bl.fit(**given)


@pytest.mark.xdist_group("small posterior")
@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("predict", {"configs": "a.csv"}),
        ("suggest", {"candidates": "a.csv", "n": 1}),
        ("calibrate", {"traces": "a.csv"}),
        ("find_drift", {"traces": "a.csv"}),
        ("guard", {"budget_ms": 1.0}),
    ],
)
def test_paths_in_place_of_tables_are_told(method: str, given: dict[str, Any]) -> None:
    call = getattr(Posterior(make_data()), method)
    with pytest.raises(bl.BayeslatError) as caught:
        call(**given, gpu="l40s", hardware="hw.toml")
    told = str(caught.value)
    assert "hardware is the text 'hw.toml'; load it with load_hardware(path)" in told
    for name in given.keys() & {"configs", "candidates", "traces"}:
        assert f"{name} is the text 'a.csv'; read a table with read_" in told


@pytest.mark.xdist_group("small posterior")
@pytest.mark.parametrize("wrong", ["a", [1.0], True, float("nan"), -1])
@pytest.mark.parametrize(
    ("method", "given", "names"),
    [
        ("predict", {"configs": make_configs(2)}, ["seed"]),
        ("suggest", {"candidates": make_configs(3), "n": 1}, ["n", "budget_ms"]),
        ("suggest", {"candidates": make_configs(3), "n": 1}, ["seed"]),
        ("calibrate", {"traces": make_frame(5, ("l40s",), rows=3)}, ["seed"]),
        ("judge_transfer", {}, ["threshold"]),
        ("judge_transfer", {}, ["seed"]),
        ("find_drift", {"traces": make_frame(5, ("l40s",))}, ["alarm_rate", "allowance"]),
        ("find_drift", {"traces": make_frame(5, ("l40s",))}, ["seed"]),
        ("guard", {"budget_ms": 1.0}, ["budget_ms", "max_risk"]),
        ("guard", {"budget_ms": 1.0}, ["seed"]),
    ],
)
def test_what_is_no_number_is_told(
    method: str, given: dict[str, Any], names: list[str], wrong: object
) -> None:
    posterior = Posterior(make_data()).calibrate(make_frame(5, ("l40s",), rows=3), "l40s")
    with pytest.raises(bl.BayeslatError) as caught:
        getattr(posterior, method)(**given | dict.fromkeys(names, wrong), gpu="l40s")
    told = str(caught.value)
    shown = f"{wrong:g}" if type(wrong) in (int, float) else repr(wrong)
    assert told.count(f" is {shown}; it must be ") == len(names)


@pytest.mark.xdist_group("small posterior")
@pytest.mark.parametrize(
    ("method", "given", "told"),
    [
        ("guard", {"budget_ms": 1.0, "of": "x"}, "of is 'x'; it must be run or typical"),
        ("guard", {"budget_ms": 1.0, "stack": 3}, "stack is 3; name one of the traces"),
        ("guard", {"budget_ms": 1.0, "stack": " ", "max_risk": 2}, "max_risk is 2; .*stack is ' '"),
        (
            "guard",
            {"stage_budgets_ms": {1: 5.0}},
            "^stage_budgets_ms names 1; name a stage: prefill, decode$",
        ),
        ("predict", {"configs": make_configs(2), "stack": 3, "of": "x"}, "of is 'x'; .*stack is 3"),
        ("suggest", {"n": 1, "stack": 3}, "stack is 3; name one of the traces, or leave it out"),
        ("suggest", {"n": 1, "stack": "v1 "}, "stack is 'v1 '; .*, without spaces around it, or"),
        ("suggest", {"n": 1, "method": 3}, "method is 3; it must be one of share_weighted, "),
        ("suggest", {"n": 3.0}, "n is 3.0; it must be a whole number from 1 on"),
        ("suggest", {"n": 1, "exclude": [1]}, "exclude is a list; read a table with read_configs"),
        ("suggest", {"n": 1, "seed": 3.0}, "seed is 3.0; it must be a whole number from 0 on"),
        ("calibrate", {"traces": make_frame(5, ("l40s",), rows=3), "stack": 3}, "stack is 3; name"),
    ],
)
def test_arguments_of_a_posterior_of_another_kind_are_told(
    method: str, given: dict[str, Any], told: str
) -> None:
    if method == "suggest":
        given = {"candidates": make_configs(3), **given}
    with pytest.raises(InputError, match=told):
        getattr(Posterior(make_data()), method)(**given, gpu="l40s")


@pytest.mark.xdist_group("small posterior")
@pytest.mark.parametrize("threshold", [1.0, 1.5, 0.0])
def test_a_threshold_is_refused_as_the_command_line_does(threshold: float) -> None:
    posterior = Posterior(make_data()).calibrate(make_frame(5, ("l40s",), rows=3), "l40s")
    told = f"threshold is {threshold:g}; it must be between 0 and 1, as 0.10 for 10 %"
    with pytest.raises(InputError, match=told):
        posterior.judge_transfer("l40s", threshold=threshold)


@pytest.mark.xdist_group("small posterior")
def test_a_guard_is_shown_in_a_line() -> None:
    posterior = Posterior(make_data())
    guard = posterior.guard("l40s", 300.0, stage_budgets_ms={"prefill": 20.5}, stack="v1")
    assert repr(guard) == (
        "<Guard of l40s with v1: total 300 ms, prefill 20.5 ms; max_risk 0.05, of run>"
    )
    with pytest.raises(InputError, match="traces is a list; read a table with read_traces"):
        bl.control_guard(guard, [1])  # type: ignore[arg-type]


@pytest.mark.xdist_group("small posterior")
def test_numbers_of_numpy_are_numbers() -> None:
    posterior, configs = Posterior(make_data()), make_configs(3)
    seed: Any = np.int64(3)
    budget_ms: Any = np.float32(300.0)
    found = posterior.guard("h100_sxm", budget_ms, max_risk=np.float64(0.1), seed=seed)
    expected = posterior.guard("h100_sxm", 300.0, max_risk=0.1, seed=3).decide(configs)
    pd.testing.assert_frame_equal(found.decide(configs), expected)
    assert len(posterior.suggest(configs, "h100_sxm", seed).frame) == 3


@pytest.mark.xdist_group("small posterior")
def test_budgets_of_stages_that_are_no_mapping_are_told() -> None:
    with pytest.raises(bl.BayeslatError, match=r"stage_budgets_ms is a list; give .* by its name"):
        Posterior(make_data()).guard("l40s", stage_budgets_ms=[300.0])  # type: ignore[arg-type]
    prediction = Posterior(make_data()).predict(make_configs(2), "l40s")
    with pytest.raises(bl.BayeslatError, match="budget_ms is '300'; it must be a positive number"):
        prediction.p_exceed("300")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["chains", "draws", "tune", "seed"])
@pytest.mark.parametrize("wrong", ["4", 4.5, None])
def test_options_of_the_sampler_that_are_no_numbers_are_told(name: str, wrong: object) -> None:
    shown = "4.5" if wrong == 4.5 else repr(wrong)
    with pytest.raises(bl.BayeslatError, match=f"{name} is {shown}; it must be a whole number"):
        bl.fit(small_spec(), make_frame(), **{name: wrong})  # type: ignore[arg-type]


@pytest.mark.xdist_group("small posterior")
def test_commands_are_noted_in_order_and_stay_in_the_file(tmp_path: Path) -> None:
    posterior = Posterior(make_data())
    first = posterior.with_history("bayeslat fit 'my traces' -o a.nc")
    second = first.with_history("bayeslat calibrate a.nc")
    assert "history" not in posterior.data.attrs  # nothing is changed in place
    assert first.data.attrs["history"] == ["bayeslat fit 'my traces' -o a.nc"]
    second.save(tmp_path / "a.nc")
    loaded = load_posterior(tmp_path / "a.nc").data.attrs["history"]
    assert loaded == ["bayeslat fit 'my traces' -o a.nc", "bayeslat calibrate a.nc"]
    rows = make_frame(5, ("l40s",), rows=3)
    assert second.calibrate(rows, "l40s").data.attrs["history"] == loaded


@pytest.mark.xdist_group("small posterior")
def test_a_posterior_is_shown_in_a_line() -> None:
    posterior = Posterior(make_data()).calibrate(make_frame(5, ("l40s",), rows=3), "l40s")
    assert repr(posterior) == (
        "<Posterior of small: prefill, decode; fitted a100_sxm, h100_sxm, h200_sxm; "
        "calibrated l40s>"
    )


@pytest.mark.xdist_group("small posterior")
def test_the_tree_for_arviz_is_a_copy() -> None:
    posterior, configs = Posterior(make_data()), make_configs(3)
    expected = posterior.predict(configs, GPUS[0]).frame
    tree = posterior.to_datatree()
    tree["stages/prefill"]["shared_efficiency"].to_numpy()[:] += 1.0
    for draws in tree["posterior"].data_vars.values():
        draws.to_numpy()[:] = 0.0
    pd.testing.assert_frame_equal(posterior.predict(configs, GPUS[0]).frame, expected)


@pytest.mark.xdist_group("small posterior")
def test_the_tree_for_arviz_is_what_the_file_holds(tmp_path: Path) -> None:
    posterior = Posterior(make_data()).calibrate(make_frame(5, ("l40s",), rows=3), "l40s")
    posterior.save(tmp_path / "a.nc")
    with xr.open_datatree(tmp_path / "a.nc") as stored:
        found = posterior.to_datatree()
        assert {"format", "format_version"} <= set(stored.attrs)
        stored.attrs = {name: stored.attrs[name] for name in found.attrs}
        xr.testing.assert_identical(found, stored.load())


@pytest.mark.xdist_group("small posterior")
def test_a_bundle_is_written_from_python(tmp_path: Path) -> None:
    posterior, configs = Posterior(make_data()), make_configs(5)
    made = posterior.write_bundle(tmp_path / "out" / "guard.bundle", "NVIDIA H200", seed=1)
    assert made.header["gpu"] == "h200_sxm"
    assert (tmp_path / "out" / "guard_reader.py").is_file()
    bundle = guard_reader.load(tmp_path / "out" / "guard.bundle")
    found = bundle.decide({str(name): configs[name].to_numpy() for name in configs}, 100.0)[1]
    expected = posterior.guard("h200_sxm", 100.0, seed=1).decide(configs)["p_exceed"]
    np.testing.assert_allclose(found, expected, atol=0.005)
    posterior.write_bundle(tmp_path / "alone" / "guard.bundle", "h200_sxm", reader=False)
    assert [path.name for path in (tmp_path / "alone").iterdir()] == ["guard.bundle"]
    refused: list[tuple[dict[str, Any], str]] = [
        ({"stack": 3}, "stack is 3"),
        ({"seed": -1}, "seed is -1"),
    ]
    for wrong, told in refused:
        with pytest.raises(InputError, match=told):
            posterior.write_bundle(tmp_path / "no.bundle", "h200_sxm", **wrong)
    assert not (tmp_path / "no.bundle").exists()
