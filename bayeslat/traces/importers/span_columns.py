"""OpenTelemetry spans as columns: no Python object for each of the dozens of values of a span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["Attributes", "Events", "Spans", "filled", "parse_numbers"]

type Numbers = NDArray[np.float64]
type Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of some spans or events, all in a row.

    Attributes
    ----------
    n_owners : int
        Spans, or events.
    owner : ndarray of int, shape (attribute,)
        The span or event that each is of.
    key : ndarray of int, shape (attribute,)
        Its name, by its place in `names`.
    names : mapping of str to int
    number : ndarray of float, shape (attribute,)
        Its value; NaN if it is no number.
    text : StringArray, shape (attribute,)
        Its value, null if it is no text.
    """

    n_owners: int
    owner: Places
    key: NDArray[np.int32]
    names: dict[str, int]
    number: Numbers
    text: pa.StringArray

    @classmethod
    def of(cls, lists: pa.ListArray) -> Attributes:
        """Take attributes apart, a list of them for each span or event."""
        attributes = filled(lists.flatten())
        keys = filled(attributes.field("key")).dictionary_encode()
        value = attributes.field("value")
        doubles, wholes = parse_numbers(value.field("doubleValue")), value.field("intValue")
        return cls(
            n_owners=len(lists),
            owner=pc.list_parent_indices(lists).to_numpy(),
            key=keys.indices.to_numpy(),
            names={name: place for place, name in enumerate(keys.dictionary.to_pylist())},
            number=np.where(wholes.is_valid(), parse_numbers(wholes), doubles),
            text=value.field("stringValue"),
        )

    def numbers(self, name: str) -> Numbers:
        """Return an attribute of each span or event, NaN where it has none or no number."""
        found = np.full(self.n_owners, np.nan)
        there = self._named(name)
        found[self.owner[there]] = self.number[there]
        return found

    def texts(self, name: str) -> list[str | None]:
        """Return an attribute of each span or event, None where it has none or no text."""
        found: list[str | None] = [None] * self.n_owners
        there = self._named(name)
        texts = self.text.take(pa.array(there)).to_pylist()
        for owner, text in zip(self.owner[there].tolist(), texts, strict=True):
            found[owner] = text
        return found

    def _named(self, name: str) -> Places:
        """Return where the attributes of a name are."""
        return np.flatnonzero(self.key == self.names.get(name, -1))


@dataclass(frozen=True, slots=True)
class Events:
    """What happened during some spans.

    Attributes
    ----------
    span : ndarray of int, shape (event,)
        The span that each is of, ascending.
    name : sequence of str, shape (event,)
    attributes : Attributes
    """

    span: Places
    name: Sequence[str]
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Spans:
    """Some spans, in the order of the file.

    Attributes
    ----------
    scope, name : sequence of str, shape (span,)
        What made each, and what it is.
    start_ns, end_ns : ndarray of float, shape (span,)
        By the Unix clock; NaN where nobody knows.
    attributes : Attributes
    events : Events
    """

    scope: Sequence[str]
    name: Sequence[str]
    start_ns: Numbers
    end_ns: Numbers
    attributes: Attributes
    events: Events

    @classmethod
    def of(cls, scopes: pa.StructArray) -> Spans:
        """Take spans apart, lists of which stand under scopes.

        Raises
        ------
        ArrowInvalid
            Something has no name.
        """
        lists = scopes.field("spans")
        spans = filled(lists.flatten())
        of_scope = scopes.field("scope").field("name").fill_null("")
        events = filled(spans.field("events").flatten())
        return cls(
            scope=of_scope.take(pc.list_parent_indices(lists)).to_pylist(),
            name=filled(spans.field("name")).to_pylist(),
            start_ns=parse_numbers(spans.field("startTimeUnixNano")),
            end_ns=parse_numbers(spans.field("endTimeUnixNano")),
            attributes=Attributes.of(spans.field("attributes")),
            events=Events(
                span=pc.list_parent_indices(spans.field("events")).to_numpy(),
                name=filled(events.field("name")).to_pylist(),
                attributes=Attributes.of(events.field("attributes")),
            ),
        )


def filled[T: pa.Array](cells: T) -> T:
    """Return cells, none of which may be missing.

    Raises
    ------
    ArrowInvalid
        One is.
    """
    if cells.null_count:
        raise pa.ArrowInvalid("a null, or a member that every line has is missing")
    return cells


def parse_numbers(cells: pa.Array) -> Numbers:
    """Return numbers that may be text, NaN where there is none.

    Parameters
    ----------
    cells : Array, shape (row,)

    Returns
    -------
    ndarray of float, shape (row,)
    """
    try:
        parsed = cells.cast(pa.float64())
    except pa.ArrowInvalid:
        parsed = pd.to_numeric(pd.Series(cells.to_pylist(), dtype=object), errors="coerce")
        return parsed.to_numpy(dtype=np.float64)
    return np.asarray(parsed.to_numpy(zero_copy_only=False), dtype=np.float64)
