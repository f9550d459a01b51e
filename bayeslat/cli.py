"""The command line: one short function a command. Heavy libraries load when a command runs."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from bayeslat import (
    cli_collect,
    cli_decide,
    cli_drift,
    cli_export,
    cli_fit,
    cli_import,
    cli_report,
    cli_scale,
    cli_transfer,
)
from bayeslat.cli_input import choose_configs, hardware_with, read_parameters
from bayeslat.cli_options import common as opt
from bayeslat.cli_options import fit as fit_opt
from bayeslat.cli_options import scale as scale_opt
from bayeslat.cli_options import simulate as simulate_opt
from bayeslat.cli_output import ensure_writable
from bayeslat.cli_rows import note_unread_times, read_rows
from bayeslat.cli_run import (
    BAD_INPUT,
    CHECK_FAILED,
    INTERRUPTED,
    discard_output,
    ends_well,
    fail,
    note,
    print_result,
    print_result_of,
    writing,
)
from bayeslat.cli_values import check_budget, check_stack, choose_jobs, split_names
from bayeslat.errors import InputError

__all__ = ["app", "main"]

app = typer.Typer(
    name="bayeslat",
    help="How long a language or vision-language model will take on a GPU, and how sure that is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(cli_collect.app, name="collect")
app.add_typer(cli_export.app, name="export")


def main() -> None:
    """Run the command line of this process."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A name that the terminal cannot show is no reason to lose a result.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except OSError as error:  # of `--help` and `--version`; commands tell their own
        note(f"error: standard output: {error.strerror or error}")
        discard_output()
        sys.exit(BAD_INPUT)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            # Python remembers an interrupt of code that is compiled from a text, as libraries do
            # when they are imported, and would end by the signal; another text makes it forget.
            exec("")  # noqa: S102
        raise


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"bayeslat {version('bayeslat')}", flush=True)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


app.command(epilog="Example: bayeslat fit traces/*.parquet -m models/vlm.toml -o posterior.nc")(
    cli_fit.fit
)


@app.command(epilog="Example: bayeslat check posterior.nc held_out.parquet")
@ends_well
def check(
    posterior: opt.PosteriorFile,
    traces: fit_opt.CheckTraces = None,
    suggest_features: fit_opt.SuggestFeatures = False,
    hardware: opt.Hardware = None,
    drop_invalid: scale_opt.LeaveOut = False,
    jobs: opt.FewJobs = None,
    engine_address: opt.EngineAddress = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Check convergence, and predictions against traces.

    A posterior that did not converge ends with exit status 3. --suggest-features ranks what the
    spec lacks, by all traces of the fit: powers, products, unused knobs, overlaps and tiles.
    """
    from bayeslat.evaluation.checks import check_posterior
    from bayeslat.evaluation.missing_features import find_missing_features
    from bayeslat.inference.posterior_file import read_posterior
    from bayeslat.report.check_tables import check_record, show_check
    from bayeslat.report.progress import stage_bars

    processes = choose_jobs(jobs, engine_address, default=1)
    data = read_posterior(posterior)
    table = hardware_with(data.hardware, hardware)
    frame, dropped = None, None
    if traces:
        frame, dropped = read_rows(traces, data.spec, table, None, drop_invalid=drop_invalid)
    if suggest_features and frame is None:
        raise InputError("--suggest-features needs the traces that were fitted; name them")
    found = check_posterior(data, frame, hardware=table, seed=seed)
    if frame is not None:
        note_unread_times(frame)
    missing = None
    if suggest_features and frame is not None:
        with stage_bars(["features"]) as move:
            missing = find_missing_features(
                data,
                frame,
                hardware=table,
                seed=seed,
                jobs=processes,
                engine_address=engine_address,
                on_progress=lambda done, total: move("features", done, total),
            )
    record = check_record(data, found, posterior, missing)
    if dropped:
        record["dropped"] = dropped.record()
    print_result(record, as_json, lambda: show_check(record))
    for problem in found.problems:
        note(f"not converged: {problem}")
    if found.problems:
        fail(f"{posterior} did not converge; fit again", CHECK_FAILED)


app.command(epilog="Example: bayeslat drift posterior.nc last_week.parquet -o drift.parquet")(
    cli_drift.drift
)
app.command(
    epilog="Example: bayeslat calibrate posterior.nc l40s.parquet --gpu l40s -o calibrated.nc"
)(cli_transfer.calibrate)
app.command(
    epilog="Example: bayeslat compare traces/*.parquet -m models/vlm.toml --target l40s -o out/"
)(cli_transfer.compare)
app.command(
    epilog="Example: bayeslat crossval traces/*.parquet -m models/vlm.toml -o crossval.parquet"
)(cli_transfer.crossval)
app.command(
    epilog="Example: bayeslat compress fleet/*.parquet -m models/vlm.toml -o statistics.nc"
)(cli_scale.compress)
app.command(epilog="Example: bayeslat update posterior.nc today.parquet -o updated.nc")(
    cli_scale.update
)
app.command(
    epilog="Example: bayeslat suggest calibrated.nc configs.csv --gpu l40s -n 10 -o next.parquet"
)(cli_decide.suggest)
app.command(
    epilog="Example: bayeslat guard calibrated.nc configs.csv --gpu l40s --budget-ms 500 -o g.csv"
)(cli_decide.guard)
app.command(
    epilog="Example: bayeslat report calibrated.nc traces/ --gpu l40s --budget-ms 500 -o report/"
)(cli_report.report)


app.command(
    "import",
    epilog="Example: bayeslat import vllm_bench results/*.json --gpu h100_sxm -o h100.parquet",
)(cli_import.import_files)


@app.command(
    epilog="Example: bayeslat predict posterior.nc configs.csv --gpu h100_sxm -o out.parquet"
)
@ends_well
def predict(
    posterior: opt.PosteriorFile,
    configs: opt.Configs,
    gpu: opt.Gpu,
    output: opt.Output,
    budget_ms: opt.Budget = None,
    stack: opt.Stack = None,
    of: opt.Of = "run",
    hardware: opt.Hardware = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Predict the latency of configurations on a GPU.

    A GPU that was not fitted is predicted from its data sheet. Parquet says in its metadata, under
    bayeslat_result, which GPU, stack, --of and budget the predictions are for.
    """
    from bayeslat.decisions.evidence import stack_used
    from bayeslat.posterior import load_posterior
    from bayeslat.report.prediction_tables import prediction_record, show_prediction
    from bayeslat.traces import read_configs, write_table
    from bayeslat.traces.write import check_table_path

    ensure_writable(check_table_path(output), posterior, hardware)
    check_budget(budget_ms)
    check_stack(stack)
    fitted = load_posterior(posterior)
    table = hardware_with(fitted.data.hardware, hardware)
    key = table.resolve(gpu, fitted.spec.hardware_fields).key
    given = read_configs(*configs, check=False)  # predicting tells all that is wrong at once
    prediction = fitted.predict(given, key, stack=stack, of=of, seed=seed, hardware=table)
    frame = prediction.frame
    if budget_ms is not None:
        frame = frame.assign(p_exceed=prediction.p_exceed(budget_ms))
    used = stack_used(prediction.evidence, stack)
    about = {"gpu": key, "stack": used, "of": of, "budget_ms": budget_ms, "seed": seed}
    with writing(output):
        write_table(frame, output, about)
    record = prediction_record(fitted.data, frame, about, prediction.evidence, output, table)
    print_result_of(posterior, fitted.diagnostics.converged, record, as_json, show_prediction)


@app.command(
    epilog="Example: bayeslat simulate -m vlm.toml --gpus l40s --configs c.csv -o sim.parquet"
)
@ends_well
def simulate(
    model: opt.Model,
    gpus: simulate_opt.SimulatedGpus,
    output: opt.Output,
    configs: simulate_opt.ConfigsFile = None,
    count: simulate_opt.Count = None,
    knob: opt.Knobs = None,
    stacks: simulate_opt.Stacks = None,
    repeats: simulate_opt.Repeats = 1,
    parameters: simulate_opt.Parameters = None,
    hardware: opt.Hardware = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Draw a trace from known parameters.

    Configurations are those of --configs, or -n of them from --knob ranges. The parameters are
    written beside the trace, as OUTPUT.parameters.json: sim.csv.parameters.json for sim.csv.
    """
    from bayeslat.atomic import atomic_path
    from bayeslat.features.hardware import load_hardware
    from bayeslat.features.spec import load_spec
    from bayeslat.model.simulate import draw_parameters
    from bayeslat.model.simulate import simulate as draw_trace
    from bayeslat.report.simulation_tables import show_simulation, simulation_record
    from bayeslat.traces import write_traces
    from bayeslat.traces.write import check_table_path

    ensure_writable(check_table_path(output), model, configs, parameters, hardware)
    names, versions = split_names(gpus, "--gpus"), split_names(stacks, "--stacks")
    spec, table = load_spec(model), load_hardware(hardware)
    frame = choose_configs(spec, configs, count, knob or [], seed)
    truth = (
        read_parameters(parameters)
        if parameters
        else draw_parameters(spec, names, configs=frame, stacks=versions, seed=seed, hardware=table)
    )
    drawn = draw_trace(
        spec,
        frame,
        names,
        stacks=versions,
        repeats=repeats,
        parameters=truth,
        seed=seed,
        hardware=table,
    )
    beside = output.with_name(f"{output.name}.parameters.json")
    with writing(beside), atomic_path(beside) as temporary:
        temporary.write_text(truth.to_json(), encoding="utf-8")
    with writing(output):
        write_traces(drawn, output)
    record = {**simulation_record(spec, drawn, output, beside), "seed": seed}
    print_result(record, as_json, lambda: show_simulation(record))
