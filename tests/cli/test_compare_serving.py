"""`bayeslat compare` on a server's traces, where a row holds a step or a request: no total."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from typer.testing import Result

from tests.cli.conftest import Workshop

SPEC = """
name = "server"
knobs = ["prefill_tokens", "decode_requests", "waiting", "kv_usage"]
stack_columns = ["model"]
[stages.step.physics]
prefill = "20 * prefill_tokens / bf16_tflops"
decode = "100 * decode_requests / mem_bw_GBps"
launch = "2"
[stages.queueing.hurdle]
above_ms = 1.0
features = ["where(waiting > 0, 1, 0)"]
[stages.queueing.physics]
places = "2000 * waiting / bf16_tflops"
steps = "5"
"""
GPUS = ("a100_sxm", "h100_sxm", "l40s")
PEAKS = {"a100_sxm": 312.0, "h100_sxm": 989.0, "l40s": 362.0}
METHODS = "bayeslat,direct,B,ridge,boosted_trees,hfd_tl_ridge,hfd_tl_ard,picf,mole_rd"


def make_traces(rows: int = 60) -> pd.DataFrame:
    """As many steps as requests, of two models; half of the requests find no queue."""
    rng = np.random.default_rng(0)
    parts = []
    for gpu, peak in PEAKS.items():
        steps = pd.DataFrame(
            {
                "prefill_tokens": rng.integers(0, 900, rows),
                "decode_requests": rng.integers(1, 100, rows),
                "waiting": 0,
                "kv_usage": rng.uniform(0, 1, rows).round(4),
            }
        )
        step_ms = 3 + 30 * steps["prefill_tokens"] / peak + 0.1 * steps["decode_requests"]
        steps["t_step_ms"] = step_ms * np.exp(0.03 * rng.standard_normal(rows))
        requests = steps.drop(columns="t_step_ms").assign(
            waiting=np.where(np.arange(rows) % 2, rng.integers(1, 20, rows), 0)
        )
        queue = (6 + 3000 * requests["waiting"] / peak) * np.exp(0.1 * rng.standard_normal(rows))
        requests["t_queueing_ms"] = np.where(requests["waiting"] > 0, queue, 0.04)
        both = pd.concat([steps, requests], ignore_index=True)
        parts.append(both.assign(gpu=gpu, model=np.where(np.arange(2 * rows) % 3, "m1", "m2")))
    return pd.concat(parts, ignore_index=True)


def compare(run: Callable[..., Result], workshop: Workshop, out: Path, *words: str) -> Result:
    spec, trace = workshop.text("server.toml", SPEC), workshop.trace(make_traces())
    return run(
        "compare", trace, "-m", spec, "--target", "l40s", "-o", out, "--counts", "0,4,40",
        "--repetitions", "1", "--jobs", "1", *words,
    )  # fmt: skip


def test_stages_are_judged_by_themselves(workshop: Workshop, run: Callable[..., Result]) -> None:
    out = workshop.folder / "comparison"
    done = compare(run, workshop, out, "--methods", METHODS)
    assert done.exit_code == 0, done.output
    for told in ("MAPE % of step on l40s", "MAPE % of queueing on l40s"):
        assert told in done.stdout
    assert "MAPE % of the total" not in done.stdout
    results = json.loads((out / "e3_calibration_results.json").read_text())
    assert results["headline"] == ["step", "queueing"]
    scores = pd.DataFrame(results["scores"])
    assert set(scores["stage"]) == {"step", "queueing"}
    assert np.isfinite(scores["mape"].astype(float)).all()
    # A request that waits is predicted given that it does, whatever the chance.
    own = scores[(scores["method"] == "bayeslat") & (scores["rows"] == 40)].set_index("stage")
    assert own["mape"].max() < 0.25
    assert own["coverage_90"].min() > 0.6
    carried = scores[(scores["method"] == "picf") & (scores["stage"] == "step")]
    assert carried.set_index("rows")["mape"].max() < 0.5
    skipped = {told.split(" ")[0].strip(":"): told for told in results["skipped"]}
    assert set(skipped) == {"B", "ridge"}
    assert "B with 4, 40 rows: of 4 rows of l40s, all stages are in 0" in skipped["B"]
    assert "ridge with 4 rows: of 4 rows" in skipped["ridge"]
    assert {each["verdict"] for each in results["findings"]} == {"not measured"}
    assert "no measured total" in results["findings"][0]["answer"]
    assert results["questions"] == []
    curves = json.loads((out / "e3_transfer_curves.json").read_text())
    assert curves["stages"]["queueing"]["mole_rd"]["rows"] == [0, 4, 40]
    for name in (
        "e3_estimator_model.nc",
        "figures/e3_prediction_error_vs_samples_step.png",
        "figures/e3_prediction_error_vs_samples_queueing.png",
        "figures/e3_transfer_curve.png",
        "figures/e3_predicted_vs_actual.png",
    ):
        assert (out / name).stat().st_size > 0, name
    page = (out / "index.html").read_text()
    assert "All methods, queueing latency" in page
    assert "total latency" not in page


def test_methods_of_a_server_are_left_out_of_other_traces(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    from bayeslat.evaluation.comparison import method_names
    from bayeslat.features.spec import Spec
    from tests.posteriors import small_spec

    of_server = {"picf", "picf_relative", "mole_rd", "mole_rd_relative"}
    server = Spec.from_text(SPEC)
    assert set(method_names()) == set(method_names(server))
    assert set(method_names()) - set(method_names(small_spec())) == of_server
    words = ("compare", workshop.trace(), "-m", workshop.spec, "--target", "a100_sxm")
    out = workshop.folder / "comparison"
    done = run(*words, "-o", out, "--methods", "A,picf,Z")
    assert done.exit_code == 1
    assert "no method 'Z'" in done.stderr
    assert "method 'picf' does not suit: it predicts the stages step and queueing" in done.stderr
    assert "has prefill, decode" in done.stderr
    assert not (out / "index.html").exists()


def test_crossval_judges_stages_by_themselves(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    spec, trace = workshop.text("server.toml", SPEC), workshop.trace(make_traces())
    done = run(
        "crossval", trace, "-m", spec, "-o", workshop.out, "--counts", "0,40",
        "--repetitions", "1", "--jobs", "1", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["judged"] == ["step", "queueing"]
    expected = pd.DataFrame(record["expected"])
    assert set(expected["stage"]) == {"step", "queueing"}
    few = expected[expected["rows"] == 40]
    assert few["mape"].max() < 0.25
    assert few["coverage_90"].min() > 0.6
    assert {row["target"] for row in record["by_target"]} == set(GPUS)
    assert all(np.isfinite(row["mape"]) for row in record["by_target"])
