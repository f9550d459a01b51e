"""What a calibration found, in short: the record for machines, the table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bayeslat.counted import counted
from bayeslat.evaluation.coefficients import coefficient_table
from bayeslat.evaluation.transfer import FALSE_ALARMS, Transfer
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.report.gross_errors import gross_error_lines, gross_error_records
from bayeslat.report.tables import make_table, open_console, print_line, print_table

__all__ = ["show_transfer", "transfer_record", "transfer_warnings"]


def transfer_record(
    data: PosteriorData, transfers: Sequence[Transfer], path: Path
) -> dict[str, Any]:
    """What a calibration found.

    Parameters
    ----------
    data : PosteriorData
        With the calibrated GPU.
    transfers : sequence of Transfer
        One a stack.
    path : Path
        Where the posterior was written.

    Returns
    -------
    dict
        For JSON: `gpu`, `output`, and for each stack the verdict, its reasons, the expected error,
        the rows that were set aside (`gross_error_records`), `passes` (`PassDifferences.record`;
        null where no two passes measured the same configurations), and by stage the rows, p-values,
        noise and coefficients (median, 5 % and 95 % quantile of how many times slower than its data
        sheet the GPU does each kind of work).
    """
    return {
        "gpu": transfers[0].gpu,
        "output": path,
        "false_alarms": FALSE_ALARMS,
        "stacks": [_stack_record(data, transfer) for transfer in transfers],
    }


def _stack_record(data: PosteriorData, transfer: Transfer) -> dict[str, Any]:
    """What was found of one stack."""
    target = data.targets[transfer.gpu, transfer.stack]
    table = coefficient_table(data)
    own = table[
        ~table["fitted"] & (table["gpu"] == transfer.gpu) & (table["stack"] == transfer.stack)
    ]
    stages: dict[str, Any] = {}
    for stage, part in target.stages.items():
        terms = own[own["stage"] == stage].set_index("term")
        seen = transfer.stages.get(stage)
        stages[stage] = {
            "rows": part.measured,
            "p_offset": None if seen is None else seen.p_offset,
            "p_misfit": None if seen is None else seen.p_misfit,
            "p_structure": None if seen is None else seen.p_structure,
            "noise": float(np.median(part.noise_sd)),
            "effective_draws": part.effective_draws,
            "coefficients": terms[["median", "q05", "q95"]].to_dict("index"),
        }
    return {
        "stack": transfer.stack,
        "rows": len(target.rows),
        "verdict": transfer.verdict,
        "sentence": str(transfer),
        "alarms": list(transfer.alarms),
        "expected_mape": {
            "mean": transfer.error.mean,
            "q05": transfer.error.low,
            "q95": transfer.error.high,
        },
        "threshold": transfer.threshold,
        "more_rows": transfer.more_rows,
        "more_passes": transfer.more_passes,
        "more_repeats": transfer.more_repeats,
        "pass_sd": transfer.pass_sd,
        "gross_errors": gross_error_records(transfer.gross),
        "passes": None if transfer.passes is None else transfer.passes.record(),
        "stages": stages,
    }


def show_transfer(record: Mapping[str, Any]) -> None:
    """Print what `transfer_record` made."""
    console = open_console()
    for each in record["stacks"]:
        name = f"{record['gpu']} with {each['stack']}" if each["stack"] else record["gpu"]
        table = make_table(["stage", "rows", "noise %", "p offset", "p misfit", "p structure"])
        for stage, found in each["stages"].items():
            p_values = [_p_value(found[f"p_{key}"]) for key in ("offset", "misfit", "structure")]
            table.add_row(stage, str(found["rows"]), f"{100 * found['noise']:.1f}", *p_values)
        print_table(console, f"{name}, calibrated with {counted(each['rows'], 'row')}", table)
        terms = make_table(["stage", "5 %", "median", "95 %"])
        for stage, found in each["stages"].items():
            terms.add_row(stage)
            for term, at in found["coefficients"].items():
                values = (at["q05"], at["median"], at["q95"])
                terms.add_row(f"  {term}", *(f"{value:.2f}" for value in values))
        print_table(console, "Times slower than the data sheet", terms)
        if each["passes"] is not None and each["passes"]["differ"]:
            print_line(console, f"Finding: {each['passes']['sentence']}")
        print_line(console, f"Verdict: {each['sentence']}")
    print_line(console, f"Saved in {record['output']}")


def transfer_warnings(record: Mapping[str, Any]) -> list[str]:
    """Say which rows were set aside; nothing where all are sound.

    Parameters
    ----------
    record : mapping
        Of `transfer_record`.
    """
    return gross_error_lines([error for each in record["stacks"] for error in each["gross_errors"]])


def _p_value(value: float | None) -> str:
    """Write a probability; a dash where nothing was measured."""
    return "-" if value is None else f"{value:.2g}"
