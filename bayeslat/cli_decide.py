"""Commands that decide by a posterior: what to measure next, and what to refuse."""

from __future__ import annotations

from typing import Any

from bayeslat.cli_input import hardware_with
from bayeslat.cli_options import common as opt
from bayeslat.cli_options import decide as decide_opt
from bayeslat.cli_output import ensure_writable
from bayeslat.cli_rows import note_misnamed_stages, note_unknown_gpus
from bayeslat.cli_run import ends_well, naming, print_result_of, told_at_once, writing
from bayeslat.cli_values import check_budget, check_stack, split_budgets

__all__ = ["guard", "suggest"]


@ends_well
def suggest(
    posterior: opt.PosteriorFile,
    candidates: decide_opt.Candidates,
    gpu: opt.Gpu,
    count: decide_opt.SuggestCount,
    output: opt.Output,
    objective: decide_opt.Objective = "total",
    budget_ms: decide_opt.SuggestBudget = None,
    cost: decide_opt.Cost = "none",
    exclude: decide_opt.Exclude = None,
    method: decide_opt.Method = "share_weighted",
    strata: decide_opt.Strata = None,
    stack: opt.Stack = None,
    hardware: opt.Hardware = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Choose the configurations to measure next, best first.

    Writes the chosen rows with all their columns, and rank, gain and cost_ms. Prints the error to
    expect after each, and from which on more measurements stop paying.
    """
    from bayeslat.posterior import load_posterior
    from bayeslat.report.suggestion_tables import show_suggestion, suggestion_record
    from bayeslat.traces import read_configs, write_table
    from bayeslat.traces.write import check_table_path

    ensure_writable(check_table_path(output), posterior, *candidates, exclude, hardware)
    with told_at_once() as attempt:
        attempt(check_budget, budget_ms)
        attempt(check_stack, stack)
    fitted = load_posterior(posterior)
    table = hardware_with(fitted.data.hardware, hardware)
    key = table.resolve(gpu, fitted.spec.hardware_fields).key
    found = fitted.suggest(
        read_configs(*candidates, check=False),  # choosing tells all that is wrong at once
        key,
        count,
        objective=objective,
        budget_ms=budget_ms,
        cost=cost,
        exclude=None if exclude is None else read_configs(exclude, check=False),
        method=method,
        strata=strata,
        stack=stack,
        seed=seed,
        hardware=table,
    )
    about = {
        "gpu": key,
        "stack": found.stack,
        "objective": objective,
        "budget_ms": budget_ms,
        "cost": cost,
        "method": method,
        "strata": strata,
        "seed": seed,
    }
    with writing(output):
        write_table(found.frame, output, about)
    record = suggestion_record(found, about, output, table)
    print_result_of(posterior, fitted.diagnostics.converged, record, as_json, show_suggestion)


@ends_well
def guard(
    posterior: opt.PosteriorFile,
    configs: opt.Configs,
    gpu: opt.Gpu,
    output: opt.Output,
    budget_ms: decide_opt.GuardBudget = None,
    stage_budget: decide_opt.StageBudgets = None,
    max_risk: decide_opt.MaxRisk = 0.05,
    stack: opt.Stack = None,
    of: opt.Of = "run",
    held_out: decide_opt.HeldOut = None,
    false_accepts: decide_opt.FalseAccepts = 0.01,
    confidence: decide_opt.Confidence = 0.95,
    hardware: opt.Hardware = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Accept, reject, or ask to measure configurations.

    Adds p_exceed, its range over the posterior (p_exceed_low, p_exceed_high), decision, reason, and
    what leaves the range of the fit (left_in).
    Measurements that calibrated nothing (--held-out) bound the false accepts, whatever the model.
    """
    from bayeslat.decisions.evidence import stack_used
    from bayeslat.evaluation.guardrail.held_out import control_guard
    from bayeslat.evaluation.guardrail.risk_control import limit_problems
    from bayeslat.posterior import load_posterior
    from bayeslat.report.guard_tables import guard_record, show_guard
    from bayeslat.traces import read_configs, read_traces, write_table
    from bayeslat.traces.write import check_table_path

    ensure_writable(check_table_path(output), posterior, *(held_out or []), hardware)
    stage_budgets, problems = split_budgets(stage_budget or [])
    fitted = load_posterior(posterior)
    table = hardware_with(fitted.data.hardware, hardware)
    key = table.resolve(gpu, fitted.spec.hardware_fields).key
    with told_at_once([*problems, *limit_problems(false_accepts, confidence)]) as attempt:
        rule = attempt(
            fitted.guard,
            key,
            budget_ms,
            max_risk=max_risk,
            stage_budgets_ms=stage_budgets,
            stack=stack,
            of=of,
            seed=seed,
            hardware=table,
        )
    given = read_configs(*configs, check=False)  # predicting tells all that is wrong at once
    prediction, frame = rule.predict_and_decide(given)
    control = None
    if held_out:
        measured = read_traces(*held_out, check=False)
        note_unknown_gpus(measured, table)
        note_misnamed_stages(measured, fitted.spec)
        with naming(f"--held-out {' '.join(held_out)}"):
            control = control_guard(
                rule, measured, false_accepts=false_accepts, confidence=confidence, hardware=table
            )
    about: dict[str, Any] = {
        "gpu": key,
        "stack": stack_used(prediction.evidence, stack),
        "of": of,
        "budgets_ms": {str(budget): budget.ms for budget in rule.budgets},
        "max_risk": max_risk,
        "seed": seed,
    }
    with writing(output):
        write_table(frame, output, about)
    record = guard_record(fitted.spec, frame, about, output, control, hardware=table)
    print_result_of(posterior, fitted.diagnostics.converged, record, as_json, show_guard)
