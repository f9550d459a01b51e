"""Where the rows of a trace are from, which any selection of them keeps."""

from __future__ import annotations

from typing import Any, Self

__all__ = ["TraceRecord"]


class TraceRecord(dict[str, Any]):
    """The `attrs["bayeslat"]` of a frame: its files and their provenance, which never change.

    pandas copies attributes deeply whenever it selects rows or a column, which with a hundred files
    takes far longer than the selection. So this is its own copy; else it is a dict, which pandas
    can write.
    """

    def __deepcopy__(self, memo: object) -> Self:
        return self
