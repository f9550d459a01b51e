"""Commands that carry a posterior over to another GPU."""

from __future__ import annotations

from bayeslat import cli_options as opt
from bayeslat.cli_input import check_share, check_stack, hardware_with
from bayeslat.cli_run import CHECK_FAILED, ends_well, ensure_writable, fail, print_result, writing

__all__ = ["calibrate"]


@ends_well
def calibrate(
    posterior: opt.PosteriorFile,
    gpu: opt.Gpu,
    output: opt.Output,
    traces: opt.CalibrationTraces = None,
    stack: opt.Stack = None,
    threshold: opt.Threshold = 0.10,
    hardware: opt.Hardware = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Add a GPU from its measurements, or update one, and say whether transfer can be trusted.

    Without traces, the GPU is as its data sheet and the donors have it. The output is written
    whatever the verdict; `refit as donor` ends with exit status 3.
    """
    import pandas as pd

    from bayeslat.evaluation.transfer import judge_transfer
    from bayeslat.inference.posterior_file import check_posterior_path
    from bayeslat.posterior import load_posterior
    from bayeslat.report.transfer_tables import show_transfer, transfer_record
    from bayeslat.traces import read_traces

    ensure_writable(check_posterior_path(output))
    check_share(threshold, "--threshold")
    check_stack(stack)
    fitted = load_posterior(posterior)
    table = hardware_with(fitted.data, hardware)
    entry = table.resolve(gpu)
    # Calibrating tells all that is wrong at once.
    frame = read_traces(*traces, check=False) if traces else pd.DataFrame()
    data = fitted.calibrate(frame, entry.key, stack=stack, hardware=table, seed=seed)
    with writing(output):
        data.save(output)
    known = data.data
    changed = [
        name
        for key, name in known.targets
        if key == entry.key and known.targets[key, name] is not fitted.data.targets.get((key, name))
    ]
    transfers = [
        judge_transfer(known, known.hardware[entry.key], name, threshold=threshold, seed=seed)
        for name in changed
    ]
    record = transfer_record(known, transfers, output)
    print_result(record, as_json, lambda: show_transfer(record))
    refit = [each for each in transfers if each.verdict == "refit as donor"]
    if refit:
        fail("; ".join(map(str, refit)), CHECK_FAILED)
