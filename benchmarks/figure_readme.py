"""The README's figure: measured against predicted latency on the shipped traces.

    python -m benchmarks.figure_readme

Three devices are fitted on two thirds of the configurations; the others are predicted there, and
all of the fourth device's from its data sheet alone.
"""

from __future__ import annotations

import numpy as np

import bayeslat as bl
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.report.figures import predicted_against_measured, save_figure
from benchmarks.common import root

DONORS = ("milan_1t_fp32", "milan_1t_bf16", "milan_2t_fp32")
TARGET = "milan_2t_bf16"


def main() -> None:
    spec = bl.load_spec(root("models/tiny_vlm.toml"))
    traces = bl.read_traces(root("traces"))
    ids = np.random.default_rng(0).permutation(traces["config_id"].unique())
    held_out = traces["config_id"].isin(ids[: len(ids) // 3])
    posterior = bl.fit(spec, traces[~held_out], gpus=DONORS)
    frames = {}
    for gpu in (*DONORS, TARGET):
        rows = traces[held_out & (traces["gpu"] == gpu) & (traces["repeat"] == 0)]
        name = gpu if gpu in DONORS else f"{gpu} (data sheet alone)"
        frames[name] = posterior.predict(rows, gpu=gpu).frame
        latencies = measured_latencies(spec, rows, bl.load_hardware().resolve(gpu))
        frames[name]["t_total_ms"] = latencies["total"]
    stages = {name: stage.column for name, stage in spec.stages.items()} | {"total": "t_total_ms"}
    figure = predicted_against_measured(frames, stages, "Latency of unseen configurations")
    save_figure(figure, [root("reports/figures/readme.png")])


if __name__ == "__main__":
    main()
