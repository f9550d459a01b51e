"""Holding configurations of a target out: some rows calibrate it, others judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.counted import counted
from bayeslat.errors import InputError
from bayeslat.evaluation.measured import measured_latencies, measured_ms
from bayeslat.evaluation.row_kinds import row_kinds, take_turns
from bayeslat.features.gpu import Gpu
from bayeslat.features.spec import Spec
from bayeslat.inference.rows.repeats import number_configs
from bayeslat.inference.rows.stage_rows import least_ms, with_latency

__all__ = ["Holdout", "above_hurdles", "hold_out", "tell_beyond", "tell_left", "without_configs"]

_LEAST_TEST = 10  # configurations, below which an error says nothing


@dataclass(frozen=True)
class Holdout:
    """A target's rows, split by configuration.

    Attributes
    ----------
    gpu : Gpu
    pool : DataFrame, one row a measurement
        A single row of each configuration, any of its repeats, in random order: the first n
        calibrate. Where rows are of several kinds (a server's steps, and its requests), these take
        turns.
    test : DataFrame, one row a config
        Configurations that calibrate nothing, as many of each kind.
    typical_ms : mapping of stage (and `total`, and joined stages) to ndarray, shape (config,)
        Median over the repeats of each test configuration.
    run_ms : mapping of stage (and `total`, and joined stages) to ndarray, shape (config,)
        One run of each, any of its repeats.
    pool_ms : ndarray, shape (row,)
        What measuring each row of the pool costs: its total, or the stages that it holds.
    """

    gpu: Gpu
    pool: pd.DataFrame
    test: pd.DataFrame
    typical_ms: Mapping[str, NDArray[np.float64]]
    run_ms: Mapping[str, NDArray[np.float64]]
    pool_ms: NDArray[np.float64]


def tell_left(gpu: str, left: int) -> str:
    """Tell how many configurations of a GPU are not held out."""
    return f"{gpu} has {counted(left, 'configuration')} left to calibrate with"


def tell_beyond(counts: Sequence[int], left: int, gpu: str) -> str:
    """Tell which numbers of calibration rows a GPU has too few configurations for.

    Parameters
    ----------
    counts : sequence of int
    left : int
        Configurations that are not held out.
    gpu : str
        Key.

    Returns
    -------
    str
        Empty where all can be had.
    """
    beyond = ", ".join(str(count) for count in counts if count > left)
    return f"with {beyond} rows: {tell_left(gpu, left)}" if beyond else ""


def hold_out(
    spec: Spec,
    rows: pd.DataFrame,
    gpu: Gpu,
    test_configs: int,
    seed: int | list[int],
    keep: Sequence[str] = (),
    bounded: Sequence[Sequence[str]] = (),
) -> Holdout:
    """Split a target's rows uniformly at random, the repeats of a configuration together.

    A run of a configuration is any of its repeats: traces are written pass by pass, so that the
    first of each would all be of the first pass, which may be slower than the others.

    Parameters
    ----------
    spec : Spec
    rows : DataFrame, one row a measurement
        Of the target, checked. Those without a latency, as of what ran out of memory, do not count.
    gpu : Gpu
    test_configs : int
        At most half of the configurations.
    seed : int or list of int
    keep : sequence of str
        Columns that test configurations have beside the knobs and the task, if the rows do.
    bounded : sequence of sequence of str
        What is held out beside the total, as `measured_latencies` takes it.

    Returns
    -------
    Holdout

    Raises
    ------
    InputError
        If fewer than 20 configurations were measured.
    """
    rows = with_latency(spec, rows)
    knobs = spec.config_columns(rows)
    label = number_configs(rows[knobs])
    count = int(label.max()) + 1 if len(label) else 0
    if count < 2 * _LEAST_TEST:
        raise InputError(
            f"{gpu.key} has {counted(count, 'configuration')}; at least {2 * _LEAST_TEST} are "
            "needed to hold some of them out. Add traces of it, or hold other GPUs out"
        )
    rng = np.random.default_rng(seed)
    order, shuffled = rng.permutation(count), rng.permutation(len(label))
    run = shuffled[np.unique(label[shuffled], return_index=True)[1]]  # one row a configuration
    order = take_turns(order, row_kinds(spec, rows)[run])
    tested = min(test_configs, count // 2)
    test, pool = run[order[:tested]], run[order[tested:]]
    measured = measured_latencies(spec, rows, gpu, bounded)
    return Holdout(
        gpu=gpu,
        pool=rows.iloc[pool].reset_index(drop=True),
        test=rows.iloc[test][[*knobs, *(name for name in keep if name in rows)]].reset_index(
            drop=True
        ),
        typical_ms={name: _medians(label, ms)[order[:tested]] for name, ms in measured.items()},
        run_ms={name: ms[test] for name, ms in measured.items()},
        pool_ms=measured_ms(spec, rows, gpu)[pool],
    )


def above_hurdles(spec: Spec, held: Holdout) -> Holdout:
    """Judge a stage with a hurdle by the configurations that are above it; the others are NaN.

    How wrong a prediction is, relative to a latency that is none, says nothing.
    """
    least = {name: least_ms(spec, name) for name in spec.stages}

    def kept(latencies: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        return {
            name: np.where(ms > least.get(name, 0.0), ms, np.nan) for name, ms in latencies.items()
        }

    return replace(held, typical_ms=kept(held.typical_ms), run_ms=kept(held.run_ms))


def without_configs(rows: pd.DataFrame, configs: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows of some configurations.

    Parameters
    ----------
    rows : DataFrame, one row a measurement
    configs : DataFrame, one row a config
        With nothing but what tells configurations apart.

    Returns
    -------
    DataFrame, one row a measurement
    """
    names = [str(name) for name in configs]
    both = pd.concat([configs, rows[[name for name in names if name in rows]]])
    label = number_configs(both)
    return rows[~np.isin(label[len(configs) :], label[: len(configs)])]


def _medians(label: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of each configuration's measurements; NaN without any. Shape (config,)."""
    grouped = pd.Series(values).groupby(label).median()
    return np.asarray(grouped, dtype=np.float64)
