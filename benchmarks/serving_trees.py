"""How well a server's latency can be told from every column of `silicon_serving.parquet`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xgboost
from numpy.typing import NDArray

__all__ = ["trees_left_out"]

SIZES = [
    "isl", "osl", "concurrency", "tp", "tp_raw", "dp", "moe_tp", "moe_ep", "n_gpus",
    "weight_bytes_per_param", "active_params", "total_params", "attn_params", "num_layers",
    "hidden", "kv_elems_per_token_layer", "n_experts",
]  # fmt: skip
NAMES = ["backend", "backend_version", "precision", "model", "source"]
FOLDS = 10
PARAMETERS = {
    "max_depth": 5,
    "eta": 0.04,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "objective": "reg:absoluteerror",
    "nthread": 1,
    "verbosity": 0,
    "seed": 0,
}
ROUNDS = 600


def trees_left_out(rows: pd.DataFrame, latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Predict each tenth of the rows by trees that were trained on the others.

    Parameters
    ----------
    rows : DataFrame, one row a measured server
    latency_ms : ndarray, shape (row,)

    Returns
    -------
    ndarray, shape (row,)
        In ms.
    """
    columns = np.column_stack([rows[SIZES], pd.get_dummies(rows[NAMES])]).astype(float)
    fold = np.random.default_rng(0).permutation(len(rows)) % FOLDS
    predicted = np.empty(len(rows))
    for held in range(FOLDS):
        test = fold == held
        known = xgboost.DMatrix(columns[~test], np.log(latency_ms[~test]))
        booster = xgboost.train(PARAMETERS, known, ROUNDS)
        predicted[test] = np.exp(booster.predict(xgboost.DMatrix(columns[test])))
    return predicted
