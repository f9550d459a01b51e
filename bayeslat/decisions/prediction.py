"""A prediction: draws of latency, and the numbers that people read off them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.arguments import no_names, refuse
from bayeslat.counted import counted, listed
from bayeslat.decisions.evidence import Evidence
from bayeslat.decisions.hurdle_prediction import HurdlePrediction
from bayeslat.decisions.run_exceeds import exceed_given
from bayeslat.decisions.stage_prediction import StagePrediction
from bayeslat.decisions.summary import summarise_draws
from bayeslat.errors import InputError
from bayeslat.finite import wrong_budget

__all__ = ["P_EXCEED", "TOTAL", "Of", "Prediction", "StagePrediction"]

type Of = Literal["run", "typical"]
"""What is predicted: one further measured run, with its noise, or the run-to-run median."""

TOTAL = "total"
P_EXCEED = "p_exceed"
_BLOCK = 256  # configs


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """Predicted latency of configurations on one GPU.

    Attributes
    ----------
    configs : DataFrame, one row a config
    stages : mapping of stage to StagePrediction
    evidence : tuple of Evidence
        What was measured of the GPU, with each stack that the configs name.
    rests_on : ndarray of int, shape (config,)
        The place of each config's evidence among them.
    noise_correlation : DataFrame, stage by stage, or None
        How the noise of a run strikes the stages together, as a Gaussian copula; None where they
        are independent.
    of : {"run", "typical"}
        What was predicted: one further measured run, or the run-to-run median.
    """

    configs: pd.DataFrame
    stages: Mapping[str, StagePrediction]
    evidence: tuple[Evidence, ...]
    rests_on: NDArray[np.int64]
    noise_correlation: pd.DataFrame | None = None
    of: Of = "run"

    def __repr__(self) -> str:
        gpu = listed(dict.fromkeys(each.gpu for each in self.evidence))
        stacks = listed(each.stack for each in self.evidence if each.stack)
        unseen = ", zero-shot" if self.zero_shot.any() else ""
        return (
            f"<Prediction of {gpu}{f' with {stacks}' if stacks else ''}: "
            f"{counted(len(self.configs), 'config')}{unseen}; {listed(self.stages)}; of {self.of}>"
        )

    def draws(self, stage: str = TOTAL) -> NDArray[np.float64]:
        """Draws of a stage's latency, or of the total, in ms. Shape (config, draw).

        They are not to be written to: copy them.

        Raises
        ------
        InputError
            If there is no such stage.
        """
        if stage == TOTAL:
            return self._total({name: part.run_ms for name, part in self.stages.items()})
        self._known(stage)
        return _read_only(self.stages[stage].run_ms)

    def typical(self, stage: str = TOTAL) -> NDArray[np.float64]:
        """Draws by the effects alone, without any noise, in ms. Shape (config, draw)."""
        if stage == TOTAL:
            return self._total({name: part.median_ms for name, part in self.stages.items()})
        self._known(stage)
        return _read_only(self.stages[stage].median_ms)

    def p_exceed(self, budget_ms: float, stage: str = TOTAL) -> NDArray[np.float64]:
        """P(latency > budget) of each config. Shape (config,).

        The mean over the draws of `p_exceed_given`.

        Parameters
        ----------
        budget_ms : float
        stage : str
            Or `total`.

        Raises
        ------
        InputError
            If the budget is not a positive number, or there is no such stage.
        """
        return self.p_exceed_given(budget_ms, stage).mean(axis=1)

    def p_exceed_given(self, budget_ms: float, stage: str = TOTAL) -> NDArray[np.float64]:
        """P(latency > budget) given each draw, over the noise of a run, or of a typical run.

        Parameters
        ----------
        budget_ms : float
        stage : str
            Or `total`.

        Returns
        -------
        ndarray, shape (config, draw)

        Raises
        ------
        InputError
            If the budget is not a positive number, or there is no such stage.
        """
        if problem := wrong_budget("budget_ms", budget_ms):
            raise InputError(problem)
        if stage != TOTAL:
            self._known(stage)
        names = list(self.stages) if stage == TOTAL else [stage]
        correlation = self.noise_correlation
        if correlation is not None:
            correlation = correlation.loc[names, names]
        blocks = [[part.stages[name] for name in names] for part in self._blocks()]
        return np.concatenate(
            [exceed_given(parts, budget_ms, correlation, add=stage == TOTAL) for parts in blocks]
        )

    def variance_ms2(self, stage: str = TOTAL) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Split the predictive variance by the law of total variance, in ms^2.

        Parameters
        ----------
        stage : str
            Or `total`.

        Returns
        -------
        epistemic : ndarray, shape (config,)
            What more measurements would take away: the variance of the mean of a run.
        aleatoric : ndarray, shape (config,)
            What stays: the mean variance of a run round its mean.
        """
        names = list(self.stages) if stage == TOTAL else [stage]
        aleatoric = np.zeros(len(self.configs))
        mean: NDArray[np.float64] = np.zeros((len(self.configs), 1))
        earlier: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        for name in names:
            self._known(name)
            part = self.stages[name]
            centre = part.noise.mean(axis=1, keepdims=True)
            left = part.noise - centre
            weight = part.times if stage == TOTAL else np.ones(len(self.configs))
            if part.hurdle is not None:
                centres, variances = part.moments_ms()
                mean = mean + weight[:, None] * centres
                aleatoric += weight**2 * variances.mean(axis=1)
                continue
            typical = weight[:, None] * part.typical_ms
            mean = mean + typical * centre
            aleatoric += (typical**2).mean(axis=1) * (left**2).mean(axis=1)
            if self.noise_correlation is not None:
                for other, its_left in earlier:
                    both = (left * its_left).mean(axis=1)
                    aleatoric += 2.0 * (typical * other).mean(axis=1) * both
                earlier.append((typical, left))
        return mean.var(axis=1), aleatoric

    @cached_property
    def zero_shot(self) -> NDArray[np.bool_]:
        """Whether the GPU (and stack) was not measured in a stage that runs. Shape (config,)."""
        return self.unmeasured_in(self.stages)

    def unmeasured_in(self, stages: Iterable[str]) -> NDArray[np.bool_]:
        """Tell where one of some stages runs of which the GPU (and stack) has no row.

        Parameters
        ----------
        stages : iterable of str

        Returns
        -------
        ndarray of bool, shape (config,)
        """
        found = np.zeros(len(self.configs), dtype=bool)
        for stage in stages:
            lacks = np.array([stage in each.unmeasured for each in self.evidence])
            found |= lacks[self.rests_on] & (self.stages[stage].times > 0)
        return found

    @cached_property
    def extrapolates(self) -> NDArray[np.bool_]:
        """Whether a config leaves the training range in any stage. Shape (config,)."""
        return np.any([part.excess.any(axis=1) for part in self.stages.values()], axis=0)

    def left_in(self, stages: Iterable[str]) -> list[str]:
        """Per config, what left the training range of any of some stages, joined by `, `.

        Parameters
        ----------
        stages : iterable of str

        Raises
        ------
        InputError
            If it is no list of stages.
        """
        stages = self._listed(stages)
        left: list[dict[str, None]] = [{} for _ in range(len(self.configs))]
        for part in map(self.stages.__getitem__, stages):
            for row, j in zip(*np.nonzero(part.excess), strict=True):
                left[row][part.coordinates[j]] = None
        return [", ".join(names) for names in left]

    @property
    def left_range(self) -> list[str]:
        """Per config, what left the training range, as `stage: feature`, joined by `; `."""
        labels = [""] * len(self.configs)
        for row in np.flatnonzero(self.extrapolates):
            labels[row] = "; ".join(
                f"{stage}: {part.coordinates[j]}"
                for stage, part in self.stages.items()
                for j in np.flatnonzero(part.excess[row])
            )
        return labels

    @property
    def frame(self) -> pd.DataFrame:
        """The configs with, for each stage and `total`, the columns of `summarise_draws`.

        Further columns: `extrapolates`, `extrapolates_in` and `zero_shot`. Columns of these names
        in the configs are from an earlier prediction and are left out, and so is `p_exceed`, which
        is of a budget. What is written to it stays there: the next frame is as the first.
        """
        return self._frame.copy(deep=False)

    @cached_property
    def _frame(self) -> pd.DataFrame:
        """What `frame` copies: pandas copies a column when it is written to."""
        blocks = [part._summary() for part in self._blocks()]
        columns: dict[str, Any] = {
            name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]
        }
        columns["extrapolates"] = self.extrapolates
        columns["extrapolates_in"] = self.left_range
        columns["zero_shot"] = self.zero_shot
        clash = [name for name in (*columns, P_EXCEED) if name in self.configs]
        new = pd.DataFrame(columns, index=self.configs.index)
        return pd.concat([self.configs.drop(columns=clash), new], axis=1)

    @classmethod
    def interleave(
        cls,
        configs: pd.DataFrame,
        rows: Sequence[NDArray[np.int64]],
        parts: Sequence[Prediction],
    ) -> Prediction:
        """Put predictions of some of the configs each back into the order of all.

        Parameters
        ----------
        configs : DataFrame, one row a config
        rows : sequence of ndarray of int
            Positions of each part's configs.
        parts : sequence of Prediction

        Returns
        -------
        Prediction
        """
        order = np.argsort(np.concatenate(rows), kind="stable")

        def join(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
            return np.concatenate(values)[order]

        stages = {}
        for stage, first in parts[0].stages.items():
            each = [part.stages[stage] for part in parts]
            shapes = [one.typical_ms.shape for one in each]
            stages[stage] = StagePrediction(
                typical_ms=join([one.typical_ms for one in each]),
                log_noise=join(list(map(np.broadcast_to, [one.log_noise for one in each], shapes))),
                noise_sd=join(list(map(np.broadcast_to, [one.noise_sd for one in each], shapes))),
                times=join([one.times for one in each]),
                excess=join([one.excess for one in each]),
                coordinates=first.coordinates,
                noise_dof=first.noise_dof,
                hurdle=HurdlePrediction.interleave([one.hurdle for one in each], order),
            )
        evidence = tuple(dict.fromkeys(each for part in parts for each in part.evidence))
        places = [np.array([evidence.index(each) for each in part.evidence]) for part in parts]
        rests_on = np.concatenate(
            [place[part.rests_on] for place, part in zip(places, parts, strict=True)]
        )[order]
        return cls(configs, stages, evidence, rests_on, parts[0].noise_correlation, parts[0].of)

    def _summary(self) -> dict[str, NDArray[np.float64]]:
        """Numbers of every stage and the total, by column."""
        columns: dict[str, NDArray[np.float64]] = {}
        for stage in (*self.stages, TOTAL):
            summary = summarise_draws(self.draws(stage))
            epistemic, aleatoric = self.variance_ms2(stage)
            if self._has_hurdle(stage):  # few draws are above it, which say little of their mean
                summary["mean"] = self._mean_ms(stage)
                summary["sd"] = np.sqrt(epistemic + aleatoric)
            summary["epistemic_sd"], summary["aleatoric_sd"] = (
                np.sqrt(epistemic),
                np.sqrt(aleatoric),
            )
            columns |= {f"{stage}_{name}_ms": values for name, values in summary.items()}
        return columns

    def _blocks(self) -> Iterator[Prediction]:
        """Split the configs into blocks whose draws stay in a CPU's cache."""
        for start in range(0, len(self.configs), _BLOCK):
            rows = slice(start, start + _BLOCK)
            stages = {name: part.rows(rows) for name, part in self.stages.items()}
            yield replace(
                self, configs=self.configs.iloc[rows], stages=stages, rests_on=self.rests_on[rows]
            )

    def _has_hurdle(self, stage: str) -> bool:
        """Tell whether a stage, or one of the total, may take no time."""
        parts = self.stages.values() if stage == TOTAL else [self.stages[stage]]
        return any(part.hurdle is not None for part in parts)

    def _mean_ms(self, stage: str) -> NDArray[np.float64]:
        """Mean of a run of a stage or the total. Shape (config,)."""
        means = {name: part.moments_ms()[0] for name, part in self.stages.items()}
        mean: NDArray[np.float64] = (self._total(means) if stage == TOTAL else means[stage]).mean(
            axis=1
        )
        return mean

    def _total(self, latency: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Add the stages up, each as often as it runs."""
        total = np.zeros(1)
        for name, part in self.stages.items():
            total = total + part.times[:, None] * latency[name]
        return total

    def _known(self, stage: object) -> None:
        if not isinstance(stage, str) or stage not in self.stages:
            raise InputError(
                f"no stage {stage!r}; the posterior has {', '.join(self.stages)} and total"
            )

    def _listed(self, stages: Iterable[str]) -> list[str]:
        """Return names of stages, each of which is known."""
        if isinstance(stages, str) or not isinstance(stages, Iterable):
            refuse([no_names("stages", stages)])
        names: list[Any] = list(stages)
        for name in names:
            if not isinstance(name, str) or name not in self.stages:
                raise InputError(f"no stage {name!r}; the posterior has {', '.join(self.stages)}")
        return names


def _read_only(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a view that cannot be written to: the predictions stand on what it shows."""
    view = values.view()
    view.flags.writeable = False
    return view
