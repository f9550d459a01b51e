"""Compression: Parquet files to statistics, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version

import numpy as np
import pandas as pd

from bayeslat.features.admit import resolve_gpus
from bayeslat.features.hardware import HardwareTable, load_hardware
from bayeslat.features.spec import Spec
from bayeslat.inference.compression.compressed import Compressed
from bayeslat.inference.compression.settled_rows import settled_rows
from bayeslat.inference.compression.stream.files import open_files
from bayeslat.inference.compression.stream.run_pass import sum_files
from bayeslat.inference.compression.stream.sample import SAMPLE_ROWS, take_sample
from bayeslat.inference.compression.stream.scan import scan_files
from bayeslat.inference.compression.stream.set_aside import SetAside
from bayeslat.inference.compression.stream.settle import check_groups, settle
from bayeslat.inference.rows.plan import plan_admitted
from bayeslat.inference.rows.settled import SettledPoint
from bayeslat.traces import report, row_sources
from bayeslat.traces.sources import Source

__all__ = ["compress_files"]

_LIBRARIES = ("bayeslat", "numpy", "scipy", "pyarrow")


def compress_files(
    spec: Spec,
    sources: Sequence[Source],
    *,
    like: SettledPoint | None = None,
    window: str | None = None,
    hardware: HardwareTable | None = None,
    sample_rows: int = SAMPLE_ROWS,
    drop_invalid: bool = False,
    jobs: int = 1,
    engine_address: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Compressed:
    """Compress the rows of Parquet files.

    The labels are read first, then a sample of each group's rows, at which the point is settled,
    then all rows once, in constant memory.

    Parameters and errors are those of `bayeslat.compress`; `like` is the point itself.

    Returns
    -------
    Compressed
    """
    table = hardware or load_hardware()
    if like is not None:
        table = table.extended(like.hardware)
    files = open_files(sources, spec)
    scan = scan_files(
        files, spec, table, drop_invalid=drop_invalid, jobs=jobs, engine_address=engine_address
    )
    if like is not None:
        check_groups(like, list(scan.totals))
    sample = take_sample(
        files,
        scan,
        spec,
        table,
        sample_rows,
        drop_invalid=drop_invalid,
        jobs=jobs,
        engine_address=engine_address,
    )
    point = like or settle(spec, sample, table, jobs=jobs, engine_address=engine_address)
    windows, left_out, set_aside = sum_files(
        files,
        lambda file: window if window is not None else file.path.name,
        point,
        table,
        drop_invalid=drop_invalid,
        jobs=jobs,
        engine_address=engine_address,
        on_progress=on_progress,
    )
    return Compressed(
        point=point,
        windows=windows,
        sample=_kept(spec, _sound(point, sample.frame, table, set_aside)),
        attrs={
            "sources": list(row_sources(sample.frame)),
            "left_out": left_out.rows,
            "left_out_why": report(left_out.violations),
            "set_aside": [asdict(each) for each in set_aside],
            "versions": {library: version(library) for library in _LIBRARIES},
        },
    )


def _sound(
    point: SettledPoint,
    sample: pd.DataFrame,
    hardware: HardwareTable,
    set_aside: Sequence[SetAside],
) -> pd.DataFrame:
    """Take the latencies out of a sample that the pass set aside."""
    if not set_aside:
        return sample
    admitted = resolve_gpus(point.spec.complete(sample), hardware)
    plan = plan_admitted(point.spec, admitted, hardware)
    for gpu, stack, stage in {(each.gpu, each.stack, each.stage) for each in set_aside}:
        group = (gpu, stack)
        if group in plan.groups:
            gross = settled_rows(plan, point, stage, group).gross
            column = point.spec.stages[stage].column
            wrong = np.isin(np.arange(len(sample)), gross)
            sample = sample.assign(**{column: sample[column].mask(wrong)})
    return sample


def _kept(spec: Spec, sample: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of a sample that its file keeps."""
    named = ("gpu", "stack", "task", *spec.stack_columns, *spec.knobs)
    columns = [name for name in named if name in sample]
    columns += [name for name in spec.latency_columns if name in sample]
    return sample[list(dict.fromkeys(columns))].reset_index(drop=True)
