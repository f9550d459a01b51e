"""Commands that write files for other programs."""

from __future__ import annotations

import typer

from bayeslat import cli_options as opt
from bayeslat.cli_input import check_stack, hardware_with
from bayeslat.cli_run import ends_well, ensure_writable, note_unconverged, print_result, writing

__all__ = ["app"]

app = typer.Typer(help="Write files for other programs.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `bundle` a subcommand while it is the only one."""


@app.command(epilog="Example: bayeslat export bundle calibrated.nc --gpu l40s -o l40s/guard.bundle")
@ends_well
def bundle(
    posterior: opt.PosteriorFile,
    gpu: opt.Gpu,
    output: opt.Output,
    stack: opt.Stack = None,
    reader: opt.Reader = True,
    hardware: opt.Hardware = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Write the guardrail of a GPU into one file, for schedulers.

    Beside it stands guard_reader.py, which decides from the file with NumPy alone.
    """
    from bayeslat.export import write_bundle
    from bayeslat.posterior import load_posterior
    from bayeslat.report.bundle_tables import bundle_record, show_bundle

    ensure_writable(output)
    check_stack(stack)
    fitted = load_posterior(posterior)
    table = hardware_with(fitted.data, hardware)
    entry = table.resolve(gpu)
    entry = fitted.data.hardware.get(entry.key, entry)
    with writing(output):
        made = write_bundle(fitted.data, entry, output, stack=stack, seed=seed, reader=reader)
    record = bundle_record(made, output, reader)
    print_result(record, as_json, lambda: show_bundle(record))
    note_unconverged(posterior, fitted.diagnostics.converged)
