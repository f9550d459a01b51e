"""Coefficients of GPUs: how many times slower than its data sheet each does each kind of work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.inference.posteriors.posterior import PosteriorData

__all__ = ["coefficient_table", "compare_with_donors"]

_QUANTILES = {"median": 0.5, "q05": 0.05, "q95": 0.95}


def coefficient_table(data: PosteriorData) -> pd.DataFrame:
    """Summarise the coefficients of fitted and calibrated GPUs.

    Parameters
    ----------
    data : PosteriorData

    Returns
    -------
    DataFrame, one row a stage, term and GPU (and stack, of a calibrated one)
        `stage`, `term`, `gpu`, `stack` (of calibrated GPUs; else empty), `fitted`, and of
        exp(theta0 + u), the time of the term over that at data-sheet peaks, `median`, `q05`, `q95`.
    """
    return pd.DataFrame([row for stage in data.stages for row in _rows(data, stage)])


def _rows(data: PosteriorData, stage: str) -> Iterator[dict[str, Any]]:
    part = data.stages[stage]
    drawn: list[tuple[dict[str, Any], NDArray[np.float64]]] = [
        (
            {"gpu": gpu, "stack": "", "fitted": True},
            part.effects[:, part.problem.tree.index(gpu)],
        )
        for gpu in data.gpus
    ]
    drawn += [
        ({"gpu": gpu, "stack": stack, "fitted": False}, target.stages[stage].effects)
        for (gpu, stack), target in data.targets.items()
    ]
    for about, effects in drawn:
        times = np.exp(part.shared_efficiency + effects[:, : part.terms])
        for place, term in enumerate(data.spec.stages[stage].physics):
            found = {
                name: float(np.quantile(times[:, place], at)) for name, at in _QUANTILES.items()
            }
            yield {"stage": stage, "term": term, **about, **found}


def compare_with_donors(table: pd.DataFrame, gpu: str, stack: str = "") -> pd.DataFrame:
    """Set a GPU's coefficients beside the middle of the other fitted GPUs.

    Parameters
    ----------
    table : DataFrame
        Of `coefficient_table`.
    gpu : str
        Key.
    stack : str
        Of a calibrated GPU.

    Returns
    -------
    DataFrame, one row a stage and term
        `stage`, `term`, `ratio` (of the GPU's median to the geometric mean of the others'), `low`
        and `high` (of its 90 % interval), and `differs`: whether that interval leaves 1 out. Empty
        if there is no other.
    """
    calibrated = ~table["fitted"] & (table["gpu"] == gpu) & (table["stack"] == stack)
    own = table[calibrated if calibrated.any() else table["fitted"] & (table["gpu"] == gpu)]
    others = table[table["fitted"] & (table["gpu"] != gpu)]
    middle = np.log(others["median"]).groupby([others["stage"], others["term"]]).mean()
    rows = []
    for each in own.to_dict("records"):
        key = (each["stage"], each["term"])
        if key not in middle.index:
            continue
        centre = float(np.exp(middle[key]))
        low, high = each["q05"] / centre, each["q95"] / centre
        rows.append(
            {
                "stage": each["stage"],
                "term": each["term"],
                "ratio": each["median"] / centre,
                "low": low,
                "high": high,
                "differs": not low <= 1.0 <= high,
            }
        )
    return pd.DataFrame(rows)
