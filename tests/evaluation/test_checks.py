from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.predict import predict
from bayeslat.errors import TraceError
from bayeslat.evaluation.checks import check_posterior
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.evaluation.metrics import crps, pit
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import load_spec
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.posterior import Posterior
from tests.posteriors import make_data, make_frame, small_spec

pytestmark = pytest.mark.xdist_group("small posterior")


def test_without_traces_the_draws_alone_are_judged() -> None:
    found = check_posterior(make_data())
    assert (found.problems, found.frame, found.findings) == (
        make_data().diagnostics.problems,
        None,
        (),
    )


def test_a_good_fit_has_no_findings() -> None:
    found = check_posterior(make_data(), make_frame())
    assert found.frame is not None
    assert found.findings == ()
    assert set(found.frame["stage"]) == {"prefill", "decode", "total"}
    assert (found.frame["rows"] == 40).all()
    assert found.frame["coverage_90"].between(0.7, 1.0).all()
    assert (found.frame["mape"] < 0.2).all()
    assert not found.frame["zero_shot"].any()


def test_a_changed_gpu_is_found_and_named() -> None:
    frame = make_frame()
    slower = frame.assign(
        t_decode_ms=frame["t_decode_ms"].where(
            frame["gpu"] != "h100_sxm", 2.0 * frame["t_decode_ms"]
        )
    )
    findings = check_posterior(make_data(), slower).findings
    assert any(text.startswith("h100_sxm, decode: 90 % intervals cover 0.0%") for text in findings)
    assert not any(text.startswith("a100_sxm") for text in findings)


def test_rows_beyond_the_range_are_judged_apart() -> None:
    frame = make_frame().query("gpu == 'h100_sxm'").copy()
    inside = frame.copy()
    far = frame["context"] > frame["context"].median()
    frame.loc[far, "context"] *= 100  # without getting slower, as nobody would expect
    found = check_posterior(make_data(), frame).findings
    assert any(
        text.startswith("h100_sxm, prefill, beyond the range of the fit: ") for text in found
    )
    assert not any(text.startswith("h100_sxm, prefill: ") for text in found)
    inside["t_prefill_ms"] *= np.where(far, 1.0, 3.0)
    found = check_posterior(make_data(), inside).findings
    assert any(text.startswith("h100_sxm, prefill: ") for text in found)
    assert not any("beyond" in text for text in found)


def test_stages_and_gpus_that_were_not_measured_are_left_out() -> None:
    frame = make_frame(gpus=("a100_sxm", "l40s")).drop(columns="t_prefill_ms")
    scores = check_posterior(make_data(), frame).frame
    assert scores is not None
    assert set(scores["stage"]) == {"decode"}  # and no total, since prefill is missing
    assert scores.set_index("gpu")["zero_shot"].to_dict() == {"a100_sxm": False, "l40s": True}


def spoilt() -> pd.DataFrame:
    frame = make_frame()
    factor = np.ones(len(frame))
    factor[[3, 47, 49]] = [100.0, 0.001, 0.001]
    return frame.assign(t_prefill_ms=factor * frame["t_prefill_ms"])


def test_gross_errors_of_the_fit_are_counted_and_not_scored() -> None:
    wrong = spoilt()
    data = fit_posterior(small_spec(), wrong, engine="laplace")
    found = check_posterior(data, wrong)
    assert found.frame is not None
    scores = found.frame.set_index(["gpu", "stage"])
    assert scores["set_aside"].unstack()[["prefill", "decode", "total"]].to_numpy().tolist() == [
        [1, 0, 1],
        [2, 0, 2],
        [0, 0, 0],
    ]
    assert (scores["rows"] + scores["set_aside"] == 40).all()
    assert (scores["mape"] < 0.2).all()
    assert found.findings == ()
    # The broken twin, of a posterior that remembers none: they count, and are far off.
    forgot = check_posterior(replace(data, set_aside=()), wrong).frame
    assert forgot is not None
    assert (forgot["set_aside"] == 0).all()
    assert forgot["mape"].max() > 1.0


def test_a_row_that_was_measured_anew_counts() -> None:
    data = fit_posterior(small_spec(), spoilt(), engine="laplace")
    scores = check_posterior(data, make_frame()).frame
    assert scores is not None
    assert (scores["set_aside"] == 0).all()
    assert (scores["rows"] == 40).all()


def test_gross_errors_of_a_calibrated_gpu_are_not_scored() -> None:
    rows = make_frame(5, ("l40s",), rows=12)
    rows["t_prefill_ms"] *= np.where(np.arange(12) == 4, 30.0, 1.0)
    known = Posterior(make_data()).calibrate(rows, "l40s")
    assert [each.row for each in known.gross_errors] == [5]
    scores = check_posterior(known.data, rows).frame
    assert scores is not None
    assert scores.set_index("stage")["set_aside"].to_dict() == {
        "prefill": 1,
        "decode": 0,
        "total": 1,
    }


def test_gross_errors_that_the_posterior_does_not_hold_are_named_and_scored() -> None:
    rows = make_frame(5, ("l40s",), rows=40)
    clean = check_posterior(make_data(), rows)
    assert clean.gross == ()
    rows["t_prefill_ms"] *= np.where(np.arange(40) == 4, 0.002, 1.0)
    found = check_posterior(make_data(), rows)
    assert [(each.error.row, *each.error.ratio) for each in found.gross] == [(5, "prefill")]
    assert found.frame is not None
    assert clean.frame is not None
    scores, before = found.frame.set_index("stage"), clean.frame.set_index("stage")
    assert (scores["rows"] == 40).all()
    assert scores["mape"]["prefill"] > 10 * scores["mape_sound"]["prefill"]
    for stage in ("prefill", "total"):  # the other 39 rows
        assert scores["mape_sound"][stage] == pytest.approx(before["mape"][stage], rel=0.1)
    pd.testing.assert_series_equal(before["mape"], before["mape_sound"], check_names=False)
    assert scores["mape"]["decode"] == scores["mape_sound"]["decode"]


def test_a_stage_that_was_not_fitted_on_a_gpu_is_zero_shot_there() -> None:
    frame = make_frame()
    held = frame["t_decode_ms"].where(frame["gpu"] != "a100_sxm")
    data = fit_posterior(small_spec(), frame.assign(t_decode_ms=held), engine="laplace")
    scores = check_posterior(data, frame).frame
    assert scores is not None
    zero_shot = scores[scores["zero_shot"]]
    assert list(zip(zero_shot["gpu"], zero_shot["stage"], strict=True)) == [
        ("a100_sxm", "decode"),
        ("a100_sxm", "total"),
    ]


def test_a_new_stack_of_a_gpu_is_a_block_of_its_own() -> None:
    frame = make_frame(gpus=("a100_sxm", "h100_sxm")).assign(stack="v1")
    data = fit_posterior(small_spec(), frame, engine="laplace")
    new = frame.query("gpu == 'h100_sxm'").head(15).assign(stack="v2")
    new["t_decode_ms"] *= 20
    mixed = pd.concat([frame, new]).sample(frac=1, random_state=0)
    alone, both = check_posterior(data, frame), check_posterior(data, mixed)
    assert alone.frame is not None
    assert both.frame is not None
    place = ["gpu", "stack", "stage"]
    old, scores = alone.frame.set_index(place), both.frame.set_index(place)
    for name in ("rows", "coverage_90", "mape", "zero_shot"):  # whatever is measured beside them
        np.testing.assert_allclose(
            scores.loc[old.index, name].astype(float), old[name].astype(float)
        )
    assert scores.drop(old.index).index.tolist() == [
        ("h100_sxm", "v2", stage) for stage in ("prefill", "decode", "total")
    ]
    assert set(scores[scores["zero_shot"]]["unmeasured"]) == {"stack"}
    assert scores["zero_shot"].sum() == 3
    assert any(
        text.startswith("h100_sxm with v2, decode: ") and "this stack is unlike" in text
        for text in both.findings
    )
    assert not any("this GPU is unlike" in text for text in both.findings)


def test_a_bad_trace_is_refused() -> None:
    with pytest.raises(TraceError, match="knob 'context' of spec 'small' is missing"):
        check_posterior(make_data(), make_frame().drop(columns="context"))


def test_the_measured_total_counts_each_stage_as_often_as_it_runs() -> None:
    frame = make_frame().query("gpu == 'a100_sxm'").head(3).copy()
    frame.loc[frame.index[1], "t_prefill_ms"] = np.nan
    frame.loc[frame.index[2], ["output_tokens", "t_decode_ms"]] = [0, np.nan]
    total = measured_latencies(small_spec(), frame, load_hardware().resolve("a100_sxm"))["total"]
    first = frame.iloc[0]
    assert total[0] == pytest.approx(
        first["t_prefill_ms"] + first["output_tokens"] * first["t_decode_ms"]
    )
    assert np.isnan(total[1])
    assert total[2] == pytest.approx(frame["t_prefill_ms"].iloc[2])  # a stage that never ran
    idle = frame.iloc[[0, 0]].assign(output_tokens=0)  # though it is timed
    total = measured_latencies(small_spec(), idle, load_hardware().resolve("a100_sxm"))["total"]
    assert total.tolist() == pytest.approx([first["t_prefill_ms"]] * 2)


def test_rows_of_different_things_have_no_total() -> None:
    """As steps of a server, and waits of its requests."""
    spec = load_spec(Path(__file__).parents[2] / "models" / "vllm.toml")
    measured = {"t_step_ms": [5.0, np.nan], "t_queueing_ms": [np.nan, 7.0]}
    rows = pd.DataFrame({"prompt_tokens": [np.nan, 20.0], **measured}).assign(
        **dict.fromkeys(set(spec.knobs) - set(spec.defaults), 1.0)
    )
    gpu = load_hardware().resolve("a100_sxm")
    assert np.isnan(measured_latencies(spec, rows, gpu)["total"]).all()
    assert measured_latencies(spec, rows.head(1), gpu)["total"].tolist() == [5.0]
    waits = measured_latencies(spec.only(["queueing"]), rows, gpu)["total"]  # a step has none
    assert waits.tolist() == [pytest.approx(np.nan, nan_ok=True), 7.0]


def test_scores_are_their_definitions() -> None:
    data, rows = make_data(), make_frame().query("gpu == 'h100_sxm'")
    rows = rows.assign(t_decode_ms=rows["t_decode_ms"].where(np.arange(len(rows)) > 1))
    found = check_posterior(data, rows, seed=2).frame
    assert found is not None
    score = found.set_index("stage").loc["decode"]
    draws = predict(data, rows, data.hardware["h100_sxm"], seed=2).draws("decode")[2:]
    latency = rows["t_decode_ms"].to_numpy()[2:]
    assert score["rows"] == score["configs"] == len(rows) - 2
    assert score["crps_relative"] == pytest.approx(crps(draws, latency).mean() / np.median(latency))
    assert score["pit_mean"] == pytest.approx(pit(draws, latency).mean())
    z = (np.log(latency) - np.log(draws).mean(axis=1)) / np.log(draws).std(axis=1)
    assert score["beyond_3_sd"] == (np.abs(z) > 3).mean()


def test_measurements_far_off_are_beyond_3_sd() -> None:
    frame = make_frame().query("gpu == 'a100_sxm'")
    far = frame.assign(t_decode_ms=frame["t_decode_ms"] * np.where(np.arange(40) < 10, 9.0, 1.0))
    found = check_posterior(make_data(), far).frame
    assert found is not None
    assert 0.25 <= found.set_index("stage")["beyond_3_sd"].astype(float)["decode"] <= 0.35


def test_repeats_of_a_config_are_one_config() -> None:
    frame = make_frame().query("gpu == 'a100_sxm'")
    twice = pd.concat([frame, frame.head(5)]).assign(repeat=[0] * 40 + [1] * 5)
    found = check_posterior(make_data(), twice).frame
    assert found is not None
    assert set(found["rows"]) == {45}
    assert set(found["configs"]) == {40}


def test_tasks_tell_configs_apart() -> None:
    frame = make_frame(tasks=("qa", "captioning")).query("gpu == 'a100_sxm'")
    both = pd.concat([frame.assign(task=task) for task in ("qa", "captioning")])
    found = check_posterior(make_data(tasks=("qa", "captioning")), both).frame
    assert found is not None
    assert set(found["rows"]) == set(found["configs"]) == {80}


def test_a_gpu_of_the_posterior_need_not_be_in_the_table() -> None:
    data, mine = make_data(), load_hardware().resolve("h200_sxm")
    entry = mine.model_copy(update={"key": "mine", "name": "Mine", "aliases": ()})
    tree = {key: value for key, value in data.hardware.items() if key != "h200_sxm"}
    known = replace(data, hardware={**tree, "mine": entry, "h200_sxm": mine})
    frame = make_frame().query("gpu == 'h200_sxm'").assign(gpu="mine")
    found = check_posterior(known, frame).frame
    assert found is not None
    assert set(found["gpu"]) == {"mine"}
