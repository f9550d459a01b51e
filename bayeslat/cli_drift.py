"""The command that compares new rows with a posterior."""

from __future__ import annotations

from bayeslat.cli_input import hardware_with
from bayeslat.cli_options import common as opt
from bayeslat.cli_options import drift as drift_opt
from bayeslat.cli_options import fit as fit_opt
from bayeslat.cli_output import ensure_writable
from bayeslat.cli_rows import read_rows
from bayeslat.cli_run import (
    CHECK_FAILED,
    ends_well,
    fail,
    print_result_of,
    told_at_once,
    writing,
)
from bayeslat.cli_values import check_stack

__all__ = ["drift"]


@ends_well
def drift(
    posterior: opt.PosteriorFile,
    traces: drift_opt.DriftTraces,
    output: opt.Output,
    gpu: drift_opt.DriftGpu = None,
    stack: drift_opt.DriftStack = None,
    alarm_rate: drift_opt.AlarmRate = 0.01,
    allowance: drift_opt.Allowance = 0.1,
    hardware: opt.Hardware = None,
    drop_invalid: fit_opt.DropInvalid = False,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Tell whether new rows still follow the fit, and what moved.

    Each GPU, stack and stage is compared with rows that its posterior simulates at the same
    configurations. A drift ends with exit status 3; while nothing has changed, a call does so
    with a probability of --alarm-rate at most.
    """
    from bayeslat.evaluation.drift.limits import limit_problems
    from bayeslat.posterior import load_posterior
    from bayeslat.report.drift_tables import drift_record, show_drift
    from bayeslat.report.progress import stage_bars
    from bayeslat.traces import write_table
    from bayeslat.traces.write import check_table_path

    ensure_writable(check_table_path(output), posterior, *traces, hardware)
    with told_at_once(limit_problems(alarm_rate, allowance)) as attempt:
        attempt(check_stack, stack)
    fitted = load_posterior(posterior)
    table = hardware_with(fitted.data.hardware, hardware)
    key = table.resolve(gpu, fitted.spec.hardware_fields).key if gpu else None
    frame, dropped = read_rows(traces, fitted.spec, table, output, drop_invalid=drop_invalid)
    with stage_bars(["stages"]) as move:
        found = fitted.find_drift(
            frame,
            key,
            stack=stack,
            alarm_rate=alarm_rate,
            allowance=allowance,
            hardware=table,
            seed=seed,
            on_progress=lambda done, total: move("stages", done, total),
        )
    about = {
        "gpu": key,
        "stack": stack,
        "alarm_rate": alarm_rate,
        "allowance": allowance,
        "seed": seed,
    }
    with writing(output):
        write_table(found.frame, output, about)
    record = {**about, **drift_record(found, output)}
    if dropped:
        record["dropped"] = dropped.record()
    print_result_of(posterior, fitted.diagnostics.converged, record, as_json, show_drift)
    if found.drifted:
        named = "; ".join(" ".join(filter(None, (d.gpu, d.stack, d.stage))) for d in found.drifted)
        fail(f"drift since the fit: {named}", CHECK_FAILED)
