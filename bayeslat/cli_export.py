"""Commands that write files for other programs."""

from __future__ import annotations

import typer

from bayeslat.cli_input import hardware_with
from bayeslat.cli_options import common as opt
from bayeslat.cli_options import export as export_opt
from bayeslat.cli_output import ensure_writable
from bayeslat.cli_run import ends_well, print_result_of, writing
from bayeslat.cli_values import check_stack, read_alpha

__all__ = ["app"]

app = typer.Typer(help="Write files for other programs.", no_args_is_help=True)


@app.command(epilog="Example: bayeslat export bundle calibrated.nc --gpu l40s -o l40s/guard.bundle")
@ends_well
def bundle(
    posterior: opt.PosteriorFile,
    gpu: opt.Gpu,
    output: opt.Output,
    stack: opt.Stack = None,
    reader: export_opt.Reader = True,
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

    ensure_writable(output, posterior, hardware)
    check_stack(stack)
    fitted = load_posterior(posterior)
    table = hardware_with(fitted.data.hardware, hardware)
    entry = table.resolve(gpu, fitted.spec.hardware_fields)
    entry = fitted.data.hardware.get(entry.key, entry)
    with writing(output):
        made = write_bundle(fitted.data, entry, output, stack=stack, seed=seed, reader=reader)
    record = bundle_record(made, output, reader)
    print_result_of(posterior, fitted.diagnostics.converged, record, as_json, show_bundle)


@app.command(
    epilog="Example: bayeslat export blis servers.nc --gpu h100_sxm --model qwen3 --tp 2 "
    "--draws 20 -o blis/"
)
@ends_well
def blis(
    posterior: opt.PosteriorFile,
    gpu: opt.Gpu,
    output: opt.OutputFolder,
    model: export_opt.BlisModel,
    tp: export_opt.TensorParallel = 1,
    draws: export_opt.BlisDraws = 0,
    blis_version: export_opt.BlisVersion = "",
    alpha: export_opt.BlisAlpha = None,
    whole_prompts: export_opt.WholePrompts = False,
    between_steps: export_opt.BetweenSteps = None,
    hardware: opt.Hardware = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Write the coefficients of a server's step time for the simulator BLIS.

    The posterior is one of models/vllm.toml. The folder holds what BLIS loads, the command line to
    run it, a file of coefficients a draw, the posterior's spread, and the same dot product in Go;
    that of the queueing delay, too, where the posterior has it.
    """
    from bayeslat.export.blis import make_blis, write_blis
    from bayeslat.export.blis_between import time_between_us
    from bayeslat.export.blis_model import find_stack
    from bayeslat.features.admit import admit
    from bayeslat.posterior import load_posterior
    from bayeslat.report.blis_tables import blis_record, show_blis
    from bayeslat.traces import read_traces

    ensure_writable(output, posterior, between_steps, hardware, replaced=True)
    fitted = load_posterior(posterior)
    table = hardware_with(fitted.data.hardware, hardware)
    entry = table.resolve(gpu, fitted.spec.hardware_fields)
    entry = fitted.data.hardware.get(entry.key, entry)
    between_us = 0.0
    if between_steps is not None:
        traces = admit(read_traces(between_steps, check=False), fitted.spec, table)
        between_us = time_between_us(traces, entry.key, find_stack(fitted.data, entry, model))
    made = make_blis(
        fitted.data,
        entry,
        model,
        tensor_parallel=tp,
        draws=draws,
        blis_version=blis_version,
        alpha_us=read_alpha(alpha),
        whole_prompts=whole_prompts,
        between_us=between_us,
        seed=seed,
    )
    with writing(output):
        write_blis(made, output)
    record = blis_record(made, output)
    print_result_of(posterior, fitted.diagnostics.converged, record, as_json, show_blis)
