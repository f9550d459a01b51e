"""Arguments that cannot be: all that is wrong, at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import numpy as np
import pandas as pd

from bayeslat.counted import counted
from bayeslat.decisions.suggest.options import FREE, LATENCY, SuggestOptions
from bayeslat.decisions.suggest.registry import METHODS
from bayeslat.errors import InputError
from bayeslat.features.spec import Spec
from bayeslat.finite import is_count, tell, tell_count, wrong_budget
from bayeslat.traces.cells import blank
from bayeslat.traces.names import STACK, wrong_stack

__all__ = ["check_request", "stacks_named"]


def check_request(
    spec: Spec, candidates: object, count: int, stack: str | None, options: SuggestOptions
) -> None:
    """Refuse arguments with impossible values.

    Parameters
    ----------
    spec : Spec
        Which says what makes a stack.
    candidates : object
        A table, if all is well.
    count : int
    stack : str or None
    options : SuggestOptions

    Raises
    ------
    InputError
        With every problem.
    """
    problems = [*_problems(candidates, count, options), *_stack_problems(spec, candidates, stack)]
    if problems:
        raise InputError("; ".join(problems))


def _problems(candidates: object, count: int, options: SuggestOptions) -> Iterator[str]:
    """Say what is wrong with the arguments."""
    if not is_count(count, 1):
        yield f"n is {tell_count(count)}; it must be a whole number from 1 on"
    if options.objective not in ("total", "guardrail"):
        yield f"objective is {options.objective!r}; it must be total or guardrail"
    budget = options.budget_ms
    if budget is not None and (problem := wrong_budget("budget_ms", budget)):
        yield problem
    if options.objective == "guardrail" and budget is None:
        yield "objective is guardrail, without a budget; give budget_ms"
    if options.objective == "total" and budget is not None:
        yield f"budget_ms is {tell(budget)}, which objective total does not use; choose guardrail"
    yield from _method_problems(options.method)
    if not isinstance(candidates, pd.DataFrame):
        yield f"candidates is a {type(candidates).__name__}; read a table with read_configs(path)"
    elif options.cost not in (FREE, LATENCY):
        yield from _cost_problems(candidates, options.cost)
    if isinstance(candidates, pd.DataFrame) and options.strata not in (None, LATENCY):
        yield from _strata_problems(candidates, str(options.strata))


def _method_problems(method: object) -> Iterator[str]:
    """Say that a method is none."""
    if not isinstance(method, str):
        yield f"method is {method!r}; it must be one of {', '.join(METHODS)}"
    elif method not in METHODS:
        near = difflib.get_close_matches(method, METHODS, n=1, cutoff=0.0)[0]
        yield f"no method {method!r}; nearest: {near}. All: {', '.join(METHODS)}"


def _cost_problems(candidates: pd.DataFrame, name: str) -> Iterator[str]:
    """Say what is wrong with a column of costs."""
    if name not in candidates:
        columns = ", ".join(map(str, candidates.columns))
        yield f"cost is {name!r}; it must be none, latency or a column of candidates ({columns})"
        return
    values = pd.to_numeric(candidates[name], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        row = int(bad.argmax())
        yield (
            f"cost {name!r} is {candidates[name].iloc[row]} at row {row + 1}, and no positive "
            f"number of ms in {counted(int(bad.sum()), 'row')}; correct them, or leave these "
            "candidates out"
        )


def _strata_problems(candidates: pd.DataFrame, name: str) -> Iterator[str]:
    """Say what is wrong with a column of strata."""
    if name not in candidates:
        columns = ", ".join(map(str, candidates.columns))
        yield f"strata is {name!r}; it must be latency or a column of candidates ({columns})"
    elif (missing := candidates[name].isna().to_numpy()).any():
        yield (
            f"strata {name!r} is missing in {counted(int(missing.sum()), 'row')}, first in "
            f"row {int(missing.argmax()) + 1}; name a stratum there, or leave these candidates out"
        )


def _stack_problems(spec: Spec, candidates: object, stack: str | None) -> Iterator[str]:
    """Say what is wrong with the stacks that are named."""
    if problem := wrong_stack(stack):
        yield problem
    elif isinstance(candidates, pd.DataFrame):
        named = stacks_named(spec.complete(candidates, stack), None)
        told = stacks_named(candidates, None)  # without the columns that tell stacks apart
        if stack is not None and (told or not named) and stack not in [*named, *told]:
            named.append(stack)
        if len(named) > 1:
            yield (
                f"candidates are of the stacks {', '.join(map(str, named))}; choose for one at a "
                "time: give the rows of one, or drop the column"
            )


def stacks_named(candidates: pd.DataFrame, stack: str | None) -> list[object]:
    """Stacks that are named, by the argument or a column; a column has each row's own."""
    named = [] if stack is None else [stack]
    if STACK in candidates:
        named = [*candidates.loc[~blank(candidates[STACK]), STACK], *named]
    return list(dict.fromkeys(named))
