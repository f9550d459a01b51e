"""The command that predicts latency."""

from __future__ import annotations

from bayeslat.cli_input import hardware_with
from bayeslat.cli_options import common as opt
from bayeslat.cli_output import ensure_writable
from bayeslat.cli_run import ends_well, print_result_of, told_at_once, writing
from bayeslat.cli_values import check_budget, check_stack

__all__ = ["predict"]


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
    with told_at_once() as attempt:
        attempt(check_budget, budget_ms)
        attempt(check_stack, stack)
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
