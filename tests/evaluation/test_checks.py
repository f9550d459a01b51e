from __future__ import annotations

import numpy as np
import pytest

from bayeslat.errors import TraceError
from bayeslat.evaluation.checks import check_posterior
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.features.hardware import load_hardware
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


def test_stages_and_gpus_that_were_not_measured_are_left_out() -> None:
    frame = make_frame(gpus=("a100_sxm", "l40s")).drop(columns="t_prefill_ms")
    scores = check_posterior(make_data(), frame).frame
    assert scores is not None
    assert set(scores["stage"]) == {"decode"}  # and no total, since prefill is missing
    assert scores.set_index("gpu")["zero_shot"].to_dict() == {"a100_sxm": False, "l40s": True}


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
