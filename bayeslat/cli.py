"""The command line: one short function a command. Heavy libraries load when a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayeslat import cli_options as opt
from bayeslat.cli_run import CHECK_FAILED, ends_well, ensure_writable, fail, note, print_json

if TYPE_CHECKING:
    import pandas as pd

    from bayeslat.features.hardware import HardwareTable
    from bayeslat.features.spec import Spec

__all__ = ["app", "main"]

app = typer.Typer(
    name="bayeslat",
    help="How long a language or vision-language model will take on a GPU, and how sure that is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line of this process."""
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"bayeslat {version('bayeslat')}")
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


@app.command()
@ends_well
def fit(
    traces: opt.Traces,
    model: opt.Model,
    output: opt.Output,
    gpus: opt.Gpus = None,
    engine: Annotated[
        opt.EngineName, typer.Option(help="Sample, or approximate in seconds.")
    ] = "nuts",
    hardware: opt.Hardware = None,
    drop_invalid: opt.DropInvalid = False,
    force: opt.Force = False,
    chains: opt.Chains = 4,
    draws: opt.Draws = 800,
    tune: opt.Tune = 200,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Fit every stage on the named GPUs to traces, and save the posterior."""
    from bayeslat.features.hardware import load_hardware
    from bayeslat.features.spec import load_spec
    from bayeslat.inference.posterior_file import check_posterior_path
    from bayeslat.posterior import fit as fit_traces
    from bayeslat.report.progress import stage_bars
    from bayeslat.report.tables import fit_record, show_fit

    ensure_writable(check_posterior_path(output))
    spec, table = load_spec(model), load_hardware(hardware)
    frame = _read(traces, spec, table, output if drop_invalid else None)
    with stage_bars(tuple(spec.stages)) as on_progress:
        posterior = fit_traces(
            spec,
            frame,
            gpus=gpus.split(",") if gpus else None,
            hardware=table,
            engine=engine,
            seed=seed,
            chains=chains,
            draws=draws,
            tune=tune,
            on_progress=on_progress,
        )
    saved = posterior.diagnostics.converged or force
    if saved:
        posterior.save(output)
    record = fit_record(posterior.data, output if saved else None)
    print_json(record) if as_json else show_fit(posterior.data, record)
    for problem in posterior.diagnostics.problems:
        note(f"not converged: {problem}")
    if not saved:
        fail(f"{output} was not written; --force saves it all the same", CHECK_FAILED)


@app.command()
@ends_well
def check(
    posterior: opt.PosteriorFile,
    traces: Annotated[
        list[str] | None,
        typer.Argument(help="Traces to predict and to compare with.", metavar="[TRACES]"),
    ] = None,
    hardware: opt.Hardware = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Check convergence, and with traces how predictions compare with measurements."""
    from bayeslat.evaluation.checks import check_posterior
    from bayeslat.features.hardware import load_hardware
    from bayeslat.inference.posterior_file import read_posterior
    from bayeslat.report.tables import check_record, show_check
    from bayeslat.traces import read_traces

    data = read_posterior(posterior)
    frame = read_traces(*traces, check=False) if traces else None
    found = check_posterior(data, frame, hardware=load_hardware(hardware), seed=seed)
    record = check_record(data, found)
    print_json(record) if as_json else show_check(data, found)
    if not data.diagnostics.converged:
        fail(f"{posterior} did not converge; see above", CHECK_FAILED)


@app.command()
@ends_well
def predict(
    posterior: opt.PosteriorFile,
    configs: opt.Configs,
    gpu: opt.Gpu,
    output: opt.Output,
    budget_ms: opt.Budget = None,
    stack: opt.Stack = None,
    of: Annotated[
        opt.OfName,
        typer.Option(help="One further measured run, with its noise, or the run-to-run median."),
    ] = "run",
    hardware: opt.Hardware = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Predict the latency of configurations on a GPU, measured or known by its data sheet."""
    from bayeslat.features.hardware import load_hardware
    from bayeslat.posterior import load_posterior
    from bayeslat.report.tables import prediction_record, show_prediction
    from bayeslat.traces import read_configs, write_table
    from bayeslat.traces.write import check_table_path

    ensure_writable(check_table_path(output))
    fitted = load_posterior(posterior)
    prediction = fitted.predict(
        read_configs(configs),
        gpu,
        stack=stack,
        of=of,
        seed=seed,
        hardware=load_hardware(hardware) if hardware else None,
    )
    frame = prediction.frame
    if budget_ms is not None:
        frame = frame.assign(p_exceed=prediction.p_exceed(budget_ms))
    write_table(frame, output)
    record = prediction_record(fitted.data, frame, gpu, output)
    print_json(record) if as_json else show_prediction(record)


@app.command()
@ends_well
def simulate(
    model: opt.Model,
    gpus: Annotated[str, typer.Option(help="GPUs, separated by commas.", metavar="A,B,...")],
    output: opt.Output,
    configs: Annotated[
        str | None, typer.Option(help="Configurations to simulate, in a file as a trace.")
    ] = None,
    count: Annotated[
        int | None, typer.Option("-n", help="Configurations to draw from the --knob ranges.", min=1)
    ] = None,
    knob: Annotated[
        list[str] | None,
        typer.Option(
            help="Range of a knob, once for each: name=low:high, name=low:high:log, name=a,b,c."
        ),
    ] = None,
    stacks: Annotated[str | None, typer.Option(help="Stacks, separated by commas.")] = None,
    repeats: Annotated[int, typer.Option(help="Measurements of each configuration.", min=1)] = 1,
    parameters: Annotated[
        Path | None, typer.Option(help="True parameters; drawn from the priors by default.")
    ] = None,
    hardware: opt.Hardware = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Draw a trace from known parameters, which are written beside it."""
    from bayeslat.atomic import atomic_path
    from bayeslat.features.hardware import load_hardware
    from bayeslat.features.spec import load_spec
    from bayeslat.model.simulate import draw_parameters
    from bayeslat.model.simulate import simulate as draw_trace
    from bayeslat.model.simulation_parameters import SimulationParameters
    from bayeslat.traces import write_traces
    from bayeslat.traces.write import check_table_path

    ensure_writable(check_table_path(output))
    spec, table = load_spec(model), load_hardware(hardware)
    frame = _configs(spec, configs, count, knob or [], seed)
    names, versions = gpus.split(","), tuple(stacks.split(",")) if stacks else ()
    truth = (
        SimulationParameters.from_json(parameters.read_text(encoding="utf-8"))
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
    write_traces(drawn, output)
    beside = output.with_name(f"{output.stem}.parameters.json")
    with atomic_path(beside) as temporary:
        temporary.write_text(truth.to_json(), encoding="utf-8")
    if as_json:
        print_json({"trace": output, "parameters": beside, "rows": len(drawn)})
    else:
        print(f"{output}: {len(drawn)} simulated rows; true parameters in {beside}")


def _read(
    sources: list[str], spec: Spec, hardware: HardwareTable, beside: Path | None
) -> pd.DataFrame:
    """Read traces; with a file to stand beside, leave out the rows that break a rule.

    Rows are not checked by the rules of the table alone, so that the fit can tell all at once.
    """
    from bayeslat.features.admit import admit_valid
    from bayeslat.traces import read_traces, write_table

    frame = read_traces(*sources, check=False)
    if beside is None:
        return frame
    kept, dropped = admit_valid(frame, spec, hardware)
    if len(dropped):
        path = beside.with_name(f"{beside.stem}.dropped.parquet")
        write_table(dropped.astype(dict.fromkeys(_mixed(dropped), str)), path)
        note(f"{len(dropped)} of {len(kept) + len(dropped)} rows break a rule; they are in {path}")
    return kept


def _mixed(frame: pd.DataFrame) -> list[str]:
    """Columns whose cells are of several types, as those of rows that break a rule may be."""
    return [str(name) for name in frame if frame[name].dtype == object]


def _configs(
    spec: Spec, file: str | None, count: int | None, knobs: list[str], seed: int
) -> pd.DataFrame:
    """Read configurations, or draw them from ranges of the knobs."""
    from bayeslat.errors import InputError
    from bayeslat.model.knob_range import parse_knob, sample_configs
    from bayeslat.traces import read_configs

    if file is not None and count is None and not knobs:
        return read_configs(file)
    if file is not None or count is None:
        raise InputError("give either --configs FILE, or -n N with a --knob range for each knob")
    ranges = [parse_knob(text) for text in knobs]
    missing = [name for name in spec.knobs if name not in {each.name for each in ranges}]
    if missing:
        raise InputError(
            f"no range of knob {', '.join(missing)}; add --knob NAME=LOW:HIGH for each"
        )
    return sample_configs(ranges, count, seed)
