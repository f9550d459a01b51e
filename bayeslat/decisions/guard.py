"""The guardrail: accept, reject, or measure first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.arguments import check_tables
from bayeslat.decisions.doubted import is_doubted
from bayeslat.decisions.exceedance import Exceedance
from bayeslat.decisions.own_runs import least_chance
from bayeslat.decisions.predict import Of, predict, wrong_of
from bayeslat.decisions.prediction import TOTAL, Prediction
from bayeslat.errors import InputError
from bayeslat.features.hardware import Gpu
from bayeslat.finite import tell, wrong_budget, wrong_share
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.traces.names import wrong_stack
from bayeslat.traces.row_stacks import split_by_stack

__all__ = ["Budget", "Guard", "check_guard", "make_budgets", "stage_problems"]

_CENTRAL = (0.05, 0.95)  # of the posterior: what it holds possible


@dataclass(frozen=True)
class Budget:
    """A latency that some stages may take together.

    Attributes
    ----------
    ms : float
    stages : tuple of str
        Empty for the total. A single stage counts for one run, so that a budget of a decode stage
        is one per token; several count as often as they run in a request, as the time to the first
        token does. What does not run keeps any budget.
    """

    ms: float
    stages: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Name what it bounds."""
        return "+".join(self.stages) or TOTAL

    @property
    def bounded(self) -> tuple[tuple[str, ...], ...]:
        """Its stages, if it is not of the total: what is measured for it beside that."""
        return (self.stages,) if self.stages else ()

    def of(self, prediction: Prediction) -> tuple[Prediction, str]:
        """Return the part of a prediction that it bounds, and the name of the sum."""
        if not self.stages:
            return prediction, TOTAL
        if len(self.stages) == 1:
            return prediction, self.stages[0]
        held = {name: prediction.stages[name] for name in self.stages}
        return replace(prediction, stages=held), TOTAL


@dataclass(frozen=True, eq=False, repr=False)
class Guard:
    """Decides which configurations a GPU may be given.

    Attributes
    ----------
    data : PosteriorData
    gpu : Gpu
    budgets : tuple of Budget
        All of them have to be met.
    max_risk : float
        The largest p_exceed that is accepted.
    stack : str or None
    of : {"run", "typical"}
        What the budget is for: each single request (one run, with its noise), or the run-to-run
        median of a configuration.
    seed : int
    """

    data: PosteriorData
    gpu: Gpu
    budgets: tuple[Budget, ...]
    max_risk: float = 0.05
    stack: str | None = None
    of: Of = "run"
    seed: int = 0

    def __repr__(self) -> str:
        stack = f" with {self.stack}" if self.stack else ""
        budgets = ", ".join(f"{budget} {tell(budget.ms)} ms" for budget in self.budgets)
        return (
            f"<Guard of {self.gpu.key}{stack}: {budgets}; max_risk {tell(self.max_risk)}, "
            f"of {self.of}>"
        )

    def predict(self, configs: pd.DataFrame) -> Prediction:
        """Predict what the budgets are for.

        Parameters
        ----------
        configs : DataFrame, one row a config

        Returns
        -------
        Prediction

        Raises
        ------
        TraceError
            With every config that the spec cannot take, by file and row.
        InputError
            If `configs` is no table.
        """
        check_tables(configs=configs)
        return predict(self.data, configs, self.gpu, stack=self.stack, of=self.of, seed=self.seed)

    def decide(self, configs: pd.DataFrame) -> pd.DataFrame:
        """Decide about configurations.

        `accept` if P(latency > budget) is at most `max_risk`, else `reject`; also where its own
        runs, if the GPU was calibrated, were over too often for `max_risk`, with 95 % confidence
        (at 5 %, two of up to seven). `measure` where the posterior does not know: p_exceed given
        the GPU lies on both sides of `max_risk` over the central 90 % of the posterior, so that
        measuring could turn the answer; or it would be accepted, but its own measurement was set
        aside as a gross error, or in a stage that a budget holds the configuration leaves the range
        of the fit, or the GPU was not measured.

        Parameters
        ----------
        configs : DataFrame, one row a config

        Returns
        -------
        DataFrame, one row a config
            The configs with `p_exceed`, `p_exceed_low` and `p_exceed_high` (its 5 % and 95 %
            quantile over the posterior), of the budget that is the likeliest to be exceeded;
            `decision`; `reason`, empty where p_exceed alone decides; and `left_in`, what leaves the
            range of the fit in a stage that a budget holds.

        Raises
        ------
        TraceError
            With every config that the spec cannot take, by file and row.
        InputError
            If `configs` is no table.
        """
        return self.predict_and_decide(configs)[1]

    def predict_and_decide(self, configs: pd.DataFrame) -> tuple[Prediction, pd.DataFrame]:
        """Return what `predict` and `decide` do, predicting once.

        Parameters
        ----------
        configs : DataFrame, one row a config

        Returns
        -------
        prediction : Prediction
        decided : DataFrame, one row a config
        """
        prediction = self.predict(configs)
        decided = self.judge(prediction).decide(self.max_risk)
        kept = configs.drop(columns=[name for name in decided if name in configs])
        return prediction, pd.concat([kept, decided.set_index(configs.index)], axis=1)

    def judge(self, prediction: Prediction) -> Exceedance:
        """Return the chances that a prediction gives to the budgets.

        Parameters
        ----------
        prediction : Prediction
            Of this posterior, for this GPU, of what `of` says.
        """
        bounds = [self._bound(prediction, budget) for budget in self.budgets]
        p_exceed, low, high = (np.stack(each) for each in zip(*bounds, strict=True))
        held = self._held
        left_in = np.array(prediction.left_in(held), dtype=object)
        gaps = np.array([each.gap for each in prediction.evidence], dtype=object)
        gap = np.where(prediction.unmeasured_in(held), gaps[prediction.rests_on], "")
        doubted, shown = self._by_own_runs(prediction.configs)
        return Exceedance(p_exceed, low, high, left_in, gap, doubted, shown)

    @property
    def _held(self) -> tuple[str, ...]:
        """The stages that a budget holds."""
        if any(not budget.stages for budget in self.budgets):
            return tuple(self.data.stages)
        named = {name for budget in self.budgets for name in budget.stages}
        return tuple(name for name in self.data.stages if name in named)

    def _by_own_runs(self, configs: pd.DataFrame) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Whether configurations' own runs are doubted, and how often they show an excess.

        Shapes (config,).
        """
        doubted, shown = np.zeros(len(configs), dtype=bool), np.zeros(len(configs))
        for stack, rows in split_by_stack(configs, self.stack).items():
            own = configs.iloc[rows]
            doubted[rows] = is_doubted(self.data, self.gpu.key, stack, own)
            for budget in self.budgets:
                stages, once = budget.stages or tuple(self.data.stages), len(budget.stages) == 1
                given = (self.data, self.gpu, stack, own, stages, budget.ms)
                shown[rows] = np.maximum(shown[rows], least_chance(*given, once=once))
        # The typical run is over where more than half of the runs are.
        return doubted, shown if self.of == "run" else (shown > 0.5).astype(float)

    def _bound(
        self, prediction: Prediction, budget: Budget
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """P_exceed of a budget, and its range over the posterior. Shapes (config,)."""
        part, name = budget.of(prediction)
        given = part.p_exceed_given(budget.ms, name)
        if name != TOTAL:  # a total of stages that do not run takes no time by itself
            given = np.where(part.stages[name].times[:, None] > 0, given, 0.0)
        low, high = np.quantile(given, _CENTRAL, axis=1)
        return given.mean(axis=1), low, high


def check_guard(
    stages: Sequence[str],
    budget_ms: float | None,
    stage_budgets_ms: Mapping[str, float] = MappingProxyType({}),
    max_risk: float = 0.05,
    *,
    stack: str | None = None,
    of: Of = "run",
) -> tuple[Budget, ...]:
    """Check the settings of a guard, and return its budgets.

    Parameters
    ----------
    stages : sequence of str
        Those of the spec.
    budget_ms : float or None
        Of the total.
    stage_budgets_ms : mapping of stage names, joined by +, to float
    max_risk : float
    stack : str or None
    of : {"run", "typical"}

    Returns
    -------
    tuple of Budget

    Raises
    ------
    InputError
        With every setting that breaks a rule.
    """
    if not isinstance(stage_budgets_ms, Mapping):
        raise InputError(
            f"stage_budgets_ms is a {type(stage_budgets_ms).__name__}; give the ms of each stage "
            "by its name, as in {'llm_prefill': 300.0}"
        )
    problems, named = [], {}
    for text, ms in stage_budgets_ms.items():
        if isinstance(text, str):
            named[text] = ms
        else:
            problems.append(f"stage_budgets_ms names {text!r}; name a stage: {', '.join(stages)}")
    budgets = make_budgets(budget_ms, named)
    if not budgets and not stage_budgets_ms:
        problems.append("no budget is given; give budget_ms of the total, or of stages")
    problems += [problem for budget in budgets for problem in stage_problems(budget, stages)]
    problems += [wrong_budget(f"the budget of {budget}", budget.ms) for budget in budgets]
    problems.append(wrong_share("max_risk", max_risk, "0.05 for 5 %"))
    problems += [wrong_stack(stack), wrong_of(of)]
    if told := [problem for problem in problems if problem]:
        raise InputError("; ".join(told))
    return budgets


def make_budgets(
    budget_ms: float | None, stage_budgets_ms: Mapping[str, float]
) -> tuple[Budget, ...]:
    """Make budgets of what names them; whether they are possible is not looked at.

    Parameters
    ----------
    budget_ms : float or None
        Of the total.
    stage_budgets_ms : mapping of stage names, joined by +, to float
    """
    budgets = [] if budget_ms is None else [Budget(budget_ms)]
    for text, ms in stage_budgets_ms.items():
        budgets.append(Budget(ms, tuple(name.strip() for name in text.split("+"))))
    return tuple(budgets)


def stage_problems(budget: Budget, stages: Collection[str]) -> Iterator[str]:
    """Say what is wrong with the stages of a budget.

    Parameters
    ----------
    budget : Budget
    stages : collection of str
        Those of the spec.
    """
    if unknown := [name for name in budget.stages if name not in stages]:
        yield f"no stage {', '.join(map(repr, unknown))}; the posterior has {', '.join(stages)}"
    if len(set(budget.stages)) < len(budget.stages):
        yield f"budget of {str(budget)!r}: a stage stands there twice; name each once"
