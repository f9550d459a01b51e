"""The command that checks a posterior."""

from __future__ import annotations

from bayeslat.cli_input import hardware_with
from bayeslat.cli_options import common as opt
from bayeslat.cli_options import fit as fit_opt
from bayeslat.cli_options import scale as scale_opt
from bayeslat.cli_rows import note_unread_times, read_rows
from bayeslat.cli_run import CHECK_FAILED, ends_well, fail, note, print_result
from bayeslat.cli_values import choose_jobs
from bayeslat.errors import InputError

__all__ = ["check"]


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
    from bayeslat.inference.storage.posterior_file import read_posterior
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
