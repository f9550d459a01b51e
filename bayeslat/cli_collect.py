"""`bayeslat collect`: traces measured on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bayeslat.cli_options import collect as collect_opt
from bayeslat.cli_options import common as opt
from bayeslat.cli_output import ensure_writable
from bayeslat.cli_run import (
    INTERRUPTED,
    ends_well,
    fail,
    note,
    print_result,
    writing,
)
from bayeslat.counted import counted
from bayeslat.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from bayeslat.collect.knobs import Knobs
    from bayeslat.collect.vlm import Source

__all__ = ["app"]

app = typer.Typer(
    help="Measure traces on this machine.", no_args_is_help=True, rich_markup_mode=None
)

_CONFIGS = 150


@app.command(
    epilog="Example: bayeslat collect vlm Qwen/Qwen3-VL-30B-A3B-Instruct --dtype bfloat16 "
    "-n 150 -o l40s.parquet"
)
@ends_well
def vlm(
    output: opt.Output,
    model: collect_opt.HuggingFaceModel = None,
    random_weights: collect_opt.RandomWeights = None,
    gpu: collect_opt.CollectedGpu = None,
    design: collect_opt.Design = "sobol",
    count: collect_opt.DesignCount = None,
    knob: opt.Knobs = None,
    repeats: collect_opt.CollectRepeats = 3,
    dtype: collect_opt.Dtype = None,
    device: collect_opt.Device = "auto",
    threads: collect_opt.Threads = None,
    budget_minutes: collect_opt.BudgetMinutes = None,
    reference_every: collect_opt.ReferenceEvery = 20,
    hardware: opt.Hardware = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Measure the stage latencies of a vision-language model.

    A trace that exists is added to: what it holds is not measured again, so the same command goes
    on after an interruption.
    """
    from bayeslat.collect.device import (
        choose_device,
        choose_threads,
        gpu_key,
        name_doubt,
        usual_dtype,
    )
    from bayeslat.collect.job import Job, measure_all, prepare
    from bayeslat.collect.telemetry import open_telemetry
    from bayeslat.features.hardware import load_hardware
    from bayeslat.report.progress import counting_bar
    from bayeslat.traces.write import check_table_path

    started = time.monotonic()
    ensure_writable(check_table_path(output))
    source = _source(model, random_weights)
    where, table = choose_device(device), load_hardware(hardware)
    computing = choose_threads(where, threads)
    job = Job(
        source=source,
        gpu=gpu_key(where, computing, gpu, table),
        design=_design(source, design, knob or [], count, dtype or usual_dtype(where), seed),
        device=where,
        threads=computing,
        repeats=repeats,
        reference_every=reference_every,
        seed=seed,
    )
    if doubt := name_doubt(where, job.gpu, table):
        note(doubt)
    telemetry = open_telemetry(where)
    if telemetry.problem:
        note(f"no telemetry of the GPU: {telemetry.problem}")
    prepared = prepare(job, output, telemetry)
    deadline = None if budget_minutes is None else started + 60 * budget_minutes
    measured = 0
    try:
        with writing(output), counting_bar(len(prepared.visits)) as count_row:
            for row in measure_all(prepared, telemetry, deadline):
                measured += 1
                count_row(f"{job.gpu} config {row['config_id']}")
    except KeyboardInterrupt:
        kept = len(prepared.trace.rows)
        fail(
            f"interrupted; {output} keeps {counted(kept, 'row')}, and the same command goes on",
            INTERRUPTED,
        )
    left = prepared.trace.left(job.design, job.repeats)
    _show(prepared.trace.frame, {"trace": output, "measured": measured, "left": left}, as_json)
    if left:
        note(f"the time is up: {counted(left, 'measurement')} left, and the same command goes on")


@app.command(epilog="Example: bayeslat collect summary traces/*.parquet")
@ends_well
def summary(traces: opt.Traces, seed: opt.Seed = 0, as_json: opt.Json = False) -> None:
    """Tell what collected traces are worth.

    How far repeats differ, whether the stages add up, drift, and flagged rows. Nothing is random
    here, whatever --seed says.
    """
    from bayeslat.collect.summary import check_collected
    from bayeslat.traces import read_traces

    _show(check_collected(read_traces(*traces)), {}, as_json)


def _source(model: str | None, random_weights: Path | None) -> Source:
    """Return the model that is asked for, in one of two ways."""
    from bayeslat.collect.vlm import Source

    if (model is None) == (random_weights is None):
        raise InputError(
            "name one model: a Hugging Face folder or id, or --random-weights CONFIG.json for "
            "random weights"
        )
    return Source(str(model or random_weights), random_weights is not None)


def _design(
    source: Source, design: str, knobs: list[str], count: int | None, dtype: str, seed: int
) -> tuple[Knobs, ...]:
    """Return the configurations of a file, or draw them from ranges."""
    from bayeslat.collect.design import DESIGNS, draw_design
    from bayeslat.collect.design_file import read_design
    from bayeslat.collect.job import check_design
    from bayeslat.collect.knob_space import default_knobs, default_ranges, merge_ranges
    from bayeslat.collect.range_rules import did_you_mean
    from bayeslat.collect.vlm import read_limits
    from bayeslat.features.knob_range import parse_knobs

    limits = read_limits(source)
    base = default_knobs(limits, dtype)
    if design not in DESIGNS:
        if design.isidentifier() and not Path(design).exists():
            raise InputError(
                f"--design {design}: is no kind of design ({did_you_mean(design, DESIGNS)}), and "
                "no file of configurations"
            )
        if knobs or count is not None:
            raise InputError(f"--design {design}: a file says all; leave --knob and -n out")
        return read_design(design, base, limits)
    ranges = merge_ranges(default_ranges(limits), parse_knobs(knobs))
    chosen = count if count is not None or design == "grid" else _CONFIGS
    drawn = draw_design(design, ranges, base, chosen, seed)
    check_design(drawn, limits)
    return drawn


def _show(frame: pd.DataFrame, record: dict[str, Any], as_json: bool) -> None:
    """Print what the rows are worth, and where they are."""
    from bayeslat.collect.summary import summarise
    from bayeslat.report.collection_tables import show_collections

    devices = [found.record() for found in summarise(frame)] if len(frame) else []

    def show() -> None:
        show_collections(devices)
        if "trace" in record:
            saved = f"saved in {record['trace']}" if devices else "nothing to save"
            print(f"{counted(record['measured'], 'row')} more; {saved}")

    print_result({**record, "devices": devices}, as_json, show)
