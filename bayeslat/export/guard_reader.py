"""Reads a guard bundle and decides about configurations. Needs Python 3.10 and NumPy, no more.

The file stands for itself: copy it beside the bundle, to wherever requests are scheduled.

>>> bundle = load("guard.bundle")  # doctest: +SKIP
>>> bundle.decide_one({"batch_size": 8, ...}, budget_ms=500.0)  # doctest: +SKIP
('accept', 0.0123)
>>> bundle.decide({"batch_size": batch_sizes, ...}, budget_ms=500.0)  # doctest: +SKIP
(array(['accept', 'reject', 'measure', ...]), array([0.0123, ...]))

A bundle is data: arithmetic steps, of which this file knows all kinds, and arrays of numbers.
Nothing in it is run as code.

The log latency of a stage is its physics plus a linear function of the posterior's draws. Far from
the budget their mean and variance decide; near it each draw does, in 32 bits; and what leaves the
range of the fit is computed in full.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["ACCEPT", "FORMAT_VERSION", "MEASURE", "REJECT", "BundleError", "GuardBundle", "load"]

MAGIC = b"bayeslat guard bundle\n"
FORMAT_VERSION = 1
SEAL = b"sha256:"
ACCEPT, REJECT, MEASURE = "accept", "reject", "measure"

_Array = np.ndarray[Any, Any]
_Function = Callable[[Sequence[Any]], Any]

_ANSWERS = np.array([ACCEPT, REJECT, MEASURE])
_DTYPES: dict[str, Any] = {"<f4": np.dtype("<f4"), "<f8": np.dtype("<f8")}
_ROWS = 8192  # configurations at a time: what is computed of them stays in a CPU's cache
_FEW = 0.3  # of the configurations of a block
_NEAR_ROWS = 128  # of those whose draws are looked at
_CENTRAL = 0.05  # of the draws, on either side of what the posterior holds possible
_INSIDE = 1.0 + 1e-9  # of a coordinate, on [-1, 1] over its training range
_ROUNDING = 1e-9  # of a stage's physics: a term may be so little below 0
_MOST_LOG_MS = 50.0
_TINY = 1e-30
# As the run noise of bayeslat has them: see its decisions/run_noise.py.
_BODY_SLOPE, _MOST_BEND, _BEND_REACH = 1.5, 0.1, 4.0
_QUIET = 0.15  # part of a run's sd that is unsure: below, nearly all of it is noise
_EDGE, _EDGE_WIDTH = 1.6449, 0.5
_BENT = 0.02  # second order of a sum over its standard deviation: beyond, it is summed draw by draw
_CURVED = 0.02  # of the draws' second order: below, it is too small to matter
_REACH, _CELLS, _TAILS = 16.0, 2048, 1024  # of the tables of Student-t
_PER_SCALE = _CELLS / (2.0 * _REACH)
_MIDDLE, _LIMIT = np.float32(_CELLS // 2), np.float32(_CELLS - 1)


class BundleError(Exception):
    """A file is no guard bundle, cut short, changed, or of another format version."""


def load(path: str | os.PathLike[str]) -> GuardBundle:
    """Read a bundle.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    GuardBundle

    Raises
    ------
    BundleError
        If it is no bundle, cut short, changed, or of another format version.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:  # noqa: PTH123 (nothing is imported that is not needed)
            content = file.read()
    except OSError as error:
        raise BundleError(f"{name}: cannot be read ({error.strerror or error})") from None
    header, start = _read_header(name, content)
    try:
        return GuardBundle(header, _read_arrays(header, content, start))
    except (LookupError, TypeError, ValueError) as error:
        raise BundleError(
            f"{name}: holds what this reader cannot take ({error}); export it again"
        ) from error


def _read_header(name: str, content: bytes) -> tuple[dict[str, Any], int]:
    """Check version and seal; return the header, and where the arrays start."""
    if not content.startswith(MAGIC):
        raise BundleError(
            f"{name}: is not a guard bundle; name a file that `bayeslat export bundle` wrote"
        )
    line = content[len(MAGIC) : len(MAGIC) + 32].partition(b"\n")[0]
    version, _, size = line.partition(b" ")
    if version.isdigit() and int(version) != FORMAT_VERSION:
        raise BundleError(
            f"{name}: of format version {int(version)}, and this reader reads version "
            f"{FORMAT_VERSION}; use the reader that was written with the bundle, or export it again"
        )
    body = max(len(content) - len(SEAL) - 64, 0)
    if content[body:] != SEAL + hashlib.sha256(content[:body]).hexdigest().encode():
        raise BundleError(f"{name}: cut short or changed; copy it again, or export it again")
    first = len(MAGIC) + len(line) + 1
    end = first + int(size)
    return json.loads(content[first:end]), -(-end // 64) * 64


def _read_arrays(header: Mapping[str, Any], content: bytes, start: int) -> dict[str, _Array]:
    """Return the arrays by name, without copying them."""
    arrays = {}
    for entry in header["arrays"]:
        kind, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
        flat = np.frombuffer(content, kind, math.prod(shape), start + entry["offset"])
        arrays[entry["name"]] = flat.reshape(shape)
    return arrays


class GuardBundle:
    """The guardrail of one GPU and stack.

    Attributes
    ----------
    header : dict
        What the file says of itself: `gpu`, `stack`, `spec`, `seed`, `draws`, `made_with`, ...
    knobs : tuple of str
        What a configuration needs.
    ranges : dict of str to (float, float)
        Training range of each knob; beyond them nothing is accepted.
    stages : tuple of str
    tasks : tuple of str
        Those of the fit; empty where latency does not depend on the task. A configuration of
        another task, or of none, is as wide as tasks differ, and never accepted.
    zero_shot : bool
        Whether the GPU was not measured: nothing is accepted then.
    """

    def __init__(self, header: Mapping[str, Any], arrays: Mapping[str, _Array]) -> None:
        self.header = dict(header)
        self.knobs = tuple(each["name"] for each in header["knobs"])
        self.ranges = {each["name"]: (each["low"], each["high"]) for each in header["knobs"]}
        self.stages = tuple(each["name"] for each in header["stages"])
        self.tasks = tuple(header["tasks"])
        self.zero_shot = bool(header["zero_shot"])
        self._model = _Model(header, arrays)

    def decide_one(
        self,
        knobs: Mapping[str, Any],
        budget_ms: float | None = None,
        max_risk: float = 0.05,
        *,
        stage_budgets_ms: Mapping[str, float] | None = None,
        of: str = "run",
    ) -> tuple[str, float]:
        """Decide about one configuration.

        Parameters
        ----------
        knobs : mapping of str to float
            With `task`, where the fit had tasks. Other names are passed over, but for `gpu` and
            `stack`, which must be the bundle's.
        budget_ms : float, optional
            Of the total.
        max_risk : float
            The largest P(latency > budget) that is accepted.
        stage_budgets_ms : mapping of str to float, optional
            Further budgets: of one run of a stage, or of several stages joined by +.
        of : {"run", "typical"}
            What has to keep the budget: each single request, or the run-to-run median.

        Returns
        -------
        decision : {"accept", "reject", "measure"}
        p_exceed : float
            Of the budget that is the likeliest to be exceeded.

        Raises
        ------
        ValueError
            With every knob and setting that has an impossible value.
        """
        if of == "run" and not stage_budgets_ms:
            try:
                found = self._model.decide_one(knobs, budget_ms, max_risk)
            except (ArithmeticError, LookupError, TypeError, ValueError):
                found = None  # the general way tells what is wrong, or finds that nothing is
            if found is not None:
                return found
        columns = {name: [value] for name, value in knobs.items()}
        decisions, p_exceed = self.decide(
            columns, budget_ms, max_risk, stage_budgets_ms=stage_budgets_ms, of=of
        )
        return str(decisions[0]), float(p_exceed[0])

    def decide(
        self,
        columns: Mapping[str, Any],
        budget_ms: Any = None,
        max_risk: float = 0.05,
        *,
        stage_budgets_ms: Mapping[str, Any] | None = None,
        of: str = "run",
    ) -> tuple[_Array, _Array]:
        """Decide about many configurations.

        Parameters
        ----------
        columns : mapping of str to array_like, shape (config,)
            What `decide_one` takes; a single value counts for all.
        budget_ms : float or array_like, shape (config,), optional
            Of the total.
        max_risk : float
        stage_budgets_ms : mapping of str to float or array_like, shape (config,), optional
        of : {"run", "typical"}
            As `decide_one` takes them.

        Returns
        -------
        decisions : ndarray of str, shape (config,)
        p_exceed : ndarray, shape (config,)

        Raises
        ------
        ValueError
            With every knob and setting that has an impossible value.
        """
        problems: list[str] = []
        given = self._model.read(columns, problems)
        budgets = self._model.read_budgets(budget_ms, stage_budgets_ms, len(given[-1]), problems)
        if not 0 < max_risk < 1:
            problems.append(f"max_risk is {max_risk}; it must be between 0 and 1, as 0.05 for 5 %")
        if of not in ("run", "typical"):
            problems.append(f"of is {of!r}; it must be run or typical")
        if problems:
            raise ValueError("; ".join(problems))
        return self._model.decide(given, budgets, max_risk, typical=of == "typical")


class _Model:
    """What a bundle computes with: steps, stages, draws."""

    def __init__(self, header: Mapping[str, Any], arrays: Mapping[str, _Array]) -> None:
        knobs = header["knobs"]
        self.knobs = [str(each["name"]) for each in knobs]
        self.lows = [float(each["low"]) for each in knobs]
        self.highs = [float(each["high"]) for each in knobs]
        self.names_task, self.zero_shot = bool(header["names_task"]), bool(header["zero_shot"])
        self.own = {"gpu": header["gpu_names"], "stack": header["stack_names"]}
        self.far, self.reach = float(header["far"]), float(header["reach"])
        self.number_steps = [_make_step(step, _NUMBERS, len(knobs)) for step in header["steps"]]
        self.array_steps = [_make_step(step, _ARRAYS, len(knobs)) for step in header["steps"]]
        self.checks: dict[tuple[float, float, int], int] = {}  # coordinates on [-1, 1]
        self.stages: list[_Stage] = []
        for at, entry in enumerate(header["stages"]):
            first = self.stages[-1].rows.stop if self.stages else 0
            self.stages.append(_Stage(entry, at, first, arrays, self.checks))
        self.with_tasks = [stage for stage in self.stages if stage.tasks]
        self.student = _Student(arrays["inverse_dof"], arrays["tails"], arrays["slope"])
        given = arrays.get("correlation")
        self.correlation = None if given is None else given.tolist()
        self.bounds: dict[tuple[str, bool], _Bound] = {}
        for outside in (False, True):
            self.bound("total", outside)

    def bound(self, text: str, outside: bool) -> _Bound:
        """Return what a budget of `total`, `stage` or `stage+stage` bounds.

        Raises
        ------
        ValueError
            If there is no such stage, or one stands there twice.
        """
        if (text, outside) not in self.bounds:
            places = {stage.name: at for at, stage in enumerate(self.stages)}
            names = list(places) if text == "total" else [name.strip() for name in text.split("+")]
            if unknown := [name for name in names if name not in places]:
                told = ", ".join(map(repr, unknown))
                raise ValueError(f"no stage {told}; the bundle has {', '.join(places)}")
            if len(set(names)) < len(names):
                raise ValueError("a stage stands there twice; name each once")
            chosen = sorted(places[name] for name in names)
            per_request = text == "total" or len(chosen) > 1
            self.bounds[text, outside] = _Bound(self, chosen, per_request, outside)
        return self.bounds[text, outside]

    # One configuration: plain numbers.

    def decide_one(
        self, knobs: Mapping[str, Any], budget_ms: Any, max_risk: float
    ) -> tuple[str, float] | None:
        """Decide about one configuration; None where a table would be refused, or may be."""
        values = self._numbers(knobs)
        if values is None or not (0.0 < budget_ms < math.inf and 0.0 < max_risk < 1.0):
            return None
        task, given = values[-1], values[:-1]
        for step in self.number_steps:
            values.append(step(values))
        checks = [offset + factor * values[at] for offset, factor, at in self.checks]
        outside = min(checks) < -_INSIDE or not max(checks) <= _INSIDE
        held = [
            min(max(value, low), high) for value, low, high in zip(given, self.lows, self.highs)
        ]
        outside = outside or held != given or any(task not in s.tasks for s in self.with_tasks)
        if outside:
            held.append(task)
            for step in self.number_steps:
                held.append(step(held))
            points = [stage.outside(_NUMBERS, values, held, task) for stage in self.stages]
        else:
            points = [stage.inside(_NUMBERS, values, checks, task) for stage in self.stages]
        if not all(point.valid for point in points):
            return None
        if any(min(p.design[: len(s.parts)]) < -_ROUNDING for s, p in zip(self.stages, points)):
            return None
        return self._decide_points(points, self.bounds["total", outside], budget_ms, max_risk)

    def _numbers(self, knobs: Mapping[str, Any]) -> list[Any] | None:
        """Return knobs and task; None if any is odd."""
        values: list[Any] = []
        for name, low in zip(self.knobs, self.lows):
            value = knobs[name]
            if value.__class__ is not float and value.__class__ is not int:
                if not isinstance(value, (np.integer, np.floating)):
                    return None
                value = float(value)
            if not -math.inf < value < math.inf or value < 0 <= low:
                return None
            values.append(value)
        task = knobs.get("task")
        if "gpu" in knobs or "stack" in knobs or (self.names_task and not isinstance(task, str)):
            return None
        return [*values, task]

    def _decide_points(
        self, points: list[_Point], bound: _Bound, budget_ms: float, max_risk: float
    ) -> tuple[str, float]:
        """Decide by the mean if the budget is far; else by variance; else by every draw."""
        means = bound.means
        amounts = [
            point.times * math.exp(point.log_ms + sum(map(operator.mul, point.design, mean)))
            for point, mean in zip(points, means)
        ]
        beyond = self.zero_shot or any(point.beyond for point in points)
        gap = math.log(budget_ms / sum(amounts))
        if abs(gap) > self.far and not bound.outside:
            return _answer(float(gap < 0), gap < 0, False, max_risk, beyond), float(gap < 0)
        noise = [
            math.exp(stage.log_noise(point.scaled)) for stage, point in zip(self.stages, points)
        ]
        student, scratch = self.student, _Scratch()
        design = np.array([v for point in points for v in point.design], dtype=np.float32)
        spread = design @ bound.root
        variances = np.add.reduceat(spread * spread, bound.starts).tolist()
        found = bound.weigh(_NUMBERS, student, amounts, variances, noise, budget_ms)
        quantile = student.quantiles(max_risk).item(found.own)
        edge = found.edge(_NUMBERS, quantile)
        p_exceed = student.above(found.all, found.standard)
        over, unsure = edge < -_EDGE, edge < _EDGE
        if found.is_near(edge, self.reach):
            shares, bent = np.array([found.shares], dtype=np.float32), bool(found.is_bent)
            orders = found.gap, found.lift, found.curve
            away = bound.away(design[None], shares, orders, bent=bent, scratch=scratch)
            pairs = np.array([found.pairs], dtype=np.float32)
            mean, standard = bound.look(away, pairs, found.own, student, scratch)
            p_exceed = mean.item()
            over, unsure = bound.central(np.count_nonzero(standard >= _place(quantile)))
        return _answer(p_exceed, over, unsure, max_risk, beyond), p_exceed

    # Many configurations: arrays, in blocks.

    def read(self, columns: Mapping[str, Any], problems: list[str]) -> list[_Array]:
        """Return knobs and task, of equal length; add what is wrong to `problems`."""
        arrays = [self._knob(name, columns, problems) for name in self.knobs]
        for name, known in self.own.items():
            if name in columns and not np.isin(np.asarray(columns[name]), known).all():
                told = " or ".join(map(repr, known)) or "not named"
                problems.append(f"{name} is another than the bundle's, which is {told}")
        arrays.append(np.asarray(columns.get("task", ""), dtype=object))
        lengths = {len(each) for each in arrays if each.ndim}
        if len(lengths) > 1:
            problems.append(f"columns differ in length: {', '.join(map(str, sorted(lengths)))}")
        if self.names_task and not all(isinstance(each, str) and each for each in arrays[-1].flat):
            problems.append("the spec names task, so every config must have one")
        rows = max(lengths, default=1)
        return [each if each.ndim else np.broadcast_to(each, (rows,)) for each in arrays]

    def _knob(self, name: str, columns: Mapping[str, Any], problems: list[str]) -> _Array:
        if name not in columns:
            problems.append(f"knob {name!r} is missing; the bundle needs {', '.join(self.knobs)}")
            return np.zeros(())
        values = np.asarray(columns[name])
        if values.dtype.kind not in "iuf" or values.ndim > 1:
            problems.append(f"knob {name!r} holds {values.dtype}; give one number a config")
            return np.zeros(())
        values = values.astype(np.float64, copy=False)
        if not values.size:
            return values
        least, low = float(values.min()), self.lows[self.knobs.index(name)]
        if not (math.isfinite(least) and math.isfinite(values.max())):
            at = int(np.argmin(np.isfinite(values)))
            told = values.flat[at]
            problems.append(f"knob {name!r} is {told} in config {at}; it must be a finite number")
        elif least < 0 <= low:
            at = int(np.argmin(values))
            problems.append(f"knob {name!r} is {least:g} in config {at}; it is never negative")
        return values

    def read_budgets(
        self, budget_ms: Any, stage_budgets_ms: Any, rows: int, problems: list[str]
    ) -> dict[str, _Array]:
        """Return what bounds what; add what is wrong to `problems`."""
        given = {} if budget_ms is None else {"total": budget_ms}
        given.update(stage_budgets_ms or {})
        if not given:
            problems.append("no budget is given; give budget_ms of the total, or of stages")
        budgets = {}
        for text, budget in given.items():
            try:
                self.bound(text, False)
                budgets[text] = np.broadcast_to(np.asarray(budget, dtype=np.float64), (rows,))
            except (TypeError, ValueError) as error:
                problems.append(f"budget of {text}: {error}")
                continue
            if not np.all(np.isfinite(budgets[text]) & (budgets[text] > 0)):
                problems.append(f"the budget of {text} must be a positive number of ms")
        return budgets

    def decide(
        self,
        given: Sequence[_Array],
        budgets: Mapping[str, _Array],
        max_risk: float,
        *,
        typical: bool,
    ) -> tuple[_Array, _Array]:
        """Decide about configurations that were read."""
        count = len(given[-1])
        answers, p_exceed = np.empty(count, dtype=np.intp), np.empty(count)
        asked = _Asked(budgets, max_risk, self.student.quantiles(max_risk), typical, _Scratch())
        with np.errstate(all="ignore"):
            for start in range(0, count, _ROWS):
                rows = np.arange(start, min(start + _ROWS, count))
                block = _Block(self, [each[rows[0] : rows[-1] + 1] for each in given], rows)
                for part in block.parts():
                    found = part.judge(asked)
                    answers[part.rows] = found.answers(max_risk, part.beyond | self.zero_shot)
                    p_exceed[part.rows] = found.p_exceed
        return _ANSWERS[answers], p_exceed


def _answer(p_exceed: float, over: bool, unsure: bool, max_risk: float, unknown: bool) -> str:
    if unsure and not over:
        return MEASURE
    if p_exceed > max_risk or over:
        return REJECT
    return MEASURE if unknown else ACCEPT


class _Asked(NamedTuple):
    """What is asked of every configuration, and memory to answer with."""

    budgets: Mapping[str, _Array]
    max_risk: float
    quantiles: _Array  # of each cell's Student-t at the largest risk
    typical: bool
    scratch: _Scratch


class _Found(NamedTuple):
    """What a budget gives. Shapes (config,).

    `over`, `unsure`: whether at least 95 %, or more than 5 %, of the draws exceed it too often.
    """

    p_exceed: _Array
    over: _Array
    unsure: _Array

    def and_also(self, other: _Found) -> _Found:
        """Return what two budgets give, which both have to be met."""
        p_exceed = np.maximum(self.p_exceed, other.p_exceed)
        return _Found(p_exceed, self.over | other.over, self.unsure | other.unsure)

    def answers(self, max_risk: float, unknown: _Array) -> _Array:
        """Return the answers, by their place in `_ANSWERS`."""
        accepted = (self.p_exceed <= max_risk) & ~self.over
        answers = np.where(accepted, np.where(unknown, 2, 0), 1)
        answers[self.unsure & ~self.over] = 2
        return answers


class _Point(NamedTuple):
    """A stage at configurations, as numbers or as arrays of shape (config,).

    `log_ms`: its physics; `design`: what the draws are multiplied by; `times`: how often it runs;
    `scaled`: the features of its correction on [-1, 1]; `beyond`: whether the range of the fit is
    left; `valid`: whether physics, features and times are possible.
    """

    log_ms: Any
    design: list[Any]
    times: Any
    scaled: list[Any]
    beyond: Any
    valid: Any


class _Stage:
    """One stage: where its expressions are among the steps, and its draws.

    Its features are the shares of its parts, the columns of its correction and its tasks; beyond
    the range of the fit also how far the shares have moved from its edge, the distance along each
    coordinate, and whether the task is new.
    """

    def __init__(
        self,
        entry: Mapping[str, Any],
        at: int,
        first: int,
        arrays: Mapping[str, _Array],
        checks: dict[tuple[float, float, int], int],
    ) -> None:
        self.name = str(entry["name"])
        self.times = tuple(entry["times"])
        self.terms = {str(name): tuple(value) for name, value in entry["terms"].items()}
        self.parts = [tuple(value) for value in entry["parts"]]  # terms, joined where they can be
        self.coordinates = [_Coordinate(each) for each in entry["coordinates"]]
        self.features = self.coordinates[: entry["features"]]
        self.columns = [tuple(each) for each in entry["columns"]]
        self.tasks = [str(each) for each in entry["tasks"]]
        places = [checks.setdefault(each.check, len(checks)) for each in self.coordinates]
        # One that never moved is 0 wherever the range is not left.
        pairs = zip(self.features, places)
        self.scaled = [place if each.moved else None for each, place in pairs]
        noise = entry["noise"]
        self.constant = float(noise["constant"])
        self.noise = list(zip(noise["slopes"], noise["squares"]))
        self.linear, self.cubic = float(noise["linear"]), float(noise["cubic"])
        self.slope = self.linear + 3.0 * self.cubic
        self.body = self.linear + _BODY_SLOPE * self.cubic
        self.size = len(self.parts) + len(self.columns) + len(self.tasks)
        more = len(self.parts) + len(self.coordinates) + bool(self.tasks)
        self.rows = slice(first, first + self.size + more)
        self.means, self.deviations = arrays["means"][self.rows], arrays["deviations"][self.rows]
        self.noise_sd = arrays["noise_sd"][at]  # over the root mean square of all draws
        spread = self.deviations.astype(np.float64)
        self.covariance = spread @ spread.T / spread.shape[1]

    def inside(self, ops: _Ops, values: list[Any], checks: list[Any], task: Any) -> _Point:
        """Evaluate it where the range of the fit is not left."""
        scaled = [0.0 if place is None else checks[place] for place in self.scaled]
        log_ms, shares, valid = self.physics(ops, values)
        times = _affine(self.times, values)
        valid = valid & (times >= 0.0) & (times < math.inf)
        design = shares + self.correction(ops, scaled, task)
        return _Point(log_ms, design, times, scaled, False, valid)

    def outside(self, ops: _Ops, values: list[Any], held: list[Any], task: Any) -> _Point:
        """Evaluate it anywhere; `held` are the values with the knobs at the edge of their range."""
        log_ms, shares, valid = self.physics(ops, values)
        _, edge_shares, _ = self.physics(ops, held)
        edge = [each.clipped(ops, held) for each in self.features]
        times = _affine(self.times, values)
        excess = [each.excess(ops, values) for each in self.coordinates]
        design = shares + self.correction(ops, edge, task)
        design += [here - there for here, there in zip(shares, edge_shares)]
        design += [ops.sqrt(each + each * each) for each in excess]
        beyond = sum(excess) > 0.0
        valid = valid & (times >= 0.0) & (times < math.inf) & (sum(excess) < math.inf)
        if self.tasks:
            known = _add([ops.truth(task == name) for name in self.tasks])
            design.append(1.0 - known)
            beyond = beyond | (known < 1.0)
        scaled = [each.clipped(ops, values) for each in self.features]
        return _Point(log_ms, design, times, scaled, beyond, valid)

    def log_noise(self, scaled: list[Any]) -> Any:
        """Log of the scale of its noise."""
        total = self.constant
        for value, (slope, square) in zip(scaled, self.noise):
            total = total + value * (slope + square * value)
        return total

    def physics(self, ops: _Ops, values: list[Any]) -> tuple[Any, list[Any], Any]:
        """Log of the additive physics, the share of each term, and whether they are possible."""
        parts = [_affine(value, values) for value in self.parts]
        total = _add(parts)
        inverse = 1.0 / total
        shares = [part * inverse for part in parts]
        return ops.log(ops.narrow(total)), shares, (total > 0.0) & (total < math.inf)

    def correction(self, ops: _Ops, scaled: list[Any], task: Any) -> list[Any]:
        """Columns of the smooth correction, then of the tasks."""
        columns: list[Any] = []
        for before, feature in self.columns:
            value = scaled[feature]
            columns.append(value if before < 0 else columns[before] * value)
        return columns + [ops.truth(task == name) for name in self.tasks]

    def problems(self, values: list[Any], rows: int) -> dict[str, _Array]:
        """Tell which configurations have a value that no latency can have, by what it is."""
        parts = {name: _affine(value, values) for name, value in self.terms.items()}
        total = _add(list(parts.values()))
        least = -_ROUNDING * np.abs(total)
        told = {"times": (_affine(self.times, values), 0.0)}
        told |= {f"physics {name!r}": (part, least) for name, part in parts.items()}
        told["the sum of its physics"] = (np.where(total == 0, np.nan, total), 0.0)
        told |= {repr(c.name): (_affine(c.value, values), -math.inf) for c in self.coordinates}
        return {
            what: np.broadcast_to(~np.isfinite(value) | (value < low), (rows,))
            for what, (value, low) in told.items()
        }


class _Coordinate:
    """What a stage's training range is measured in: a feature of its correction, or a knob."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.name, self.value = str(entry["name"]), tuple(entry["value"])
        self.low, high = float(entry["low"]), float(entry["high"])
        self.moved, is_log = bool(entry["moved"]), bool(entry["log"])
        self.middle, self.half = 0.5 * (self.low + high), 0.5 * (high - self.low)
        self.is_size = self.low > 0 and not is_log  # its distance counts in powers of e
        self.unit = 1.0 if is_log else max(abs(self.low), 1.0)
        offset, factor, step = self.value
        middle, half = self.middle, self.half
        if not self.moved:
            middle, half = self.low, 1e-9 * (self.low if self.is_size else self.unit)
        self.check = ((offset - middle) / half, factor / half, step)

    def clipped(self, ops: _Ops, values: list[Any]) -> Any:
        """On [-1, 1] over the training range, and at its edge beyond it."""
        scaled, _ = self._scale(ops, values)
        return ops.maximum(ops.minimum(scaled, 1.0), -1.0)

    def excess(self, ops: _Ops, values: list[Any]) -> Any:
        """How far it lies beyond the training range; 0 inside."""
        scaled, distance = self._scale(ops, values)
        beyond = distance if not self.moved else ops.maximum(abs(scaled) - 1.0, 0.0)
        return ops.where(beyond > 1e-9, beyond, 0.0)

    def _scale(self, ops: _Ops, values: list[Any]) -> tuple[Any, Any]:
        """Map the training range to [-1, 1]; a single value's own distance goes on from there."""
        raw = _affine(self.value, values)
        if self.moved:
            return (raw - self.middle) / self.half, 0.0
        away = (raw - self.low) / self.unit
        if self.is_size:
            ratio = ops.log(ops.where(raw > 0, raw, self.low) / self.low)
            away = ops.where(raw > 0, ratio, away)
        distance = abs(away)
        return ops.where(distance > 1e-9, ops.where(away > 0, 1.0, -1.0), 0.0), distance


class _Weighed(NamedTuple):
    """A sum of stages beside its budget: numbers, or arrays of shape (config,).

    `gap`: log of the budget over the sum at the draws' mean, less what is not of the draws;
    `shares`: of the stages; `pairs`: weights of the products of two stages' noise in the square of
    the sum's, in scales of its t; `size`, `variance`: sd of the log of a run, and its unsure part;
    `own`, `all`: cell of the Student-t of the noise, and of a run; `scale`: of the noise; `lift`,
    `curve`: second order of the sum's log in the draws, as a constant and per square; `standard`:
    the budget in scales of a run's t; `exceeded`: shift and bend of the noise, variance of its size
    over the draws, and the gap as it is.
    """

    gap: Any
    shares: list[Any]
    pairs: list[Any]
    size: Any
    variance: Any
    own: Any
    all: Any
    scale: Any
    lift: Any
    curve: Any
    standard: Any
    exceeded: tuple[Any, Any, Any, Any]

    def edge(self, ops: _Ops, quantile: Any) -> Any:
        """Sds from the draws' mean to where a draw exceeds the budget too often."""
        shift, bend, stretch, gap = self.exceeded
        noise = self.scale * quantile
        noise = noise + bend * ops.minimum(abs(noise), _BEND_REACH * self.scale) ** 2 + shift
        unsure = self.variance + noise * noise * stretch
        return (gap - self.lift - noise) / ops.sqrt(unsure)

    def is_near(self, edge: Any, reach: float) -> Any:
        """Whether the draws have to be looked at.

        Mean and variance do where nearly all draws (they lie within `reach` sds) are on one side of
        the budget by the noise's scale; where nearly all that is unsure is noise; and for the
        decision, where clearly more or less than 5 % and 95 % of the draws are over.
        """
        away = abs(self.gap - self.lift) - self.scale
        close = away * abs(away) < reach**2 * self.variance
        loud = self.variance > _QUIET**2 * self.size**2
        return close & loud | (abs(abs(edge) - _EDGE) < _EDGE_WIDTH)

    def packed(self, quantile: _Array, edge: _Array, scratch: _Scratch) -> _Array:
        """Return what looking at the draws needs. Shape (field, config)."""
        fields = [*self.shares, *self.pairs, self.gap, self.lift, self.curve, self.own]
        fields += [quantile, edge]
        table = scratch.take("packed", (len(fields), len(edge)))
        for row, values in zip(table, fields):
            row[...] = values
        return table

    @property
    def is_bent(self) -> Any:
        """Whether the second order does not do for the sum of the draws."""
        return abs(self.lift) + abs(self.curve) * self.variance > _BENT * self.size


class _Bound:
    """What a budget is of: some stages, each once or as often as it runs in a request."""

    def __init__(
        self, model: _Model, places: Sequence[int], per_request: bool, outside: bool
    ) -> None:
        self.places, self.per_request, self.outside = list(places), per_request, outside
        self.stages = [model.stages[at] for at in places]
        self.correlation = model.correlation and [
            [model.correlation[i][j] for j in places] for i in places
        ]
        ends = [None if outside else stage.size for stage in self.stages]
        pairs = list(zip(self.stages, ends))
        self.means = [stage.means[:end].tolist() for stage, end in pairs]
        self.deviations = np.concatenate([stage.deviations[:end] for stage, end in pairs])
        self.and_ones = np.vstack([self.deviations, np.ones_like(self.deviations[:1])])
        self.sizes = [len(each) for each in self.means]
        self.starts = np.cumsum([0, *self.sizes]).tolist()
        self.spans = [slice(a, b) for a, b in zip(self.starts, self.starts[1:])]
        self.roots = [_root(stage.covariance[:end, :end]) for stage, end in pairs]
        self.root = np.zeros((len(self.deviations),) * 2, dtype=np.float32)
        for span, root in zip(self.spans, self.roots):
            self.root[span, span] = root.T
        self.starts.pop()
        noise, count = [stage.noise_sd for stage in self.stages], len(self.stages)
        self.pairs = [(i, j) for i in range(count) for j in range(i + 1) if self.rho(i, j)]
        products = np.stack([self.rho(i, j) * noise[i] * noise[j] for i, j in self.pairs])
        self.steady = products.mean(axis=1).tolist()
        self.products = (products / _PER_SCALE**2).astype(np.float32)
        self.unsteady = [float(np.var(each**2)) for each in noise]
        draws = self.deviations.shape[1]
        self.ones = np.full(draws, 1.0 / draws, dtype=np.float32)
        # Draws within the budget: with so few, the central 90 % of the draws are over it; with no
        # more than so many, some of the central 90 % are.
        self.few = math.floor(_CENTRAL * (draws - 1) + 0.5)
        self.many = math.floor((1.0 - _CENTRAL) * (draws - 1) + 0.5)

    def rho(self, i: int, j: int) -> float:
        """Correlation of two stages' noise; twice, since a pair stands for both orders."""
        if i == j:
            return 1.0
        return 2.0 * self.correlation[i][j] if self.correlation else 0.0

    def central(self, within: Any) -> tuple[Any, Any]:
        """Whether the central 90 % of the draws, and whether some of them, are over."""
        return within <= self.few, within <= self.many

    def weigh(
        self,
        ops: _Ops,
        student: _Student,
        amounts: list[Any],
        variances: list[Any],
        noise: list[Any],
        budget: Any,
    ) -> _Weighed:
        """Set the sum beside a budget: see bayeslat's `combine_noise` for that of the noise.

        Parameters
        ----------
        ops : _Ops
        student : _Student
        amounts : list over stage
            Typical latency at the draws' mean, as often as it counts.
        variances : list over stage
            Of the log latency over the draws.
        noise : list over stage
            Scale of the Student-t noise: the root mean square of the draws'.
        budget : number or array
        """
        total = _add(amounts)
        inverse = 1.0 / total
        shares = [amount * inverse for amount in amounts]
        slopes, cubics, bodies, spread = [], [], [], []
        for share, sd, stage in zip(shares, noise, self.stages):
            load = share * sd
            slopes.append(load * stage.slope)
            cubics.append(load * stage.cubic)
            bodies.append(load * stage.body)
            spread.append(load * sd * stage.body**2)
        reach = slopes
        if self.correlation:
            reach = [_dot(row, slopes) for row in self.correlation]
        own = _dot(slopes, reach) + _TINY
        squares = [each * each for each in reach]
        tails = _add([c * r * s for c, r, s in zip(cubics, reach, squares)])
        cell = student.cell(tails / (own * own))
        narrow = student.take(student.inverse_slope, cell)
        scale = ops.sqrt(own) * narrow
        inside = _dot(spread, squares) / own
        body = _dot(bodies, reach)
        most = _MOST_BEND / scale
        bend = 0.5 * (inside * own / (body * body + _TINY) - 1.0)
        bend = ops.minimum(ops.maximum(bend, -most), most)
        shift = 0.5 * (_add(spread) - inside)
        variance, lift, curve = self._unsure(shares, variances)
        products = [slopes[i] * slopes[j] for i, j in self.pairs]
        # Of a run, draws and noise together: of the noise's mean square, and as unsteady as it is.
        steady = _dot(self.steady, products) if self.correlation else own
        unsteady = _dot(self.unsteady, [each**4 for each in slopes])
        whole = steady + variance
        every = student.cell((tails + 0.125 * unsteady) / (whole * whole))
        size = ops.sqrt(whole)
        part = steady / whole  # of a run's departure that its noise makes
        gap = ops.log(budget * inverse)
        away = gap - shift - lift - bend * part * variance
        near = ops.maximum(ops.minimum(away * part, _BEND_REACH * scale), -_BEND_REACH * scale)
        standard = (away - bend * near * near) / (size * student.take(student.inverse_slope, every))
        # Beside the draws, the bend is the straight line that touches it there.
        steep = 1.0 - 2.0 * bend * near
        narrow = narrow / steep
        return _Weighed(
            gap=gap - shift + bend * near * near / steep,
            shares=shares,
            pairs=[each * (narrow * narrow) for each in products],
            size=size,
            variance=variance,
            own=cell,
            all=every,
            scale=scale,
            lift=lift,
            curve=curve,
            standard=standard,
            exceeded=(shift, bend, 0.25 * unsteady / (own * own), gap),
        )

    def _unsure(self, shares: list[Any], variances: list[Any]) -> tuple[Any, Any, Any]:
        """Variance of the sum's log over the draws, and its second order: lift and curve."""
        parts = [share * each for share, each in zip(shares, variances)]
        variance = _dot(shares, parts) + _TINY
        along = _add([w * p * p for w, p in zip(shares, parts)]) / variance
        return variance, 0.5 * (_add(parts) - along), 0.5 * (along / variance - 1.0)

    def away(
        self,
        design: _Array,
        shares: _Array,
        orders: tuple[Any, Any, Any],
        *,
        bent: bool,
        scratch: _Scratch,
    ) -> _Array:
        """Log of the budget over the sum, in each draw. Shape (config, draw).

        Parameters
        ----------
        design : ndarray, shape (config, feature)
        shares : ndarray, shape (config, stage)
        orders : tuple of numbers, or of ndarray of shape (config, 1)
            Gap, lift and curve, as in `_Weighed`.
        bent : bool
            Whether to add the stages up draw by draw, not to second order.
        scratch : _Scratch
        """
        gap, lift, curve = orders
        shape = (len(design), self.deviations.shape[1])
        total, part = scratch.take("total", shape), scratch.take("part", shape)
        if not bent:
            weighted = np.empty((len(design), len(self.deviations) + 1), dtype=np.float32)
            np.multiply(design, np.repeat(-shares, self.sizes, axis=1), out=weighted[:, :-1])
            weighted[:, -1:] = gap - lift
            np.matmul(weighted, self.and_ones, out=total)
            if np.any(abs(curve) > _CURVED):
                np.subtract(gap - lift, total, out=part)
                total -= np.multiply(np.multiply(part, part, out=part), curve, out=part)
            return total
        total[:] = 0.0
        for at, span in enumerate(self.spans):
            np.matmul(design[:, span], self.deviations[span], out=part)
            if self.outside:
                np.clip(part, -_MOST_LOG_MS, _MOST_LOG_MS, out=part)
            np.exp(part, out=part)
            part *= shares[:, at : at + 1]
            total += part
        left: _Array = np.subtract(gap, np.log(total, out=total), out=total)
        return left

    def look(
        self, away: _Array, pairs: _Array, cell: Any, student: _Student, scratch: _Scratch
    ) -> tuple[_Array, _Array]:
        """Look at every draw.

        Parameters
        ----------
        away : ndarray, shape (config, draw)
            Log of the budget over the sum; overwritten.
        pairs : ndarray, shape (config, pair)
            As in `_Weighed`.
        cell : int, or ndarray of shape (config, 1)
            Of the noise's Student-t.
        student : _Student
        scratch : _Scratch

        Returns
        -------
        p_exceed : ndarray, shape (config,)
            Mean of the draws' own.
        standard : ndarray, shape (config, draw)
            Place of each draw's budget in the table of its noise.
        """
        part = np.matmul(pairs, self.products, out=scratch.take("part", away.shape))
        away /= np.sqrt(part, out=part)
        away += _MIDDLE  # positive, so that whole cells are cut off the same way on either side
        np.clip(away, 0.0, _LIMIT, out=away)
        return student.above_each(cell, away, scratch) @ self.ones, away


class _Block:
    """Some configurations, read and evaluated as far as all stages need."""

    def __init__(self, model: _Model, given: Sequence[_Array], rows: _Array) -> None:
        self.model, self.given, self.rows, self.task = model, given, rows, given[-1]
        self.values = _run(model.array_steps, given)
        self.checks = [offset + factor * self.values[at] for offset, factor, at in model.checks]
        inside = np.ones(len(rows), dtype=bool)
        for low, high, value in zip(model.lows, model.highs, given):
            inside &= (value >= low) & (value <= high)
        for value in self.checks:
            inside &= np.abs(value) <= _INSIDE
        for stage in model.with_tasks:
            inside &= np.isin(self.task, stage.tasks)
        self.inside = inside

    def parts(self) -> list[_Part]:
        """Split the configurations into those inside the range of the fit and the others.

        Where few are outside, all are evaluated as if they were inside; the others come after, and
        have the last word.
        """
        outside = np.flatnonzero(~self.inside)
        if not len(outside):
            return [_Part(self, outside=False)]
        parts = [_Part(self._some(outside), outside=True)]
        if len(outside) < _FEW * len(self.rows):
            parts.insert(0, _Part(self, outside=False))
        elif len(outside) < len(self.rows):
            parts.insert(0, _Part(self._some(np.flatnonzero(self.inside)), outside=False))
        return parts

    def _some(self, rows: _Array) -> _Block:
        return _Block(self.model, [each[rows] for each in self.given], self.rows[rows])


class _Part:
    """Configurations of a block that lie inside the range of the fit, or that do not."""

    def __init__(self, block: _Block, *, outside: bool) -> None:
        self.model, self.rows, self.is_outside = block.model, block.rows, outside
        stages, values, task = self.model.stages, block.values, block.task
        if outside:
            held = [
                np.clip(value, low, high)
                for value, low, high in zip(block.given, self.model.lows, self.model.highs)
            ]
            edge = _run(self.model.array_steps, [*held, task])
            self.points = [stage.outside(_ARRAYS, values, edge, task) for stage in stages]
        else:
            narrow = [value.astype(np.float32) for value in block.checks]
            self.points = [stage.inside(_ARRAYS, values, narrow, task) for stage in stages]
        self.block = block
        possible = np.logical_and.reduce([point.valid for point in self.points])
        if not (possible | (block.inside == outside)).all():
            self._refuse()
        beyond = [np.broadcast_to(point.beyond, task.shape) for point in self.points]
        self.beyond = np.logical_or.reduce(beyond)

    def judge(self, asked: _Asked) -> _Found:
        """Decide about all budgets."""
        bound, count = self.model.bound("total", self.is_outside), len(self.rows)
        self.design = asked.scratch.take("design", (len(bound.deviations), count))
        self.typical_ms, self.variances, self.noise = [], [], []
        self.times = [np.asarray(point.times, dtype=np.float32) for point in self.points]
        for at, (stage, point) in enumerate(zip(self.model.stages, self.points)):
            rows = self.design[bound.spans[at]]
            for row, value in zip(rows, point.design):
                row[...] = value
            if not rows[: len(stage.parts)].min() >= -_ROUNDING:
                self._refuse()
            mean = np.array(bound.means[at], dtype=np.float32)
            self.typical_ms.append(np.exp(point.log_ms + mean @ rows))
            spread = np.matmul(bound.roots[at], rows, out=asked.scratch.take("spread", rows.shape))
            self.variances.append(np.einsum("ij,ij->j", spread, spread))
            self.noise.append(np.exp(stage.log_noise(point.scaled)))
        found = None
        for text, budget in asked.budgets.items():
            bound = self.model.bound(text, self.is_outside)
            new = self._weigh(bound, budget[self.rows], asked)
            found = new if found is None else found.and_also(new)
        assert found is not None
        return found

    def _weigh(self, bound: _Bound, budget: _Array, asked: _Asked) -> _Found:
        """Decide about one budget by variance and, near it, by every draw."""
        amounts, student = [self.typical_ms[at] for at in bound.places], self.model.student
        if bound.per_request:
            amounts = [a * self.times[at] for a, at in zip(amounts, bound.places)]
        variances = [self.variances[at] for at in bound.places]
        noise = [self.noise[at] for at in bound.places]
        weighed = bound.weigh(_ARRAYS, student, amounts, variances, noise, _ARRAYS.narrow(budget))
        quantile = asked.quantiles.take(weighed.own, mode="clip")
        edge = weighed.edge(_ARRAYS, quantile)
        p_exceed = student.above(weighed.all, weighed.standard).astype(np.float64)
        found = _Found(p_exceed, edge < -_EDGE, edge < _EDGE)
        near, bent = weighed.is_near(edge, self.model.reach), weighed.is_bent
        if asked.typical:
            near, bent = np.ones_like(near), np.ones_like(near)
        packed = weighed.packed(quantile, edge, asked.scratch)
        for rows, is_bent in ((near & ~bent, False), (near & bent, True)):
            places = np.flatnonzero(rows)
            for start in range(0, len(places), _NEAR_ROWS):
                some = places[start : start + _NEAR_ROWS]
                self._look(bound, some, packed, found, asked, is_bent)
        return found

    def _look(
        self,
        bound: _Bound,
        rows: _Array,
        packed: _Array,
        found: _Found,
        asked: _Asked,
        bent: bool,
    ) -> None:
        """Decide about some configurations by every draw."""
        scratch, stages = asked.scratch, len(bound.places)
        design = self.design.take(rows, axis=1)
        if stages < len(self.model.stages):
            spans = self.model.bound("total", self.is_outside).spans
            design = np.concatenate([design[spans[at]] for at in bound.places])
        table = packed.take(rows, axis=1).T
        shares, pairs = table[:, :stages], table[:, stages : stages + len(bound.pairs)]
        gap, lift, curve, cell, quantile, edge = (
            table[:, at - 6 : at - 5 or None] for at in range(6)
        )
        orders = gap, lift, curve
        away = bound.away(design.T, shares, orders, bent=bent, scratch=scratch)
        if asked.typical:
            found.p_exceed[rows], close = (away < 0).mean(axis=1), np.arange(len(rows))
            within = np.count_nonzero(away >= 0, axis=1)
        else:
            student = self.model.student
            mean, away = bound.look(away, pairs, cell.astype(np.int32), student, scratch)
            found.p_exceed[rows] = mean
            close = np.flatnonzero(np.abs(np.abs(edge[:, 0]) - _EDGE) < _EDGE_WIDTH)
            within = np.count_nonzero(away[close] >= _place(quantile[close]), axis=1)
        found.over[rows[close]], found.unsure[rows[close]] = bound.central(within)

    def _refuse(self) -> None:
        """Raise an error with every value that no latency can have.

        Raises
        ------
        ValueError
            If there is one.
        """
        problems, block = [], self.block
        for stage in self.model.stages:
            for what, bad in stage.problems(block.values, len(self.rows)).items():
                bad = bad & (block.inside != self.is_outside)
                if bad.any():
                    at = int(np.argmax(bad))
                    pairs = zip(self.model.knobs, block.given)
                    told = ", ".join(f"{name} {each[at]:g}" for name, each in pairs)
                    problems.append(
                        f"{what} of stage {stage.name} is impossible in config {self.rows[at]} "
                        f"({told})"
                    )
        if problems:
            raise ValueError("; ".join(problems) + "; correct the knobs")


class _Student:
    """Tables of Student-t: by degrees of freedom, and by the cell of a noise's tails."""

    def __init__(self, inverse_dof: _Array, tails: _Array, slope: _Array) -> None:
        self.per_tail = _TAILS / float(tails[-1])
        middles = (np.arange(_TAILS) + 0.5) / self.per_tail
        self.inverse_slope = (1.0 / np.interp(middles, tails, slope)).astype(np.float32)
        rows = inverse_dof[::2]
        found = np.interp(middles, tails, inverse_dof)
        self.row = np.rint(np.interp(found, rows, np.arange(len(rows)))).astype(np.int32)
        self.offset = self.row * np.int32(_CELLS)
        self.values = (np.arange(_CELLS) + 0.5) / _PER_SCALE - _REACH
        grid = np.linspace(-9.0, 9.0, 3601)
        above = np.array([0.5 * math.erfc(each / math.sqrt(2.0)) for each in grid])
        self.tables = np.interp(_normal_scores(self.values, 1.0 / rows[:, None]), grid, above)
        self.flat = self.tables.astype(np.float32).ravel()
        self.known: dict[float, _Array] = {}

    def cell(self, tails: Any) -> Any:
        """Return the cell of noise whose tails have some weight."""
        if isinstance(tails, float):
            return min(max(int(tails * self.per_tail), 0), _TAILS - 1)
        return (tails * self.per_tail).astype(np.int32)

    def take(self, table: _Array, cell: Any) -> Any:
        """Look a cell up."""
        return table.item(cell) if isinstance(cell, int) else table.take(cell, mode="clip")

    def quantiles(self, max_risk: float) -> _Array:
        """Value that the Student-t of each cell exceeds with probability max_risk."""
        if max_risk not in self.known:
            each = np.array([np.interp(-max_risk, -table, self.values) for table in self.tables])
            self.known[max_risk] = each[self.row].astype(np.float32)
        return self.known[max_risk]

    def above(self, cell: Any, value: Any) -> Any:
        """P(Student-t > value)."""
        if isinstance(cell, int):
            at = min(max(int(_place(value)), 0), _CELLS - 1)
            return self.flat.item(self.offset.item(cell) + at)
        at = np.maximum(_place(value), 0.0)
        at = np.minimum(at, _CELLS - 1.0).astype(np.int32)
        return self.flat.take(self.offset.take(cell, mode="clip") + at, mode="clip")

    def above_each(self, cell: Any, standard: _Array, scratch: _Scratch) -> _Array:
        """P(Student-t > value) of each draw, of places in the table."""
        places = scratch.take("places", standard.shape, np.dtype(np.int32))
        np.copyto(places, standard, casting="unsafe")
        places += self.offset.take(cell, mode="clip")
        part = scratch.take("part", standard.shape)
        above: _Array = self.flat.take(places, out=part, mode="clip")
        return above


def _normal_scores(value: _Array, dof: _Array) -> _Array:
    """Normal scores of Student-t values: Hill's expansion (1970, Algorithm 395)."""
    size = dof - 0.5
    terms = 48.0 * size**2
    square = size * np.log1p(value**2 / dof)
    correction = ((0.4 * square + 3.3) * square + 24.0) * square + 85.5
    correction = (square + 3.0 - correction / (0.8 * square**2 + 100.0 + terms)) / terms
    score: _Array = np.copysign(np.sqrt(square) * (1.0 + correction), value)
    return score


class _Scratch:
    """Arrays that are used again from block to block: fresh memory costs more than arithmetic."""

    def __init__(self) -> None:
        self.held: dict[str, _Array] = {}

    def take(
        self, name: str, shape: tuple[int, ...], kind: np.dtype[Any] = _DTYPES["<f4"]
    ) -> _Array:
        """Return an array, with anything in it."""
        size = math.prod(shape)
        if name not in self.held or self.held[name].size < size:
            self.held[name] = np.empty(size, dtype=kind)
        return self.held[name][:size].reshape(shape)


class _Ops(NamedTuple):
    """What numbers, for which Python's own functions are the fastest, and arrays do differently."""

    log: Callable[[Any], Any]
    exp: Callable[[Any], Any]
    sqrt: Callable[[Any], Any]
    power: Callable[[Any, Any], Any]
    minimum: Callable[[Any, Any], Any]
    maximum: Callable[[Any, Any], Any]
    where: Callable[[Any, Any, Any], Any]
    truth: Callable[[Any], Any]
    narrow: Callable[[Any], Any]


_NUMBERS = _Ops(
    log=math.log,
    exp=math.exp,
    sqrt=math.sqrt,
    power=math.pow,
    minimum=lambda a, b: a if a < b else b,
    maximum=lambda a, b: a if a > b else b,
    where=lambda condition, a, b: a if condition else b,
    truth=float,
    narrow=float,
)
_ARRAYS = _Ops(
    log=np.log,
    exp=np.exp,
    sqrt=np.sqrt,
    power=np.power,
    minimum=np.minimum,
    maximum=np.maximum,
    where=np.where,
    truth=lambda flags: np.asarray(flags, dtype=np.float64),
    narrow=lambda values: np.asarray(values, dtype=np.float32),
)
_ARITHMETIC = {
    "multiply": operator.mul,
    "divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
}
_COMPARISONS = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}


def _make_step(step: Sequence[Any], ops: _Ops, task: int) -> _Function:
    """Return a step as a function of the values before it.

    Raises
    ------
    ValueError
        If it is of no known kind.
    """
    name, *rest = step
    if name in ("constant", "task_is", "scale", "shift", "add"):
        return _make_linear(name, rest, ops, task)
    places = [int(each) for each in rest]
    a, b, c = (*places, 0, 0)[:3]
    if name in ("log", "exp", "sqrt", "abs"):
        function = abs if name == "abs" else getattr(ops, name)
        return lambda r: function(r[a])
    if name in _ARITHMETIC or name in ("power", "minimum", "maximum"):
        apply: Callable[[Any, Any], Any] = _ARITHMETIC.get(name) or getattr(ops, name)
        return lambda r: apply(r[a], r[b])
    if name in _COMPARISONS:
        compare, truth = _COMPARISONS[name], ops.truth
        return lambda r: truth(compare(r[a], r[b]))
    if name == "where":
        where = ops.where
        return lambda r: where(r[a] != 0, r[b], r[c])
    if name in ("and", "or", "not"):
        return _make_logic(name, places, ops)
    raise ValueError(f"step {name!r} is of no known kind")


def _make_linear(name: str, rest: list[Any], ops: _Ops, task: int) -> _Function:
    """Return a step with a constant."""
    if name == "constant":
        value = float(rest[0])
        return lambda r: value
    if name == "task_is":
        text, equal, truth = str(rest[0]), bool(rest[1]), ops.truth
        return lambda r: truth((r[task] == text) == equal)
    a, number = int(rest[0]), float(rest[-1])
    if name == "scale":
        return lambda r: number * r[a]
    if name == "shift":
        return lambda r: r[a] + number
    b = int(rest[1])
    if number == 1.0:
        return lambda r: r[a] + r[b]
    return lambda r: r[a] + number * r[b]


def _make_logic(name: str, places: list[int], ops: _Ops) -> _Function:
    """Return a step on truth values, element by element."""
    truth, first = ops.truth, places[0]
    if name == "not":
        return lambda r: truth(r[first] == 0)
    join = operator.and_ if name == "and" else operator.or_

    def joined(r: Sequence[Any]) -> Any:
        flags = r[first] != 0
        for place in places[1:]:
            flags = join(flags, r[place] != 0)
        return truth(flags)

    return joined


def _run(steps: Sequence[_Function], given: Sequence[_Array]) -> list[Any]:
    """Return what is given, and after it the value of each step."""
    values: list[Any] = list(given)
    for step in steps:
        values.append(step(values))
    return values


def _affine(value: tuple[float, float, int], values: Sequence[Any]) -> Any:
    """Return offset + factor x a step's value."""
    offset, factor, step = value
    if not factor:
        return offset
    return offset + factor * values[step] if offset else factor * values[step]


def _place(value: Any) -> Any:
    """Place of a value in the tables of Student-t."""
    return (value + _REACH) * _PER_SCALE


def _root(covariance: _Array) -> _Array:
    """Return R for which the sum of squares of R x is x' covariance x."""
    values, vectors = np.linalg.eigh(covariance)
    root: _Array = (vectors * np.sqrt(np.maximum(values, 0.0))).T.astype(np.float32)
    return root


def _add(values: Sequence[Any]) -> Any:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def _dot(one: Sequence[Any], other: Sequence[Any]) -> Any:
    return _add([a * b for a, b in zip(one, other)])
