"""How far collected traces can be trusted: `python -m bayeslat.collect.summary TRACES...`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bayeslat.errors import BayeslatError
from bayeslat.traces import read_traces, stage_columns

__all__ = ["main", "stage_sum_ratio", "summarise"]

_END_TO_END = "end_to_end_ms"
_DECODE = "t_llm_decode_per_token_ms"


def stage_sum_ratio(frame: pd.DataFrame) -> pd.Series:
    """Return the sum of the stages over the end-to-end time of each row.

    The first token comes from the prefill, so decode counts output_tokens - 1 times; a row of one
    output token has no decode.

    Parameters
    ----------
    frame : DataFrame
        A collected trace.

    Returns
    -------
    Series, dim (measurement,)
    """
    once = [column for column in stage_columns(frame) if column != _DECODE]
    decode_ms = (frame["output_tokens"] - 1) * frame[_DECODE]
    return (frame[once].sum(axis=1) + decode_ms.fillna(0.0)) / frame[_END_TO_END]


def summarise(frame: pd.DataFrame) -> pd.DataFrame:
    """Return range and repeat noise of each stage on each device.

    Parameters
    ----------
    frame : DataFrame
        Collected traces.

    Returns
    -------
    DataFrame
        Columns gpu, stage, `q05_ms`, `q50_ms`, `q95_ms` over the rows, and `spread`: (largest -
        smallest) / median over the repeats of a configuration, median over the configurations;
        NaN without repeats.
    """
    columns = [*stage_columns(frame), _END_TO_END]
    return pd.DataFrame(
        {
            "gpu": gpu,
            "stage": column.removeprefix("t_").removesuffix("_ms"),
            "q05_ms": rows[column].quantile(0.05),
            "q50_ms": rows[column].quantile(0.5),
            "q95_ms": rows[column].quantile(0.95),
            "spread": _spread(rows, column),
        }
        for gpu, rows in frame.groupby("gpu", sort=False)
        for column in columns
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the summary of traces.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command-line arguments; those of the process by default.

    Returns
    -------
    int
        0, or 1 after bad input.
    """
    parser = argparse.ArgumentParser(prog="python -m bayeslat.collect.summary")
    parser.add_argument("traces", nargs="+", help="traces to summarise")
    try:
        frame = read_traces(*parser.parse_args(arguments).traces)
    except BayeslatError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(summarise(frame).round(3).to_string(index=False))
    ratio = stage_sum_ratio(frame).groupby(frame["gpu"], sort=False)
    print("\nsum of stages / end to end")
    print(ratio.quantile(np.array([0.0, 0.05, 0.5, 1.0])).unstack().round(4).to_string())
    return 0


def _spread(rows: pd.DataFrame, column: str) -> float:
    configs = rows.groupby("config_id")[column]
    spread = (configs.max() - configs.min()) / configs.median()
    return float(spread[configs.count() > 1].median())


if __name__ == "__main__":
    sys.exit(main())
