"""A stage's hurdle in a posterior's tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import xarray as xr

from bayeslat.features.spec import Spec
from bayeslat.inference.hurdles.hurdle import HurdlePosterior
from bayeslat.inference.storage.labelled import Variables, label

__all__ = ["hurdle_group", "read_hurdle"]

_DESCRIPTIONS: Mapping[str, str] = {
    "low": "lower end of the training range",
    "high": "upper end of the training range",
    "spread": "sd between groups of each effect",
    "below_ms": "quantiles of the latency below the hurdle, equally likely parts",
    "below_rows": "how many rows the latency below the hurdle stands on",
    "effect": "effect on the logit of P(latency above the hurdle), features on [-1, 1]",
}
_SHARED = "shared"
_CONSTANT = "constant"


def hurdle_group(
    hurdle: HurdlePosterior, spec: Spec, stage: str, groups: Sequence[str]
) -> xr.Dataset:
    """Lay a hurdle out.

    Parameters
    ----------
    hurdle : HurdlePosterior
    spec : Spec
    stage : str
    groups : sequence of str
        Labels of the fitted groups.

    Returns
    -------
    Dataset
    """
    part = spec.stages[stage].hurdle
    features = [feature.text for feature in part.features] if part else []
    variables: Variables = {
        "low": (("hurdle_feature",), hurdle.low),
        "high": (("hurdle_feature",), hurdle.high),
        "spread": (("sample",), hurdle.spread),
        "effect": (("sample", "hurdle_group", "hurdle_column"), hurdle.effects),
        "below_ms": (("hurdle_group", "quantile"), hurdle.below_ms),
        "below_rows": (("hurdle_group",), hurdle.below_rows),
    }
    # Dimensions of its own: a group of a tree shares those of its parent, the stage.
    labels = {
        "hurdle_feature": features,
        "hurdle_group": [*groups, _SHARED],
        "hurdle_column": [_CONSTANT, *features],
    }
    # NetCDF has no arrays without elements.
    held = {name: pair for name, pair in variables.items() if pair[1].size}
    return label(held, labels, _DESCRIPTIONS)


def read_hurdle(stored: xr.Dataset) -> HurdlePosterior:
    """Rebuild a hurdle.

    Parameters
    ----------
    stored : Dataset
        What `hurdle_group` made.

    Returns
    -------
    HurdlePosterior

    Raises
    ------
    KeyError
        If something is missing.
    """
    spread, effects = stored["spread"].to_numpy(), stored["effect"].to_numpy()
    edges = [stored[name].to_numpy() if name in stored else spread[:0] for name in ("low", "high")]
    return HurdlePosterior(
        low=edges[0],
        high=edges[1],
        spread=spread,
        effects=effects,
        below_ms=stored["below_ms"].to_numpy(),
        below_rows=stored["below_rows"].to_numpy(),
    )
