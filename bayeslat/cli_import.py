"""`bayeslat import`: traces from files of other tools."""

from __future__ import annotations

from typing import Annotated

import typer

from bayeslat.cli_options import common as opt
from bayeslat.cli_options import convert as convert_opt
from bayeslat.cli_output import ensure_writable
from bayeslat.cli_run import ends_well, note, note_warning, print_result, writing

__all__ = ["import_files"]


def _print_formats(wanted: bool) -> None:
    """Print what every importer reads, and what its latencies mean."""
    if wanted:
        from bayeslat.report.import_tables import show_formats
        from bayeslat.traces.importers.registry import all_importers

        print_result({}, False, lambda: show_formats(all_importers()))
        raise typer.Exit


@ends_well
def import_files(
    source_format: convert_opt.ImportFormat,
    files: convert_opt.ImportFiles,
    output: opt.Output,
    gpu: convert_opt.ImportGpu = None,
    stack: convert_opt.ImportStack = None,
    served_model: convert_opt.ServedModel = None,
    constants: convert_opt.Constants = None,
    list_formats: Annotated[
        bool,
        typer.Option(
            "--list",
            help="Print the formats and what their latencies mean.",
            callback=_print_formats,
            is_eager=True,
        ),
    ] = False,
    hardware: opt.Hardware = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Convert files of other tools into a trace.

    Formats: vllm_logger, vllm_bench, guidellm, aiperf, vllm_otel, blis_journey, inference_perf,
    blis_trace, optimum_benchmark, llmd_predictor, aiconfigurator (--list tells of each).

    Rows that cannot be used are left out and counted by reason. Files of any size are read piece by
    piece. Nothing is random here: --seed changes nothing.
    """
    from bayeslat.cli_values import check_stack
    from bayeslat.features.hardware import load_hardware
    from bayeslat.report.import_tables import import_record, show_import
    from bayeslat.report.progress import counting_rows
    from bayeslat.traces.importers.convert import Settings, import_traces
    from bayeslat.traces.importers.find import find_importable
    from bayeslat.traces.importers.registry import find_importer
    from bayeslat.traces.importers.settings import parse_constants
    from bayeslat.traces.write import check_table_path

    importer = find_importer(source_format)
    ensure_writable(check_table_path(output), *find_importable(importer, files), hardware)
    check_stack(stack)
    table = load_hardware(hardware)
    settings = Settings(
        gpu=None if gpu is None else table.resolve(gpu).key,
        stack=stack,
        model=served_model,
        constants=parse_constants(constants or []),
    )
    with writing(output), counting_rows() as on_rows:
        imported = import_traces(importer, files, output, settings, on_rows=on_rows)
    record = import_record(imported, output)
    print_result(record, as_json, lambda: show_import(record))
    for text in imported.notes:
        note(text)
    overruled = table.find(imported.overruled_gpu) if imported.overruled_gpu else None
    if overruled is not None and overruled.key != settings.gpu:
        note_warning(
            [
                f"the files name the GPU {imported.overruled_gpu} ({overruled.key}), and the rows "
                f"are of {settings.gpu} now, as --gpu says; leave it out to keep what they name"
            ]
        )
    unknown = [name for name in imported.groups["gpu"] if table.find(name) is None]
    if unknown:
        note(
            f"{', '.join(unknown)}: not in the hardware table, which a fit needs; add them with "
            "--hardware, or import again with --gpu"
        )
