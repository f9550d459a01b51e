"""Where the measurements of a calibrated GPU were read."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayeslat.inference.posteriors.target import ORIGIN
from bayeslat.traces import locate
from bayeslat.traces.names import CONFIG_ID

__all__ = ["origin_of"]


def origin_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Tell where rows were read.

    Parameters
    ----------
    rows : DataFrame, one row a measurement
        Of a trace.

    Returns
    -------
    DataFrame, one row a measurement
        Of the columns `ORIGIN`; rows that were not read from a file are of `(table)`.
    """
    location = locate(rows)
    files = np.array(location.files, dtype=object)[location.file_index]
    ids = rows[CONFIG_ID] if CONFIG_ID in rows else pd.Series("", rows.index, dtype=object)
    ids = ids.convert_dtypes().astype(object)  # whole numbers without a decimal point
    named = ids.where(ids.notna(), "").astype(str)
    columns = (files, location.rows, named.to_numpy(dtype=object))
    return pd.DataFrame(dict(zip(ORIGIN, columns, strict=True)))
