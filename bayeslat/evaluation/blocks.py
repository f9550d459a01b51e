"""The names of a check's blocks: a GPU's rows, by stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["name_block"]


def name_block(row: Mapping[str, Any], *, alone: bool) -> str:
    """Name the GPU, and its stack where that is not the only one.

    Parameters
    ----------
    row : mapping
        `gpu`, `stack` and `unmeasured`, of a check's frame.
    alone : bool
        Whether the rows of the GPU are of no other stack.

    Returns
    -------
    str

    Examples
    --------
    >>> row = {"gpu": "l40s", "stack": "v2", "unmeasured": ""}
    >>> name_block(row, alone=True), name_block(row, alone=False)
    ('l40s', 'l40s with v2')
    >>> name_block({**row, "unmeasured": "stack"}, alone=True)
    'l40s with v2'
    """
    if alone and row["unmeasured"] not in ("stack", "name"):
        return str(row["gpu"])
    return f"{row['gpu']} with {row['stack']}" if row["stack"] else f"{row['gpu']} without a stack"
