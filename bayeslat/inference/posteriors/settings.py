"""Knobs that stand still in a group: the sizes of its model, what its server is set to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayeslat.inference.posteriors.posterior import PosteriorData

__all__ = ["group_settings", "knob_values", "own_settings"]


def group_settings(
    data: PosteriorData, group: tuple[str, str], at: tuple[str, float] | None = None
) -> dict[str, float]:
    """Return the knobs that are the same in all rows of a group; none of one without rows.

    Parameters
    ----------
    data : PosteriorData
    group : (gpu, stack)
    at : (knob, value), optional
        In those rows alone in which this knob has this value: none where there are no such rows, or
        where the knob takes so many values that the fit does not tell.
    """
    found = _of_donor(data, group, at)
    if group in data.targets:
        rows = data.targets[group].rows
        rows = rows if at is None else rows[rows[at[0]] == at[1]]
        same = [knob for knob in data.spec.knobs if rows[knob].nunique() == 1]
        found |= {knob: float(rows[knob].iloc[0]) for knob in same}
    return found


def knob_values(data: PosteriorData, group: tuple[str, str], knob: str) -> list[float]:
    """Return the values that a knob takes in the rows of a group, as far as `at` can tell them.

    Parameters
    ----------
    data : PosteriorData
    group : (gpu, stack)
    knob : str
    """
    still = _of_donor(data, group, None)
    found = {still[knob]} if knob in still else set()
    found |= {each["value"] for each in _parts(data, group) if each["knob"] == knob}
    if group in data.targets:
        found |= {float(value) for value in data.targets[group].rows[knob].unique()}
    return sorted(found)


def own_settings(data: PosteriorData, group: tuple[str, str]) -> dict[str, float]:
    """Return those of a group's settings that no group of donors moves either.

    A knob that others move stands still in a group because its rows are few.

    Parameters
    ----------
    data : PosteriorData
    group : (gpu, stack)
    """
    donors = _of_donors(data)
    own = group_settings(data, group)
    return {knob: value for knob, value in own.items() if all(knob in each for each in donors)}


def _of_donor(
    data: PosteriorData, group: tuple[str, str], at: tuple[str, float] | None
) -> dict[str, float]:
    """Settings of a group of the fit, in all of its rows or in some."""
    still = dict(dict(zip(data.groups, _of_donors(data), strict=True)).get(group, {}))
    if at is None or still.get(at[0]) == at[1]:
        return still
    for part in _parts(data, group):
        if (part["knob"], part["value"]) == at:
            return {**still, part["knob"]: part["value"], **part["constants"]}
    return {}


def _of_donors(data: PosteriorData) -> list[dict[str, float]]:
    """Settings of each group of the fit; none are known of old fits."""
    found: list[dict[str, float]] = data.attrs.get("constants", [{}] * len(data.groups))
    return found


def _parts(data: PosteriorData, group: tuple[str, str]) -> list[Mapping[str, Any]]:
    """Settings of a group of the fit where a knob has one value (`constants_where`)."""
    known = data.attrs.get("constants_where")
    if known is None or group not in data.groups:
        return []
    found: list[Mapping[str, Any]] = known[data.groups.index(group)]
    return found
