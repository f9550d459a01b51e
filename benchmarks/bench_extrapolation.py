"""Prediction beyond the training range: error and coverage, with physics alone beside it.

Fits the configurations on one side of a cut through a knob, and predicts those on the other side
on the same GPUs. Errors and coverage are of the noisy measurements, in the stages that leave their
range. Once more after fits of a narrow range, and with a spec without smooth corrections; and steps
of vLLM servers (`traces/vllm`), whose shipped spec has none.

Corners of the range, in which no configuration was fitted, leave no knob's range: the range is that
of each knob by itself. Errors and coverage there are of the total.

And GPUs that were not fitted are calibrated with rows of both sides of a cut, of which donors have
only one: how well the total is known on the other, and within the range.

    python -m benchmarks.bench_extrapolation [--engine laplace] [--data FILE] [-o FILE.json]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayeslat as bl
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.evaluation.metrics import coverage, mape
from bayeslat.features.design import physics_ms, stage_inputs
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json

DONORS = (("a100_sxm", "h100_sxm", "b200_sxm"), ("l40s", "h200_sxm", "gb200"))
CUTS = {  # what is predicted, after a fit of the rest
    "context > 1500": "vision_tokens + prompt_tokens > 1500",
    "context < 700": "vision_tokens + prompt_tokens < 700",
    "batch_size > 2": "batch_size > 2",
    "batch_size < 2": "batch_size < 2",
    "top_k > 4": "top_k > 4",
    "top_k < 3": "top_k < 3",
    "active_blocks > 36": "active_blocks > 36",
    "image_crops > 8": "image_crops > 8",
}
NARROW = {  # what is predicted, after a fit of little more than one value
    "active_blocks beyond 36 to 40": "active_blocks < 36 or active_blocks > 40",
    "top_k beyond 4 to 5": "top_k < 4 or top_k > 5",
}
STEPS = {  # of vLLM servers
    "prefill_tokens > 128": "prefill_tokens > 128",
    "decode_context_tokens > 1500": "decode_context_tokens > 1500",
    "decode_requests > 4": "decode_requests > 4",
}
MOST_STEPS = 300  # of a group that are predicted
CORNERS = (
    "batch_size > 4 and prompt_tokens > 256",
    "batch_size > 2 and image_crops > 6",
    "batch_size > 4 and top_k > 5",
    "batch_size < 2 and top_k < 3",
    "top_k > 5 and active_blocks > 39",
)


ROWS_WITHIN, ROWS_BEYOND, TESTED = 15, (0, 3, 10), 80
SCORES = ["mape", "coverage_90", "width_90", "extrapolates"]


def main() -> None:
    options = _options()
    frame = pd.read_parquet(options.data)
    frame = frame[[name for name in frame.columns if not name.startswith("true_")]]
    spec = bl.load_spec(root("models/vlm.toml"))
    rows = list(score_cuts(spec, frame, CUTS, options.engine))
    scores = pd.DataFrame(rows)
    table = summarise(scores, ["cut", "stage"])
    print_table("Beyond the training range", table)
    overall = summarise(scores.assign(all="all"), ["all"])
    print_table("All of them", overall)
    narrow = pd.DataFrame(score_cuts(spec, frame, NARROW, options.engine))
    print_table("Beyond a narrow range", summarise(narrow, ["cut", "stage"]))
    bare = pd.DataFrame(score_cuts(without_correction(spec), frame, CUTS, options.engine))
    print_table("Without a smooth correction", summarise(bare, ["cut", "stage"]))
    steps = pd.DataFrame(score_steps(options.engine))
    print_table("Steps of vLLM servers", summarise(steps, ["cut"]))
    corners = pd.DataFrame(
        row
        for corner in CORNERS
        for donors in DONORS
        for row in score_corner(frame, corner, donors, options.engine)
    )
    print_table("Corners, total", summarise_corners(corners))
    measured = pd.DataFrame(
        row
        for cut in CUTS
        for donors, targets in (DONORS, DONORS[::-1])
        for row in score_measured(frame, cut, donors, targets, options.engine)
    )
    told = measured.groupby(["rows_beyond", "where"])[SCORES].mean()
    print_table("GPUs that were measured beyond the donors' range, total", told)
    print_table(
        "The same, by cut", measured.groupby(["cut", "rows_beyond", "where"])[SCORES].mean()
    )
    content = {
        "machine": machine(),
        "engine": options.engine,
        "overall": overall.to_dict("index")["all"],
        "scores": rows,
        "narrow": narrow.to_dict("records"),
        "without_correction": bare.to_dict("records"),
        "steps": steps.to_dict("records"),
        "corners": corners.to_dict("records"),
        "measured_beyond": measured.to_dict("records"),
    }
    write_json(options.output, content)


def without_correction(spec: bl.Spec) -> bl.Spec:
    """Return a spec with the physics alone."""
    stages = {
        name: part.model_copy(update={"residual": None}) for name, part in spec.stages.items()
    }
    return spec.model_copy(update={"stages": stages})


def score_cuts(
    spec: bl.Spec, frame: pd.DataFrame, cuts: dict[str, str], engine: Any
) -> Iterator[dict[str, Any]]:
    """Fit one side of each cut and score the other, per GPU and stage that leaves its range."""
    for (cut, query), donors in product(cuts.items(), DONORS):
        beyond = np.asarray(frame.eval(query), dtype=bool)
        posterior = bl.fit(spec, frame[~beyond], gpus=donors, engine=engine)
        for gpu in donors:
            test = frame[beyond & (frame["gpu"] == gpu).to_numpy()]
            predicted = posterior.predict(test, gpu=gpu).frame
            for stage in spec.stages:
                if found := score_stage(posterior, predicted, test, stage, gpu):
                    yield {"cut": cut, "gpu": gpu, "stage": stage, **found}


def score_steps(engine: Any) -> Iterator[dict[str, Any]]:
    """Fit the steps of vLLM servers on one side of each cut, and score the other, per group."""
    spec = bl.load_spec(root("models/vllm.toml"))
    trace = spec.complete(bl.read_traces(str(root("traces/vllm/*.parquet"))))
    for cut, query in STEPS.items():
        beyond = np.asarray(trace.eval(query), dtype=bool)
        posterior = bl.fit(spec, trace[~beyond], engine=engine)
        steps = trace[beyond & trace["t_step_ms"].notna()]
        for gpu, stack in posterior.data.groups:
            rows = steps[(steps["gpu"] == gpu) & (steps["stack"] == stack)]
            test = rows.sample(min(len(rows), MOST_STEPS), random_state=0)
            predicted = posterior.predict(test, gpu=gpu, stack=stack).frame
            yield {"cut": cut, "gpu": gpu, **score_stage(posterior, predicted, test, "step", gpu)}


def score_stage(
    posterior: bl.Posterior, predicted: pd.DataFrame, test: pd.DataFrame, stage: str, gpu: str
) -> dict[str, Any]:
    """Score a stage where it leaves its range; nothing if it does not."""
    out = predicted["extrapolates_in"].str.contains(f"{stage}:", regex=False).to_numpy()
    if not out.any():
        return {}
    latency = test[posterior.spec.stages[stage].column].to_numpy()[out]
    point, low, middle, high = (
        predicted[f"{stage}_{name}_ms"].to_numpy()[out] for name in ("point", "q05", "q50", "q95")
    )
    return {
        "rows": len(latency),
        "mape": mape(point, latency),
        "mape_physics": mape(anchored_ms(posterior, stage, gpu, test[out]), latency),
        "coverage_90": coverage(low, high, latency),
        "width_90": float(np.median((high - low) / middle)),
    }


def score_corner(
    frame: pd.DataFrame, corner: str, donors: tuple[str, ...], engine: Any
) -> Iterator[dict[str, Any]]:
    """Fit all but a corner and score it, per GPU."""
    spec = bl.load_spec(root("models/vlm.toml"))
    within = np.asarray(frame.eval(corner), dtype=bool)
    posterior = bl.fit(spec, frame[~within], gpus=donors, engine=engine)
    for gpu in donors:
        test = frame[within & (frame["gpu"] == gpu).to_numpy()]
        predicted = posterior.predict(test, gpu=gpu).frame
        latency = measured_latencies(spec, test, posterior.data.hardware[gpu])["total"]
        low, point, high = (
            predicted[f"total_{name}_ms"].to_numpy() for name in ("q05", "point", "q95")
        )
        yield {
            "corner": corner,
            "gpu": gpu,
            "rows": len(test),
            "extrapolates": float(predicted["extrapolates"].mean()),
            "mape": mape(point, latency),
            "coverage_90": coverage(low, high, latency),
        }


def summarise_corners(corners: pd.DataFrame) -> pd.DataFrame:
    """Means over GPUs, and the worst."""
    grouped = corners.groupby("corner", sort=False)
    return pd.DataFrame(
        {
            "rows": grouped["rows"].first(),
            "flagged %": 100 * grouped["extrapolates"].mean(),
            "MAPE %": 100 * grouped["mape"].mean(),
            "MAPE % (worst)": 100 * grouped["mape"].max(),
            "90 % covers": 100 * grouped["coverage_90"].mean(),
            "90 % covers (worst)": 100 * grouped["coverage_90"].min(),
        }
    ).round(2)


def anchored_ms(posterior: bl.Posterior, stage: str, gpu: str, configs: pd.DataFrame) -> np.ndarray:
    """Physics alone, at the efficiencies that the GPU was linearised at."""
    part, at = posterior.data.stages[stage], posterior.gpus.index(gpu)
    inputs = stage_inputs(posterior.spec, stage, configs, posterior.data.hardware[gpu])
    return np.exp(physics_ms(inputs.terms_ms, part.shared_efficiency + part.departure[at])[0])


def score_measured(
    frame: pd.DataFrame, cut: str, donors: tuple[str, ...], targets: tuple[str, ...], engine: Any
) -> Iterator[dict[str, Any]]:
    """Calibrate GPUs with rows of both sides of a cut, of which the donors have one."""
    spec = bl.load_spec(root("models/vlm.toml"))
    out = np.asarray(frame.eval(CUTS[cut]), dtype=bool)
    posterior = bl.fit(spec, frame[~out], gpus=donors, engine=engine)
    for gpu in targets:
        own = frame[frame["gpu"] == gpu].sample(frac=1.0, random_state=3)
        beyond = np.asarray(own.eval(CUTS[cut]), dtype=bool)
        sides = {"within": own[~beyond], "beyond": own[beyond]}
        entry = bl.load_hardware().resolve(gpu)
        for count in ROWS_BEYOND:
            rows = [sides["within"].head(ROWS_WITHIN), sides["beyond"].head(count)]
            calibrated = posterior.calibrate(pd.concat(rows), gpu=gpu)
            for where, side in sides.items():
                test = side[max(ROWS_WITHIN, *ROWS_BEYOND) :].tail(TESTED)
                if test.empty:
                    continue
                predicted = calibrated.predict(test, gpu=gpu).frame
                latency = measured_latencies(spec, test, entry)["total"]
                point, low, middle, high = (
                    predicted[f"total_{name}_ms"].to_numpy()
                    for name in ("point", "q05", "q50", "q95")
                )
                yield {
                    "cut": cut,
                    "gpu": gpu,
                    "rows_beyond": count,
                    "where": where,
                    "mape": mape(point, latency),
                    "coverage_90": coverage(low, high, latency),
                    "width_90": float(np.median((high - low) / middle)),
                    "extrapolates": float(predicted["extrapolates"].mean()),
                }


def summarise(scores: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Means over GPUs, and the worst."""
    grouped = scores.groupby(by, sort=False)
    return pd.DataFrame(
        {
            "MAPE %": 100 * grouped["mape"].mean(),
            "MAPE % (worst)": 100 * grouped["mape"].max(),
            "physics alone, MAPE %": 100 * grouped["mape_physics"].mean(),
            "90 % covers": 100 * grouped["coverage_90"].mean(),
            "width of 90 %": grouped["width_90"].mean(),
        }
    ).round(2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=("nuts", "laplace"), default="laplace")
    parser.add_argument("--data", type=Path, default=data_file("vlm_stages.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "extrapolation.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
