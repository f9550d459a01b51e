"""Whether rows that are compared with one stack are of another that the posterior knows, too."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from bayeslat.counted import counted
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.traces.row_stacks import row_stacks

__all__ = ["tell_mixtures"]


def tell_mixtures(data: PosteriorData, frame: pd.DataFrame, stack: str) -> Iterator[str]:
    """Say of which GPUs the rows are a mixture, whose stacks differ as the posterior has it.

    Rows that all name one stack are none: to compare them with another is what is asked.

    Parameters
    ----------
    data : PosteriorData
    frame : DataFrame, one row a measurement
        Admitted.
    stack : str
        With which all rows are compared.

    Yields
    ------
    str
        How many rows name which other stacks, what follows and the cure.
    """
    for gpu, named in row_stacks(frame, stack).groupby(frame["gpu"], sort=False):
        known = [name for name in data.known_stacks(str(gpu)) if name and name != stack]
        others = named[named.isin(known)]
        if others.empty or named.nunique() == 1:
            continue
        yield (
            f"{gpu}: {len(others):,} of {counted(len(named), 'row')} name "
            f"{', '.join(others.unique())}, which the posterior knows, and are compared with "
            f"{stack}: what is found may be of the mixture; give the rows of one stack"
        )
