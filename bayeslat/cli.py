"""The command line: a function a command. Heavy libraries load when a command runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated

import typer

from bayeslat import (
    cli_check,
    cli_collect,
    cli_decide,
    cli_drift,
    cli_export,
    cli_fit,
    cli_import,
    cli_predict,
    cli_report,
    cli_scale,
    cli_simulate,
    cli_transfer,
)
from bayeslat.cli_run import BAD_INPUT, INTERRUPTED, discard_output, note

__all__ = ["app", "main"]

_COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "fit": (cli_fit.fit, "traces/*.parquet -m models/tiny_vlm.toml -o posterior.nc"),
    "check": (cli_check.check, "posterior.nc held_out.parquet"),
    "drift": (cli_drift.drift, "posterior.nc last_week.parquet -o drift.parquet"),
    "calibrate": (
        cli_transfer.calibrate,
        "posterior.nc l40s.parquet --gpu l40s -o calibrated.nc",
    ),
    "compare": (
        cli_transfer.compare,
        "traces/*.parquet -m models/tiny_vlm.toml --target milan_2t_bf16 -o out/",
    ),
    "crossval": (
        cli_transfer.crossval,
        "traces/*.parquet -m models/tiny_vlm.toml -o crossval.parquet",
    ),
    "compress": (cli_scale.compress, "fleet/*.parquet -m models/vlm.toml -o statistics.nc"),
    "update": (cli_scale.update, "posterior.nc today.parquet -o updated.nc"),
    "suggest": (
        cli_decide.suggest,
        "calibrated.nc configs.csv --gpu l40s -n 10 -o next.parquet",
    ),
    "guard": (
        cli_decide.guard,
        "calibrated.nc configs.csv --gpu l40s --budget-ms 500 -o g.csv",
    ),
    "report": (
        cli_report.report,
        "calibrated.nc traces/*.parquet --gpu milan_2t_bf16 --budget-ms 400 -o report/",
    ),
    "import": (
        cli_import.import_files,
        "vllm_bench results/*.json --gpu h100_sxm -o h100.parquet",
    ),
    "predict": (cli_predict.predict, "posterior.nc configs.csv --gpu h100_sxm -o out.parquet"),
    "simulate": (
        cli_simulate.simulate,
        "-m vlm.toml --gpus l40s --configs c.csv -o sim.parquet",
    ),
}
"""In the order of `--help`, each with what follows its name in an example."""

app = typer.Typer(
    name="bayeslat",
    help="How long a language or vision-language model will take on a GPU, and how sure that is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(cli_collect.app, name="collect")
app.add_typer(cli_export.app, name="export")
for _name, (_command, _example) in _COMMANDS.items():
    app.command(_name, epilog=f"Example: bayeslat {_name} {_example}")(_command)


def main() -> None:
    """Run the command line of this process."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A name that the terminal cannot show is no reason to lose a result.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except OSError as error:  # of `--help` and `--version`; commands tell their own
        note(f"error: standard output: {error.strerror or error}")
        discard_output()
        sys.exit(BAD_INPUT)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            # Python remembers an interrupt of code that is compiled from a text, as libraries do
            # when they are imported, and would end by the signal; another text makes it forget.
            exec("")  # noqa: S102
        raise


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"bayeslat {version('bayeslat')}", flush=True)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass
