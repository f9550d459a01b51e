"""Errors on GPUs that were held out, and what they say of donors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayeslat.decisions.prediction import TOTAL

__all__ = ["ALL", "CrossValidation"]

ALL = "all"
"""The set of all other donors."""


@dataclass(frozen=True)
class CrossValidation:
    """Errors on GPUs that were held out.

    Attributes
    ----------
    donors : tuple of str
    scores : DataFrame, one row a target, donor set, number of rows, split and stage
        `target`, `change` (`all`, `without X` or `with X`), `donors`, `rows`, `split`, `stage`,
        `mape`, `coverage_90` and `width_90`; of the total too where it is measured.
    """

    donors: tuple[str, ...]
    scores: pd.DataFrame

    @property
    def headline(self) -> tuple[str, ...]:
        """What targets are judged by: the total, or each stage where the total is not measured."""
        stages = tuple(dict.fromkeys(self.scores["stage"]))
        return (TOTAL,) if TOTAL in stages else stages

    def expected(self) -> pd.DataFrame:
        """Error to expect on the next GPU, one row a number of rows and stage.

        Mean over the targets of the mean over splits, and the worst target.
        """
        return _over_targets(self.scores[self.scores["change"] == ALL])

    def by_target(self) -> pd.DataFrame:
        """Error on each GPU from all others, one row a GPU and number of rows.

        Of the total; where it is not measured, the mean over stages.
        """
        chosen = self._judged[self._judged["change"] == ALL]
        grouped = chosen.groupby(["target", "rows"], sort=False)
        return grouped[["mape", "coverage_90", "width_90"]].mean().reset_index()

    def changes(self) -> pd.DataFrame:
        """What a donor is worth: error with it over that without it, of what `by_target` judges.

        Returns
        -------
        DataFrame, one row a change and number of rows
            `change`, `rows`, `mape` (with the change), `mape_all` (without it, on the same targets)
            and `ratio`; the most helpful donors first: to add by the least ratio, to leave out by
            the greatest.
        """
        means = (
            self._judged.groupby(["target", "change", "rows"], sort=False)["mape"]
            .mean()
            .reset_index()
        )
        base = means[means["change"] == ALL].drop(columns="change")
        both = means[means["change"] != ALL].merge(
            base, on=["target", "rows"], suffixes=("", "_all")
        )
        if both.empty:
            return both.assign(ratio=[])
        both["ratio"] = both["mape"] / both["mape_all"]
        grouped = both.groupby(["change", "rows"], sort=False)
        table = grouped[["mape", "mape_all"]].mean()
        table["ratio"] = np.exp(
            np.log(both["ratio"]).groupby([both["change"], both["rows"]]).mean()
        )
        table = table.reset_index()
        added = table["change"].str.startswith("with ")
        table["helps"] = np.where(added, -table["ratio"], table["ratio"])
        ordered = table.assign(left=~added).sort_values(
            ["rows", "left", "helps"], ascending=[True, True, False], ignore_index=True
        )
        return ordered.drop(columns=["helps", "left"])

    @property
    def _judged(self) -> pd.DataFrame:
        return self.scores[self.scores["stage"].isin(self.headline)]

    def next_donor(self) -> str | None:
        """The candidate that lowers the error at N = 0 the most; None if none lowers it."""
        table = self.changes()
        if table.empty:
            return None
        first = table[
            (table["rows"] == table["rows"].min()) & table["change"].str.startswith("with ")
        ]
        if first.empty or first["ratio"].min() >= 1.0:
            return None
        return str(first.loc[first["ratio"].idxmin(), "change"]).removeprefix("with ")


def _over_targets(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over targets and the worst of them."""
    by_target = scores.groupby(["stage", "rows", "target"], sort=False).mean(numeric_only=True)
    grouped = by_target.groupby(level=["stage", "rows"], sort=False)
    return pd.DataFrame(
        {
            "mape": grouped["mape"].mean(),
            "mape_worst": grouped["mape"].max(),
            "worst_target": grouped["mape"].idxmax().map(lambda key: key[2]),
            "coverage_90": grouped["coverage_90"].mean(),
            "width_90": grouped["width_90"].mean(),
        }
    ).reset_index()
