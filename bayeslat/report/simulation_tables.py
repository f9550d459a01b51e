"""What was simulated, in short: the record for machines, the table for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bayeslat.counted import counted
from bayeslat.features.spec import Spec
from bayeslat.report.tables import GpuRow, format_ms, open_console, print_by_gpu, print_line

__all__ = ["show_simulation", "simulation_record"]


def simulation_record(
    spec: Spec, trace: pd.DataFrame, path: Path, parameters: Path
) -> dict[str, Any]:
    """What was simulated, in short.

    Parameters
    ----------
    spec : Spec
    trace : DataFrame, one row a measurement
    path, parameters : Path
        Where the trace and its true parameters were written.

    Returns
    -------
    dict
        For JSON: rows, GPUs, stacks, and by stage and GPU the median latency.
    """
    by_gpu = trace.groupby("gpu", sort=False)
    return {
        "trace": path,
        "parameters": parameters,
        "rows": len(trace),
        "gpus": list(by_gpu.groups),
        "stacks": sorted(set(trace["stack"])) if "stack" in trace else [],
        "median_ms": {
            stage: {str(gpu): float(value) for gpu, value in by_gpu[part.column].median().items()}
            for stage, part in spec.stages.items()
        },
    }


def show_simulation(record: Mapping[str, Any]) -> None:
    """Print the median latencies, and where everything is."""
    console = open_console()
    rows = [
        GpuRow(stage, {gpu: format_ms(value) for gpu, value in values.items()})
        for stage, values in record["median_ms"].items()
    ]
    title = f"{counted(record['rows'], 'simulated row')}, median ms"
    print_by_gpu(console, title, record["gpus"], rows)
    print_line(console, f"Saved in {record['trace']}")
    print_line(console, f"True parameters in {record['parameters']}")
