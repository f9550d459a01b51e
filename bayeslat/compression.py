"""Statistics in place of rows: what users call from Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bayeslat.arguments import no_hardware, no_names, no_spec, refuse, tell_kind
from bayeslat.errors import InputError
from bayeslat.features.hardware import HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.finite import is_count, tell_count
from bayeslat.inference.compression.compress import compress_files
from bayeslat.inference.compression.compressed import Compressed
from bayeslat.inference.compression.compressed_file import read_compressed, write_compressed
from bayeslat.inference.compression.stream.sample import SAMPLE_ROWS
from bayeslat.inference.compression.stream.settle import point_of
from bayeslat.inference.rows.settled import SettledPoint
from bayeslat.parallel import check_workers
from bayeslat.posterior import Posterior
from bayeslat.traces.sources import Source

if TYPE_CHECKING:
    from bayeslat.inference.engines.draw_stages import OnProgress
    from bayeslat.inference.engines.engine import Engine

__all__ = [
    "Compressed",
    "compress",
    "fit_statistics",
    "read_statistics",
    "settled_point",
    "update",
    "write_statistics",
]


def compress(
    spec: Spec,
    *sources: Source,
    like: Compressed | Posterior | None = None,
    window: str | None = None,
    hardware: HardwareTable | None = None,
    sample_rows: int = SAMPLE_ROWS,
    drop_invalid: bool = False,
    jobs: int = 1,
    engine_address: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Compressed:
    """Compress Parquet traces of any size to the statistics that a fit needs, in constant memory.

    Parameters
    ----------
    spec : Spec
    *sources : str, Path or iterable of them
        Parquet files, folders, globs.
    like : Compressed or Posterior, optional
        What the rows are to be added to: they are settled at its point.
    window : str, optional
        Name of these rows; that of each row's file by default.
    hardware : HardwareTable, optional
        As for `bayeslat.fit`.
    sample_rows : int
        The most rows of a group that the point is settled by; with no more rows in a group, the
        statistics are those that `fit` would make.
    drop_invalid : bool
        Whether rows that break a rule are left out; else they are an error.
    jobs : int
        Processes, which change nothing but the time; -1: one a core.
    engine_address : str, optional
        As for `bayeslat.fit`, of a cluster that makes the sums in place of this machine. Its
        workers read the files by the same paths.
    on_progress : callable (done, total), optional
        Told how many rows are done.

    Returns
    -------
    Compressed

    Raises
    ------
    TraceError
        With every file that cannot be read, or the rows that break a rule.
    InputError
        If the spec is not that of `like`, an argument is of another kind, or there are rows of a
        group that `like` is not for.
    ConvergenceError
        If the sample's physics, or its hierarchy, has no reachable mode.
    WorkerError
        As for `bayeslat.fit`.
    """
    refuse([no_spec(spec), no_hardware(hardware)])
    point = None if like is None else settled_point(like)
    if point is not None and point.spec.hash != spec.hash:
        raise InputError(
            f"spec {spec.name!r} is not the one of what the rows are to be added to "
            f"({point.spec.name!r}); leave it out, or compress them by themselves"
        )
    if not is_count(sample_rows, 1):
        raise InputError(
            f"sample_rows is {tell_count(sample_rows)}; it must be a whole number of at least 1"
        )
    if window is not None and not str(window).strip():
        raise InputError(f"window is {window!r}; write a name, or leave it out")
    check_workers(jobs, engine_address)
    return compress_files(
        spec,
        sources,
        like=point,
        window=window,
        hardware=hardware,
        sample_rows=sample_rows,
        drop_invalid=drop_invalid,
        jobs=jobs,
        engine_address=engine_address,
        on_progress=on_progress,
    )


def fit_statistics(
    data: Compressed,
    *,
    engine: Engine = "nuts",
    seed: int = 0,
    chains: int = 4,
    draws: int = 800,
    tune: int = 200,
    engine_address: str | None = None,
    on_progress: OnProgress | None = None,
) -> Posterior:
    """Fit every stage to statistics: as `fit` does to rows.

    Parameters
    ----------
    data : Compressed
    engine, seed, chains, draws, tune, engine_address, on_progress
        As for `bayeslat.fit`.

    Returns
    -------
    Posterior
        Converged or not: ask its `diagnostics`.

    Raises
    ------
    InputError
        If no row holds a stage, `data` is no statistics, or an argument has an impossible value.
    ConvergenceError
        If the scales of a stage have no reachable mode.
    WorkerError
        As for `bayeslat.fit`.
    """
    from bayeslat.inference.compression.fit_compressed import fit_compressed
    from bayeslat.inference.engines.engine import EngineOptions  # samplers

    refuse([_no_statistics(data, "compress(spec, files) or read_statistics(path)")])
    options = EngineOptions(engine, seed, chains, draws, tune)
    return Posterior(fit_compressed(data, options, engine_address, on_progress))


def update(
    posterior: Posterior,
    data: Compressed | None = None,
    *,
    retire: Sequence[str] = (),
    engine: Engine = "nuts",
    seed: int = 0,
    chains: int = 4,
    draws: int = 800,
    tune: int = 200,
    engine_address: str | None = None,
    on_progress: OnProgress | None = None,
) -> Posterior:
    """Add rows to a posterior, take old ones out of it, and draw it anew.

    Parameters
    ----------
    posterior : Posterior
    data : Compressed, optional
        Of `compress(..., like=posterior)`.
    retire : sequence of str
        Windows to take out; `fit` is the one of all rows that a posterior was fitted to directly.
    engine, seed, chains, draws, tune, engine_address, on_progress
        As for `bayeslat.fit`.

    Returns
    -------
    Posterior
        A new one. Converged or not: ask its `diagnostics`.

    Raises
    ------
    InputError
        If there is no such window, no row is left, the statistics do not add to the posterior's,
        the new rows are farther from what was fitted than their noise, GPUs were calibrated since
        the fit, or an argument is of another kind or has an impossible value.
    ConvergenceError
        If the scales of a stage have no reachable mode.
    WorkerError
        As for `bayeslat.fit`.
    """
    from bayeslat.inference.compression.update import update_posterior
    from bayeslat.inference.engines.engine import EngineOptions  # samplers

    maker = "compress(spec, files, like=posterior)"
    statistics = "" if data is None else _no_statistics(data, maker)
    refuse([_no_posterior(posterior), statistics, no_names("retire", retire)])
    options = EngineOptions(engine, seed, chains, draws, tune)
    return Posterior(
        update_posterior(
            posterior.data,
            data,
            options,
            retire=retire,
            engine_address=engine_address,
            on_progress=on_progress,
        )
    )


read_statistics = read_compressed


def write_statistics(data: Compressed, path: str | Path) -> None:
    """Write statistics, whole or not at all.

    Equal ones make equal files, byte for byte.

    Parameters
    ----------
    data : Compressed
        Of `compress`.
    path : str or Path
        Ends in .nc. Missing folders are made.

    Raises
    ------
    InputError
        If `data` is no statistics, or the name does not end in .nc, or is a folder's.
    """
    refuse([_no_statistics(data, "compress(spec, files)")])
    write_compressed(data, path)


def _no_posterior(posterior: object) -> str:
    """Say what was given in place of a posterior; nothing if it is one."""
    if isinstance(posterior, Posterior):
        return ""
    return f"posterior is {tell_kind(posterior)}; load it with load_posterior(path)"


def _no_statistics(data: object, maker: str) -> str:
    """Say what was given in place of statistics, and what makes them; nothing if it is those."""
    if isinstance(data, Compressed):
        return ""
    return f"data is {tell_kind(data)}; give the statistics of the rows, by {maker}"


def settled_point(like: Compressed | Posterior) -> SettledPoint:
    """Return the settled point of a posterior, or of statistics.

    Raises
    ------
    InputError
        If it is neither.
    """
    if isinstance(like, Compressed):
        return like.point
    if not isinstance(like, Posterior):
        told = "load it with load_posterior(path) or read_statistics(path)"
        raise InputError(f"like is {tell_kind(like)}; {told}")
    return point_of(like.data)
