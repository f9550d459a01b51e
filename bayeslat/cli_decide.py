"""Commands that decide by a posterior: what to measure next."""

from __future__ import annotations

from bayeslat import cli_options as opt
from bayeslat.cli_input import check_budget, check_stack, hardware_with
from bayeslat.cli_run import ends_well, ensure_writable, note, print_result, writing

__all__ = ["suggest"]


@ends_well
def suggest(
    posterior: opt.PosteriorFile,
    candidates: opt.Candidates,
    gpu: opt.Gpu,
    count: opt.SuggestCount,
    output: opt.Output,
    objective: opt.Objective = "total",
    budget_ms: opt.SuggestBudget = None,
    cost: opt.Cost = "none",
    exclude: opt.Exclude = None,
    method: opt.Method = "share_weighted",
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

    ensure_writable(check_table_path(output))
    check_budget(budget_ms)
    check_stack(stack)
    fitted = load_posterior(posterior)
    table = hardware_with(fitted.data, hardware)
    key = table.resolve(gpu).key
    found = fitted.suggest(
        read_configs(*candidates, check=False),  # choosing tells all that is wrong at once
        key,
        count,
        objective=objective,
        budget_ms=budget_ms,
        cost=cost,
        exclude=None if exclude is None else read_configs(exclude, check=False),
        method=method,
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
        "seed": seed,
    }
    with writing(output):
        write_table(found.frame, output, about)
    record = suggestion_record(found, about, output)
    print_result(record, as_json, lambda: show_suggestion(record))
    if not fitted.diagnostics.converged:
        note(f"{posterior} did not converge; `bayeslat check {posterior}` says where")
