"""The command that fits, to traces or to statistics in place of them, and what saves a fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayeslat.cli_input import choose_spec, hardware_with
from bayeslat.cli_options import common as opt
from bayeslat.cli_options import fit as fit_opt
from bayeslat.cli_output import ensure_writable
from bayeslat.cli_rows import note_unread_times, read_rows
from bayeslat.cli_run import (
    CHECK_FAILED,
    command_line,
    ends_well,
    fail,
    note,
    note_warning,
    print_result,
    told_at_once,
    writing,
)
from bayeslat.cli_values import choose_jobs, split_names
from bayeslat.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayeslat.features.spec import Spec
    from bayeslat.inference.compression.compressed import Compressed
    from bayeslat.posterior import Posterior

__all__ = ["end_fit", "fit", "save_fit"]


@ends_well
def fit(
    traces: fit_opt.FitTraces,
    output: opt.Output,
    model: fit_opt.ModelOrNone = None,
    stages: opt.Stages = None,
    gpus: fit_opt.Gpus = None,
    engine: fit_opt.Engine = "nuts",
    hardware: opt.Hardware = None,
    drop_invalid: fit_opt.DropInvalid = False,
    force: fit_opt.Force = False,
    chains: fit_opt.Chains = 4,
    draws: fit_opt.Draws = 800,
    tune: fit_opt.Tune = 200,
    engine_address: opt.EngineAddress = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Fit every stage to traces or statistics, and save the posterior.

    A fit that did not converge is not saved, and ends with exit status 3.
    """
    from bayeslat.evaluation.in_sample import in_sample_errors
    from bayeslat.features.hardware import load_hardware
    from bayeslat.fitting import fit as fit_traces
    from bayeslat.inference.storage.posterior_file import check_posterior_path
    from bayeslat.report.fit_tables import fit_record, show_fit
    from bayeslat.report.gross_errors import gross_error_lines
    from bayeslat.report.progress import stage_bars

    ensure_writable(check_posterior_path(output), *traces, model, hardware)
    with told_at_once() as attempt:
        attempt(choose_jobs, None, engine_address)
        chosen = attempt(split_names, gpus, "--gpus") or None
        spec = attempt(choose_spec, model, stages) if model is not None else None
    statistics = statistics_among(traces, spec)
    dropped = None
    options: dict[str, Any] = {"engine": engine, "seed": seed}
    options |= {"chains": chains, "draws": draws, "tune": tune, "engine_address": engine_address}
    if statistics is not None:
        if chosen or drop_invalid or stages:
            raise InputError(
                "--gpus, --stages and --drop-invalid choose from traces, and statistics are of "
                "all; leave them out, or fit the traces"
            )
        table = hardware_with(statistics.point.hardware, hardware)
        frame = statistics.sample
        posterior = fit_from_statistics(statistics, options)
    else:
        if spec is None:
            raise InputError("give the specification: --model SPEC.toml")
        table = load_hardware(hardware)
        with told_at_once() as attempt:
            for name in chosen or ():
                attempt(table.resolve, name)
        frame, dropped = read_rows(traces, spec, table, output, drop_invalid=drop_invalid)
        with stage_bars(tuple(spec.stages)) as on_progress:
            posterior = fit_traces(
                spec, frame, gpus=chosen, hardware=table, **options, on_progress=on_progress
            )
        note_unread_times(frame)
    saved = save_fit(posterior, output, force)
    errors = in_sample_errors(posterior.data, frame, hardware=table, seed=seed)
    record = fit_record(posterior.data, errors, output if saved else None)
    if dropped:
        record["dropped"] = dropped.record()
    print_result(record, as_json, lambda: show_fit(record))
    note_warning(gross_error_lines(record["gross_errors"]))
    end_fit(posterior, output, saved)


def fit_from_statistics(statistics: Compressed, options: Mapping[str, Any]) -> Posterior:
    """Fit statistics, with a bar a stage."""
    from bayeslat.compression import fit_statistics
    from bayeslat.report.progress import stage_bars

    with stage_bars(tuple(statistics.point.stages)) as on_progress:
        return fit_statistics(statistics, **options, on_progress=on_progress)


def save_fit(posterior: Posterior, output: Path, force: bool) -> bool:
    """Save a posterior that converged, or any with `force`; tell whether it was."""
    saved = posterior.diagnostics.converged or force
    if saved:
        with writing(output):
            posterior.with_history(command_line()).save(output)
    return saved


def end_fit(posterior: Posterior, output: Path, saved: bool) -> None:
    """Say what did not converge, and end with exit status 3 where nothing was saved."""
    for problem in posterior.diagnostics.problems:
        note(f"not converged: {problem}")
    if not saved:
        fail(f"{output} was not written; --force saves it all the same", CHECK_FAILED)


def statistics_among(traces: Sequence[str], spec: Spec | None) -> Compressed | None:
    """Read statistics that are given in place of traces; None if there are none.

    Parameters
    ----------
    traces : sequence of str
    spec : Spec or None
        That they must have been made with.

    Raises
    ------
    InputError
        If traces are among them, two were settled at different points, or the spec is another.
    """
    from bayeslat.inference.storage.sealed_file import holds_netcdf

    held = [name for name in traces if holds_netcdf(name)]
    if not held:
        return None
    others = [name for name in traces if name not in held]
    if others:
        raise InputError(
            f"{held[0]} holds statistics and {others[0]} does not; give either, and compress the "
            f"others with --like {held[0]} to join them"
        )
    from bayeslat.compression import read_statistics

    data = read_statistics(held[0])
    for name in held[1:]:
        data = data.merged(read_statistics(name))
    if spec is not None and spec.hash != data.point.spec.hash:
        raise InputError(
            f"{held[0]}: the statistics were made with another specification than {spec.name!r} "
            "of --model; leave --model out, or compress the traces anew"
        )
    return data
