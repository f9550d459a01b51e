from __future__ import annotations

import numpy as np
import pytest

from bayeslat.decisions.predict import predict
from bayeslat.evaluation.checks import check_posterior
from bayeslat.evaluation.in_sample import MOST_ROWS, in_sample_errors
from bayeslat.features.hardware import load_hardware
from bayeslat.fitting import fit
from tests.hurdles import NOISE_SD, SPEC, effects_of, make_trace
from tests.posteriors import GPUS, make_data, make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

HARDWARE = load_hardware()


def test_it_is_the_error_of_the_predictions() -> None:
    data, frame = make_data(), make_frame()
    records = in_sample_errors(data, frame, hardware=HARDWARE, seed=4).to_dict("records")
    found = {(row["gpu"], row["stage"]): row for row in records}
    assert list(found) == [(g, s) for g in GPUS for s in ("prefill", "decode", "total")]
    rows = frame[frame["gpu"] == "h100_sxm"]
    predicted = predict(data, rows, data.hardware["h100_sxm"], seed=4).frame
    total = rows["t_prefill_ms"] + rows["output_tokens"] * rows["t_decode_ms"]
    for stage, latency in (("prefill", rows["t_prefill_ms"]), ("total", total)):
        row = found["h100_sxm", stage]
        error = (predicted[f"{stage}_point_ms"] / latency - 1).abs().mean()
        inside = latency.between(predicted[f"{stage}_q05_ms"], predicted[f"{stage}_q95_ms"]).mean()
        assert row["mape"] == pytest.approx(error)
        assert row["coverage_90"] == pytest.approx(inside)
        assert row["rows"] == len(rows)


def test_other_gpus_and_unmeasured_stages_are_passed_over() -> None:
    frame = make_frame(gpus=(*GPUS, "l40s"))
    frame.loc[frame["gpu"] == "a100_sxm", "t_decode_ms"] = np.nan
    frame.loc[frame.index[-2:], "gpu"] = ["no such GPU", None]
    found = in_sample_errors(make_data(), frame, hardware=HARDWARE)
    pairs = set(zip(found["gpu"], found["stage"], strict=True))
    assert {gpu for gpu, _ in pairs} == set(GPUS)
    assert [stage for gpu, stage in pairs if gpu == "a100_sxm"] == ["prefill"]


def test_aliases_are_their_gpu() -> None:
    frame = make_frame()
    alias = frame.replace({"gpu": {"h100_sxm": "NVIDIA H100 80GB HBM3"}})
    first, second = (in_sample_errors(make_data(), f, hardware=HARDWARE) for f in (frame, alias))
    assert first.equals(second)


def test_of_many_rows_some_are_enough() -> None:
    frame = make_frame(rows=MOST_ROWS + 100)
    found = in_sample_errors(make_data(), frame, hardware=HARDWARE)
    assert set(found["rows"]) == {MOST_ROWS}


def test_a_stage_with_a_hurdle_is_judged_by_the_rows_that_take_time() -> None:
    trace = make_trace(200, effects_of(0, 0.5))
    data = fit(SPEC, trace, engine="laplace").data
    errors = in_sample_errors(data, trace, hardware=HARDWARE)
    queueing = errors[errors["stage"] == "queueing"]
    assert (queueing["mape"] < 1.5 * NOISE_SD).all()
    assert queueing["coverage_90"].between(0.8, 0.98).all()
    check = check_posterior(data, trace).frame
    assert check is not None
    queueing = check[check["stage"] == "queueing"]
    assert (queueing["mape"] < 1.5 * NOISE_SD).all()
    assert (queueing["bias"].abs() < NOISE_SD).all()
    assert (queueing["crps_relative"] < NOISE_SD).all()


def test_the_total_of_a_single_stage_with_a_hurdle_is_judged_as_that() -> None:
    trace = make_trace(100, effects_of(0, 0.5))
    data = fit(SPEC.only(["queueing"]), trace, engine="laplace").data
    errors = in_sample_errors(data, trace, hardware=HARDWARE)
    queueing, total = (errors[errors["stage"] == name] for name in ("queueing", "total"))
    np.testing.assert_allclose(total["mape"], queueing["mape"], rtol=1e-6)
