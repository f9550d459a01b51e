"""Commands for traces that outgrow a table: statistics in place of rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bayeslat.cli_fit import end_fit, save_fit
from bayeslat.cli_input import choose_spec, hardware_with
from bayeslat.cli_options import common as opt
from bayeslat.cli_options import fit as fit_opt
from bayeslat.cli_options import scale as scale_opt
from bayeslat.cli_output import ensure_writable
from bayeslat.cli_run import (
    ends_well,
    note,
    note_warning,
    print_result,
    told_at_once,
    writing,
)
from bayeslat.cli_values import choose_jobs
from bayeslat.counted import counted
from bayeslat.errors import InputError

if TYPE_CHECKING:
    from bayeslat.inference.compression.compressed import Compressed
    from bayeslat.posterior import Posterior

__all__ = ["compress", "update"]


@ends_well
def compress(
    traces: scale_opt.ParquetTraces,
    output: opt.Output,
    model: fit_opt.ModelOrNone = None,
    stages: opt.Stages = None,
    like: scale_opt.Like = None,
    window: scale_opt.Window = None,
    hardware: opt.Hardware = None,
    drop_invalid: scale_opt.LeaveOut = False,
    jobs: opt.Jobs = None,
    engine_address: opt.EngineAddress = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Compress Parquet traces of any size to what a fit needs.

    Memory does not grow with the rows. Nothing is random here, whatever --seed says.
    """
    import time

    from bayeslat.compression import compress as compress_traces
    from bayeslat.compression import settled_point, write_statistics
    from bayeslat.features.hardware import load_hardware
    from bayeslat.inference.compression.compressed_file import check_statistics_path
    from bayeslat.report.compression_tables import compression_record, show_compression
    from bayeslat.report.progress import fraction_bar

    start = time.perf_counter()
    ensure_writable(check_statistics_path(output), *traces, model, like, hardware)
    with told_at_once() as attempt:
        processes = attempt(choose_jobs, jobs, engine_address)
        attempt(_check_window, window)
        base = None if like is None else attempt(_read_like, like)
        spec = None if model is None else attempt(choose_spec, model, stages)
    point = None if base is None else settled_point(base)
    if spec is None:
        if point is None:
            raise InputError(
                "give the specification: --model SPEC.toml (or --like FILE, which has it)"
            )
        if stages is not None:
            raise InputError(
                "--stages chooses from --model SPEC.toml; give it, or leave --stages out"
            )
        spec = point.spec
    table = load_hardware(hardware) if point is None else hardware_with(point.hardware, hardware)
    with fraction_bar("rows") as on_progress:
        data = compress_traces(
            spec,
            *traces,
            like=base,
            window=window,
            hardware=table,
            drop_invalid=drop_invalid,
            jobs=processes,
            engine_address=engine_address,
            on_progress=on_progress,
        )
    tell_left_out(data)
    with writing(output):
        write_statistics(data, output)
    record = compression_record(data, output, time.perf_counter() - start, like)
    print_result(record, as_json, lambda: show_compression(record))


@ends_well
def update(
    posterior: opt.PosteriorFile,
    output: opt.Output,
    traces: scale_opt.NewTraces = None,
    retire: scale_opt.Retire = None,
    window: scale_opt.Window = None,
    engine: fit_opt.Engine = "nuts",
    hardware: opt.Hardware = None,
    drop_invalid: scale_opt.LeaveOut = False,
    force: fit_opt.Force = False,
    chains: fit_opt.Chains = 4,
    draws: fit_opt.Draws = 800,
    tune: fit_opt.Tune = 200,
    jobs: opt.Jobs = None,
    engine_address: opt.EngineAddress = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Add rows to a posterior, and take old windows out of it.

    The rows that it was fitted to are not needed. One that did not converge is not saved, and ends
    with exit status 3.
    """
    import pandas as pd

    from bayeslat.compression import compress as compress_traces
    from bayeslat.compression import update as update_draws
    from bayeslat.evaluation.in_sample import in_sample_errors
    from bayeslat.inference.compression.compressed import retire_windows
    from bayeslat.inference.compression.update import windows_of
    from bayeslat.inference.storage.posterior_file import check_posterior_path
    from bayeslat.posterior import load_posterior
    from bayeslat.report.compression_tables import show_windows, windows_record
    from bayeslat.report.fit_tables import fit_record, show_fit
    from bayeslat.report.progress import fraction_bar, stage_bars

    ensure_writable(check_posterior_path(output), *(traces or []), hardware)
    if not traces and not retire:
        raise InputError("nothing to do: name new traces, or windows to take out (--retire NAME)")
    fitted = load_posterior(posterior)
    with told_at_once() as attempt:
        processes = attempt(choose_jobs, jobs, engine_address)
        attempt(_check_window, window)
        attempt(retire_windows, windows_of(fitted.data), retire or ())  # before rows are read
    table = hardware_with(fitted.data.hardware, hardware)
    data = None
    if traces:
        with fraction_bar("rows") as told:
            data = compress_traces(
                fitted.spec,
                *traces,
                like=fitted,
                window=window,
                hardware=table,
                drop_invalid=drop_invalid,
                jobs=processes,
                engine_address=engine_address,
                on_progress=told,
            )
        tell_left_out(data)
    with stage_bars(tuple(fitted.spec.stages)) as on_progress:
        updated = update_draws(
            fitted,
            data,
            retire=retire or (),
            engine=engine,
            seed=seed,
            chains=chains,
            draws=draws,
            tune=tune,
            engine_address=engine_address,
            on_progress=on_progress,
        )
    saved = save_fit(updated, output, force)
    errors = pd.DataFrame()
    if data is not None:
        errors = in_sample_errors(updated.data, data.sample, hardware=table, seed=seed)
    record = fit_record(updated.data, errors, output if saved else None)
    record["windows"] = windows_record(updated.data.windows)
    record["left_out"] = data.left_out if data is not None else 0
    record["set_aside"] = data.set_aside if data is not None else []

    def show() -> None:
        show_windows(record["windows"])
        show_fit(record)  # ends with where it is saved

    print_result(record, as_json, show)
    end_fit(updated, output, saved)


def tell_left_out(data: Compressed) -> None:
    """Say how many rows broke a rule, and which; and what was set aside as a gross error."""
    from bayeslat.report.compression_tables import set_aside_lines

    if data.left_out:
        note(f"left out for breaking a rule: {counted(data.left_out, 'row')}")
        note(data.left_out_why)
    note_warning(set_aside_lines(data.set_aside))


def _read_like(path: Path) -> Compressed | Posterior:
    """Read statistics or a posterior, as the file says which."""
    from bayeslat.compression import read_statistics
    from bayeslat.errors import StatisticsFileError
    from bayeslat.inference.storage.sealed_file import format_of
    from bayeslat.posterior import load_posterior

    kind = format_of(path)
    if kind == "bayeslat posterior":
        return load_posterior(path)
    try:
        return read_statistics(path)
    except StatisticsFileError as error:
        raise StatisticsFileError(f"--like: {error}") from error


def _check_window(name: str | None) -> None:
    if name is not None and not name.strip():
        raise InputError(f"--window {name!r}: the name is empty; write one, or leave --window out")
