"""Commands that carry a posterior over to another GPU."""

from __future__ import annotations

from bayeslat.cli_input import choose_spec, draw_configs, hardware_with, measured_gpus
from bayeslat.cli_options import common as opt
from bayeslat.cli_options import fit as fit_opt
from bayeslat.cli_options import transfer as transfer_opt
from bayeslat.cli_output import ensure_writable
from bayeslat.cli_rows import (
    note_misnamed_stages,
    note_unknown_gpus,
    note_unread_times,
    read_measurements,
    read_rows,
    read_valid,
)
from bayeslat.cli_run import (
    CHECK_FAILED,
    command_line,
    ends_well,
    fail,
    note_warning,
    print_result,
    print_result_of,
    told_at_once,
    writing,
)
from bayeslat.cli_values import check_share, check_stack, choose_jobs, split_counts, split_names

__all__ = ["calibrate", "compare", "crossval"]


@ends_well
def calibrate(
    posterior: opt.PosteriorFile,
    gpu: opt.Gpu,
    output: opt.Output,
    traces: transfer_opt.CalibrationTraces = None,
    count: transfer_opt.CalibrationCount = None,
    stack: opt.Stack = None,
    threshold: transfer_opt.Threshold = 0.10,
    hardware: opt.Hardware = None,
    drop_invalid: fit_opt.DropInvalid = False,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Add a GPU from its measurements, and say whether to trust it.

    Without traces, the GPU is as its data sheet and the donors have it. The output is written
    whatever the verdict; `refit as donor` ends with exit status 3.
    """
    from bayeslat.counted import counted
    from bayeslat.evaluation.passes import passes_of
    from bayeslat.evaluation.transfer import judge_transfer
    from bayeslat.features.gpu_rows import gpu_rows
    from bayeslat.inference.rows.stage_rows import with_latency
    from bayeslat.inference.storage.posterior_file import check_posterior_path
    from bayeslat.posterior import load_posterior
    from bayeslat.report.transfer_tables import (
        show_transfer,
        transfer_record,
        transfer_warnings,
    )

    ensure_writable(check_posterior_path(output), *(traces or []), hardware)
    with told_at_once() as attempt:
        attempt(check_share, threshold, "--threshold")
        attempt(check_stack, stack)
    fitted = load_posterior(posterior)
    table = hardware_with(fitted.data.hardware, hardware)
    entry = table.resolve(gpu, fitted.spec.hardware_fields)
    frame, dropped = (
        read_valid(traces, fitted.spec, table, output)
        if traces and drop_invalid
        else (read_measurements(traces or []), None)  # calibrating tells all that is wrong at once
    )
    note_unknown_gpus(frame, table)
    note_misnamed_stages(frame, fitted.spec)
    if count is not None:
        frame = draw_configs(frame, fitted.spec, entry, table, count, seed)
    data = fitted.calibrate(frame, entry.key, stack=stack, hardware=table, seed=seed)
    note_unread_times(frame)
    with writing(output):
        data.with_history(command_line()).save(output)
    known = data.data
    changed = [
        name
        for key, name in known.targets
        if key == entry.key and known.targets[key, name] is not fitted.data.targets.get((key, name))
    ]
    transfers = [
        judge_transfer(
            known,
            known.hardware[entry.key],
            name,
            threshold=threshold,
            passes=passes_of(known, frame, entry, name, table, seed=seed),
            seed=seed,
        )
        for name in changed
    ]
    given = len(with_latency(fitted.spec, gpu_rows(frame, [entry.key], table)))
    again = given - known.calibration_rows(entry.key) + fitted.data.calibration_rows(entry.key)
    record = {**transfer_record(known, transfers, output), "known_rows": again, "seed": seed}
    if dropped:
        record["dropped"] = dropped.record()
    converged = fitted.diagnostics.converged
    print_result_of(posterior, converged, record, as_json, show_transfer)
    if again:
        note_warning(
            [f"the posterior holds {again} of the {counted(given, 'row')} already; they count once"]
        )
    note_warning(transfer_warnings(record))
    refit = [each for each in transfers if each.verdict == "refit as donor"]
    if refit:
        fail("; ".join(map(str, refit)), CHECK_FAILED)


@ends_well
def compare(
    traces: opt.Traces,
    model: opt.Model,
    target: transfer_opt.Target,
    output: opt.OutputFolder,
    stages: opt.Stages = None,
    donors: transfer_opt.Donors = None,
    source: transfer_opt.Source = None,
    methods: transfer_opt.Methods = None,
    counts: transfer_opt.Counts = "0,5,10,25,50,100",
    repetitions: transfer_opt.Repetitions = 5,
    test_configs: transfer_opt.TestConfigs = 100,
    engine: fit_opt.Engine = "laplace",
    hardware: opt.Hardware = None,
    drop_invalid: fit_opt.DropInvalid = False,
    jobs: opt.Jobs = None,
    engine_address: opt.EngineAddress = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Compare methods of transfer by calibration rows.

    Writes result files, figures and a page: error, intervals and cost of each method, and answers
    to the key questions. Finished parts are kept: the same command goes on where it stopped.
    """
    from bayeslat.evaluation.comparison import CompareOptions, method_names
    from bayeslat.evaluation.comparison import compare as run_comparison
    from bayeslat.evaluation.comparison.hierarchical import check_methods
    from bayeslat.features.hardware import load_hardware
    from bayeslat.fitting import fit
    from bayeslat.report.comparison_files import (
        COMPARISON_FILES,
        comparison_record,
        write_comparison,
    )
    from bayeslat.report.comparison_tables import show_comparison
    from bayeslat.report.progress import stage_bars

    for name in COMPARISON_FILES:
        ensure_writable(output / name)
    spec, table = choose_spec(model, stages), load_hardware(hardware)
    with told_at_once() as attempt:
        processes = attempt(choose_jobs, jobs, engine_address)
        carried = attempt(table.resolve, target, spec.hardware_fields)
        named = attempt(split_names, donors, "--donors") or []
        known = [attempt(table.resolve, name) for name in named]
        first = attempt(table.resolve, source) if source else None
        wanted = tuple(attempt(split_names, methods, "--methods") or method_names(spec))
        attempt(check_methods, wanted, spec)
        rows = attempt(split_counts, counts, "--counts")
    frame, dropped = read_rows(traces, spec, table, output, drop_invalid=drop_invalid)
    key = carried.key
    chosen = tuple(gpu.key for gpu in known)
    chosen = chosen or tuple(gpu for gpu in measured_gpus(frame, table) if gpu != key)
    options = CompareOptions(
        target=key,
        donors=chosen,
        source=first.key if first else next(iter(chosen), ""),
        methods=wanted,
        counts=rows,
        repetitions=repetitions,
        test_configs=test_configs,
        engine=engine,
        seed=seed,
    )
    with stage_bars(["repetitions"]) as move:
        comparison = run_comparison(
            spec,
            frame,
            options,
            hardware=table,
            folder=output / ".parts",
            jobs=processes,
            engine_address=engine_address,
            on_progress=lambda done, total: move("repetitions", done, total),
        )
    posterior = fit(spec, frame, gpus=chosen, hardware=table, engine=engine, seed=seed)
    estimator = posterior.calibrate(frame, key, hardware=table, seed=seed).data
    with writing(output):
        paths = write_comparison(comparison, estimator, output)
    record = {**comparison_record(comparison), "files": {k: str(v) for k, v in paths.items()}}
    if dropped:
        record["dropped"] = dropped.record()
    print_result(record, as_json, lambda: show_comparison(record))


@ends_well
def crossval(
    traces: opt.Traces,
    model: opt.Model,
    output: opt.Output,
    stages: opt.Stages = None,
    donors: transfer_opt.Donors = None,
    counts: transfer_opt.UsualCounts = None,
    repetitions: transfer_opt.Repetitions = 3,
    test_configs: transfer_opt.TestConfigs = 100,
    engine: fit_opt.Engine = "laplace",
    hardware: opt.Hardware = None,
    drop_invalid: fit_opt.DropInvalid = False,
    jobs: opt.Jobs = None,
    engine_address: opt.EngineAddress = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Hold GPUs out: the error to expect on the next one.

    Each donor is predicted from the others. Each is also left out of them, and each further GPU of
    the traces added, which tells what a donor is worth. Scores are written as a table.
    """
    from bayeslat.evaluation.crossval import cross_validate
    from bayeslat.features.hardware import load_hardware
    from bayeslat.report.crossval_tables import crossval_record, show_crossval
    from bayeslat.report.progress import stage_bars
    from bayeslat.traces import write_table
    from bayeslat.traces.write import check_table_path

    ensure_writable(check_table_path(output), *traces, model, hardware)
    spec, table = choose_spec(model, stages), load_hardware(hardware)
    with told_at_once() as attempt:
        processes = attempt(choose_jobs, jobs, engine_address)
        chosen = attempt(split_names, donors, "--donors") or []
        for name in chosen:
            attempt(table.resolve, name)
        rows = None if counts is None else attempt(split_counts, counts, "--counts")
    frame, dropped = read_rows(traces, spec, table, output, drop_invalid=drop_invalid)
    with stage_bars(["targets"]) as move:
        found = cross_validate(
            spec,
            frame,
            donors=chosen or None,
            counts=rows,
            splits=repetitions,
            test_configs=test_configs,
            hardware=table,
            engine=engine,
            seed=seed,
            jobs=processes,
            engine_address=engine_address,
            on_progress=lambda done, total: move("targets", done, total),
        )
    with writing(output):
        write_table(found.scores, output)
    record = crossval_record(found, output)
    if dropped:
        record["dropped"] = dropped.record()
    print_result(record, as_json, lambda: show_crossval(record))
