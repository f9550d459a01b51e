"""Which group each row of a batch belongs to, by codes rather than by names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bayeslat.features.hardware import HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.features.tasks import task_names
from bayeslat.inference.compression.stream.files import labels_of
from bayeslat.traces.names import GPU, STACK, TASK
from bayeslat.traces.row_stacks import row_stacks

__all__ = ["Label", "Labeller", "Labels"]


@dataclass(frozen=True)
class Label:
    """What rows with the same names belong to.

    Attributes
    ----------
    gpu : str or None
        Key of the hardware table; None where the name is missing, no text or unknown.
    stack : str
        Empty where none is named.
    task : str or None
    """

    gpu: str | None
    stack: str
    task: str | None


@dataclass(frozen=True)
class Labels:
    """The labels of a batch.

    Attributes
    ----------
    held : tuple of Label
        Those that have rows.
    code : ndarray of int, shape (row,)
        Position in `held` of each row's label.
    """

    held: tuple[Label, ...]
    code: NDArray[np.int16]


class Labeller:
    """Reads labels, and knows those that it has read.

    Parameters
    ----------
    spec : Spec
    hardware : HardwareTable
    """

    def __init__(self, spec: Spec, hardware: HardwareTable) -> None:
        self._spec, self._hardware = spec, hardware
        self._known: dict[tuple[object, ...], Label] = {}

    def read(self, batch: pa.RecordBatch) -> Labels:
        """Read the labels of a batch.

        Parameters
        ----------
        batch : RecordBatch
            With the columns of `labels_of`, as far as there are any.
        """
        names = [name for name in labels_of(self._spec) if name in batch.schema.names]
        code = np.zeros(batch.num_rows, dtype=np.int64)
        values: list[list[object]] = []
        for name in names:
            column = batch.column(name)
            if not pa.types.is_dictionary(column.type):
                column = column.dictionary_encode()
            known = [*column.dictionary.to_pylist(), None]
            place = column.indices
            if column.null_count:
                place = place.fill_null(len(known) - 1)
            code *= len(known)
            code += place.to_numpy(zero_copy_only=False)
            values.append(known)
        held, code = _compact(code)
        sizes = [len(known) for known in values]
        labels = []
        for each in held.tolist():
            found: dict[str, object] = {}
            for name, known, size in zip(names[::-1], values[::-1], sizes[::-1], strict=True):
                each, at = divmod(each, size)
                found[name] = known[at]
            labels.append(self._label(found))
        return _joined(labels, code)

    def _label(self, values: Mapping[str, object]) -> Label:
        """Resolve names, once for each combination."""
        key = tuple(values.get(name) for name in labels_of(self._spec))
        if key not in self._known:
            self._known[key] = self._resolve(values)
        return self._known[key]

    def _resolve(self, values: Mapping[str, object]) -> Label:
        name = values.get(GPU)
        gpu = self._hardware.find(name) if isinstance(name, str) and name.strip() else None
        row = pd.DataFrame({key: [value] for key, value in values.items()}, dtype=object)
        row = self._spec.complete(row)
        stack = row[STACK].iloc[0] if STACK in row else None
        task = values.get(TASK)
        well = all(each is None or isinstance(each, str) for each in (stack, task))
        return Label(
            gpu.key if gpu is not None and well else None,
            row_stacks(row).iloc[0],
            task_names([task], 1)[0] or None,
        )


def _compact(code: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """Return the codes that occur, and each row's place among them."""
    counts = np.bincount(code, minlength=1)
    held = np.flatnonzero(counts)
    place = np.zeros(len(counts), dtype=np.int16)
    place[held] = np.arange(len(held))
    return held, place[code]


def _joined(labels: list[Label], code: NDArray[np.int16]) -> Labels:
    """Join codes that mean the same, as a GPU under two names."""
    held = tuple(dict.fromkeys(labels))
    if len(held) == len(labels):
        return Labels(held, code)
    at = np.array([held.index(label) for label in labels], dtype=np.int16)
    return Labels(held, at[code])
