"""Knobs that stand still in a group: the sizes of its model, what its server is set to."""

from __future__ import annotations

from bayeslat.inference.posteriors.posterior import PosteriorData

__all__ = ["group_settings", "own_settings"]


def group_settings(data: PosteriorData, group: tuple[str, str]) -> dict[str, float]:
    """Return the knobs that are the same in all rows of a group; none of one without rows.

    Parameters
    ----------
    data : PosteriorData
    group : (gpu, stack)
    """
    found = dict(dict(zip(data.groups, _of_donors(data), strict=True)).get(group, {}))
    if group in data.targets:
        rows = data.targets[group].rows
        same = [knob for knob in data.spec.knobs if rows[knob].nunique() == 1]
        found |= {knob: float(rows[knob].iloc[0]) for knob in same}
    return found


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


def _of_donors(data: PosteriorData) -> list[dict[str, float]]:
    """Settings of each group of the fit; none are known of old fits."""
    found: list[dict[str, float]] = data.attrs.get("constants", [{}] * len(data.groups))
    return found
