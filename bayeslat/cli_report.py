"""The command that puts all that there is to say of a GPU on a page."""

from __future__ import annotations

from bayeslat.cli_input import hardware_with
from bayeslat.cli_options import common as opt
from bayeslat.cli_options import decide as decide_opt
from bayeslat.cli_options import fit as fit_opt
from bayeslat.cli_options import report as report_opt
from bayeslat.cli_options import transfer as transfer_opt
from bayeslat.cli_output import ensure_writable
from bayeslat.cli_rows import note_absent_gpu, note_unknown_gpus, note_unread_times, read_rows
from bayeslat.cli_run import (
    command_line,
    ends_well,
    print_result_of,
    told_at_once,
    writing,
)
from bayeslat.cli_values import check_stack, choose_jobs, split_budgets, split_counts

__all__ = ["report"]


@ends_well
def report(
    posterior: opt.PosteriorFile,
    traces: report_opt.ReportTraces,
    gpu: opt.Gpu,
    output: opt.OutputFolder,
    budget_ms: decide_opt.GuardBudget = None,
    stage_budget: report_opt.ReportStageBudget = None,
    max_risk: decide_opt.MaxRisk = 0.05,
    of: opt.Of = "run",
    false_accepts: decide_opt.FalseAccepts = 0.01,
    confidence: decide_opt.Confidence = 0.95,
    count: report_opt.NextCount = 10,
    counts: transfer_opt.Counts = "0,5,10,25,50",
    repetitions: transfer_opt.Repetitions = 5,
    test_configs: transfer_opt.TestConfigs = 100,
    stack: opt.Stack = None,
    hardware: opt.Hardware = None,
    drop_invalid: fit_opt.DropInvalid = False,
    jobs: opt.FewJobs = None,
    engine_address: opt.EngineAddress = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Write a page about a GPU: trust, errors, what to refuse.

    Rows of the GPU that calibrated nothing judge it. It is also calibrated anew from few rows,
    again and again: the error by number of rows, and the guardrail beside simpler rules.
    """
    from bayeslat.decisions.guard import Budget, make_budgets
    from bayeslat.evaluation.assessment import assess
    from bayeslat.evaluation.assessment_options import AssessmentOptions
    from bayeslat.posterior import load_posterior
    from bayeslat.report.assessment_drawings import draw_assessment
    from bayeslat.report.assessment_files import ASSESSMENT_FILES, write_assessment
    from bayeslat.report.assessment_record import assessment_record
    from bayeslat.report.assessment_tables import show_assessment
    from bayeslat.report.progress import stage_bars
    from bayeslat.traces.provenance import trace_files

    for name in ASSESSMENT_FILES:
        ensure_writable(output / name)
    stage_budgets, problems = split_budgets(stage_budget or [])
    budgets = make_budgets(budget_ms, stage_budgets)
    if len(budgets) != 1 and not problems:
        given = ", ".join(map(str, budgets)) or "none is given"
        problems = [
            f"a report is about one budget ({given}); give --budget-ms of the total or "
            "--stage-budget, and write another report for another budget"
        ]
    with told_at_once(problems) as attempt:
        attempt(check_stack, stack)
        processes = attempt(choose_jobs, jobs, engine_address, default=1)
        options = AssessmentOptions(
            budget=budgets[0] if budgets else Budget(1.0),  # that none is given is told
            max_risk=max_risk,
            of=of,
            false_accepts=false_accepts,
            confidence=confidence,
            suggested=count,
            counts=attempt(split_counts, counts, "--counts") or (0,),
            repetitions=repetitions,
            test_configs=test_configs,
            seed=seed,
        )
        attempt(options.check)
    fitted = load_posterior(posterior)
    table = hardware_with(fitted.data.hardware, hardware)
    entry = table.resolve(gpu, fitted.spec.hardware_fields)
    frame, dropped = read_rows(traces, fitted.spec, table, output, drop_invalid=drop_invalid)
    note_unknown_gpus(frame, table)
    note_absent_gpu(frame, entry.key, table)
    with stage_bars(["repetitions"]) as move:
        found = assess(
            fitted.data,
            frame,
            entry,
            options,
            stack=stack,
            hardware=table,
            jobs=processes,
            engine_address=engine_address,
            on_progress=lambda done, total: move("repetitions", done, total),
        )
    note_unread_times(frame)
    history = fitted.data.attrs.get("history", [])
    record = assessment_record(found, trace_files(frame), [*history, command_line()])
    if dropped:
        record["dropped"] = dropped.record()
    with writing(output):
        paths = write_assessment(record, draw_assessment(found), output)
    record["files"] = {name: str(path) for name, path in paths.items()}
    print_result_of(posterior, fitted.diagnostics.converged, record, as_json, show_assessment)
