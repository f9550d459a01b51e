"""Reads a guard bundle and decides about configurations. Needs Python 3.10 and NumPy, no more.

The file stands for itself: copy it beside the bundle, to wherever requests are scheduled.

>>> bundle = load("guard.bundle")  # doctest: +SKIP
>>> bundle.decide_one({"batch_size": 8, ...}, budget_ms=500.0)  # doctest: +SKIP
('accept', 0.0123)
>>> bundle.decide({"batch_size": batch_sizes, ...}, budget_ms=500.0)  # doctest: +SKIP
(array(['accept', 'reject', 'measure', ...]), array([0.0123, ...]))

A bundle is data: arithmetic steps, of which this file knows all kinds, and arrays of numbers.
Nothing in it is run as code.

The log latency of a stage is its physics plus a linear function of a few latent variables, which
have a value in each draw of the posterior. A normal with the draws' mean and variance gives
P(latency > budget) in closed form. Near the budget, where much is unsure beside the noise of a run
(how much, the export finds out), each draw has its own. The outermost draws come first: in the
tails, the others are clearly on one side of the budget, and only the first are looked at.
"""

from __future__ import annotations

import contextlib
import functools
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
FORMAT_VERSION = 9
SEAL = b"sha256:"
ACCEPT, REJECT, MEASURE = "accept", "reject", "measure"

_Array = np.ndarray[Any, Any]
_Rows = Any  # some configurations: a slice, or their places
_Function = Callable[[Sequence[Any]], Any]

_ANSWERS = np.array([ACCEPT, REJECT, MEASURE])
_FLOAT = np.dtype("<f4")
_DTYPES: dict[str, Any] = {"<f4": _FLOAT, "<f8": np.dtype("<f8")}
_ROWS = 8192  # configurations at a time: what is computed stays in a CPU's cache
_LOOKED = 102400  # and draws of configurations
_CENTRAL = 0.05  # of the draws, on either side of what the posterior holds possible
_INSIDE = 1.0 + 1e-9  # of a coordinate, on [-1, 1] over its training range
_PER_POWER = 2.0  # half widths that a power of e beyond it counts as, if it has more
_CELL_ROUNDING = 1e-6  # of a cell: what was measured at its border is in one cell
_AS_FAR = 1e-6  # of a distance beyond the range: places that lie as far out as a measured one
_ROUNDING = 1e-9  # of a stage's physics: a part of it may be so little below 0
_MOST_LOG_MS, _MOST_VARIANCE = 50.0, 1e4
_FARTHEST = 1e6  # beyond the range, or in scales of noise
_TINY = 1e-30
_NOISY = 0.3  # scale of a stage's noise that may exceed a budget of the sum by itself
_APART = -0.2  # below this correlation, others make up for what it takes
_ROUGH = 3e-4  # error of a probability
# As the run noise of bayeslat has them: see its decisions/run_noise.py.
_BODY_SLOPE, _MOST_BEND, _BEND_REACH = 1.5, 0.1, 4.0
_REACH = 4.0  # scales of a run's noise: farther from the budget, hardly any is on its other side
_EDGE, _EDGE_WIDTH = 1.6449, 0.5  # sds at which 5 % of a normal's draws are beyond; and near it
_CELLS = 1024  # of the tables of Student-t by the weight of its tails
_VALUES, _MIDDLE, _PER_UNIT = 2048, 1024.0, 64.0  # of those by its values


def _quick_exp() -> tuple[Any, np.float32]:
    """Return the faster of exp and 2^x, and what numbers are multiplied by for it.

    On a CPU with AVX-512, NumPy takes half as long for 2^x; on others, twice.
    """
    try:
        from numpy.lib.introspect import opt_func_info
    except ImportError:  # before NumPy 2.2
        return np.exp, np.float32(1.0)
    compiled = opt_func_info(func_name="^exp2$", signature="float32").get("exp2", {})
    targets = [each["current"] for each in compiled.values()]
    if any("AVX512" in target or "X86_V4" in target for target in targets):
        return np.exp2, np.float32(1.0 / math.log(2.0))
    return np.exp, np.float32(1.0)


_EXP, _PER_E = _quick_exp()


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
        What the file says of itself: `gpu`, `stack`, `spec`, `seed`, `draws`, `agreement` with the
        posterior, `made_with`, ...
    knobs : tuple of str
        What a configuration needs.
    ranges : dict of str to (float, float)
        Training range of each knob, to read. Nothing is accepted beyond the range of what the spec
        makes of the knobs: its features, and the knobs that none of a stage's features has.
    stages : tuple of str
    tasks : tuple of str
        Those of the fit; empty where latency does not depend on the task. A configuration of
        another task, or of none, is as wide as tasks differ, and never accepted.
    zero_shot : bool
        Whether the GPU was not measured in some stage: where that runs, no budget that holds it is
        accepted.
    """

    def __init__(self, header: Mapping[str, Any], arrays: Mapping[str, _Array]) -> None:
        self.header = dict(header)
        self.knobs = tuple(each["name"] for each in header["knobs"])
        self.ranges = {each["name"]: (each["low"], each["high"]) for each in header["knobs"]}
        self.stages = tuple(each["name"] for each in header["stages"])
        self.tasks = tuple(header["tasks"])
        self.zero_shot = bool(header["zero_shot"])
        self._model = _Model(header, arrays)
        self._arrays = arrays

    def __reduce__(self) -> tuple[type[GuardBundle], tuple[dict[str, Any], Mapping[str, _Array]]]:
        """Give another process what the file holds: what is made of it are functions."""
        return type(self), (self.header, self._arrays)

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
        budgets = {} if budget_ms is None else {"total": budget_ms}
        if isinstance(stage_budgets_ms, Mapping):
            budgets.update(stage_budgets_ms)
        elif stage_budgets_ms is not None:
            budgets.clear()
        if len(budgets) == 1 and of in ("run", "typical"):
            try:
                found = self._model.decide_one(knobs, budgets, max_risk, of == "typical")
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
        if wrong := _no_risk(max_risk):
            problems.append(wrong)
        if of not in ("run", "typical"):
            problems.append(f"of is {of!r}; it must be run or typical")
        if problems:
            raise ValueError("; ".join(problems))
        asked = _Asked(budgets, max_risk, typical=of == "typical")
        return self._model.decide(given, asked)


def _no_risk(value: Any) -> str:
    """Say why a value is no max_risk; nothing if it is one."""
    with contextlib.suppress(TypeError, ValueError):  # text, or several values
        if 0.0 < value < 1.0:
            return ""
    told = repr(value) if isinstance(value, str) else value
    return f"max_risk is {told}; it must be between 0 and 1, as 0.05 for 5 %"


class _Asked(NamedTuple):
    """What is asked of every configuration."""

    budgets: Mapping[str, _Array]
    max_risk: float
    typical: bool


class _Model:
    """What a bundle computes with: steps, coordinates, stages, draws."""

    def __init__(self, header: Mapping[str, Any], arrays: Mapping[str, _Array]) -> None:
        knobs = header["knobs"]
        self.knobs = [str(each["name"]) for each in knobs]
        self.lows = [float(each["low"]) for each in knobs]
        self.highs = [float(each["high"]) for each in knobs]
        self.names_task = bool(header["names_task"])
        self.unmeasured = {str(each) for each in header["unmeasured"]}
        # Configurations whose own measurement was set aside: knobs, then the task.
        self.doubted = [tuple(each) for each in header["doubted"]]
        self.own = {"gpu": header["gpu_names"], "stack": header["stack_names"]}
        self.number_steps = [_make_step(step, _NUMBERS, len(knobs)) for step in header["steps"]]
        self.array_steps = [_make_step(step, _ARRAYS, len(knobs)) for step in header["steps"]]
        self.coordinates = [_Coordinate(each) for each in header["coordinates"]]
        self.corners = [_Corners(each, arrays) for each in header["corners"]]
        self.stages = [_Stage(each, arrays) for each in header["stages"]]
        # Of the loads, by whether the range of the fit is left.
        self.width = {
            False: 2 + max(stage.latent for stage in self.stages),
            True: max(stage.loads.shape[1] for stage in self.stages),
        }
        self.with_tasks = [stage for stage in self.stages if stage.tasks]
        self.student = _Student(arrays["tails"], arrays["inverse_dof"], arrays["slope"])
        self.correlation = arrays.get("correlation")
        # Number of the outermost draws, and within how many sds below and above the mean the others
        # of the total are. Of other sums only how far any draw is.
        self.reach = [(int(first), float(low), float(high)) for first, low, high in header["reach"]]
        # Part of a run's variance that is unsure: below it, the closed form does.
        self.loud = float(header["loud"])
        self.bounds: dict[str, _Bound] = {}
        self.total = self.bound("total")
        self.one_loads = {outside: self._join_loads(outside) for outside in (False, True)}

    def bound(self, text: str) -> _Bound:
        """Return what a budget of `total`, `stage` or `stage+stage` bounds.

        Raises
        ------
        ValueError
            If there is no such stage, or one stands there twice.
        """
        if text not in self.bounds:
            places = {stage.name: at for at, stage in enumerate(self.stages)}
            names = list(places) if text == "total" else [name.strip() for name in text.split("+")]
            if unknown := [name for name in names if name not in places]:
                told = ", ".join(map(repr, unknown))
                raise ValueError(f"no stage {told}; the bundle has {', '.join(places)}")
            if len(set(names)) < len(names):
                raise ValueError("a stage stands there twice; name each once")
            chosen = sorted(places[name] for name in names)
            per_request = text == "total" or len(chosen) > 1
            self.bounds[text] = _Bound(self, chosen, per_request)
        return self.bounds[text]

    def _join_loads(self, outside: bool) -> _Array:
        """Return the loads of all stages as one matrix, for one configuration."""
        loads = [stage.loads_of(outside, self.width[outside]) for stage in self.stages]
        ends = np.cumsum([len(each) for each in loads]).tolist()
        joined = np.zeros((ends[-1], len(loads), self.width[outside]), dtype=_FLOAT)
        for at, (each, end) in enumerate(zip(loads, ends)):
            joined[end - len(each) : end, at] = each
        return joined.reshape(len(joined), -1)

    def place(self, ops: _Ops, steps: Sequence[_Function], given: Sequence[Any]) -> _Place:
        """Evaluate the steps and coordinates; `given` are the knobs and the task."""
        values = list(given)
        for step in steps:
            values.append(step(values))
        scaled = [each.scaled(ops, values) for each in self.coordinates]
        scaled += [each.scaled(ops, scaled) for each in self.corners]
        return _Place(values, scaled, values[len(self.knobs)])

    def is_inside(self, ops: _Ops, place: _Place) -> Any:
        """Whether the range of the fit is not left."""
        inside: Any = True
        for low, high, value in zip(self.lows, self.highs, place.values):
            inside = inside & (low <= value) & (value <= high)
        for value in place.scaled:
            inside = inside & (abs(value) <= _INSIDE)
        for stage in self.with_tasks:
            inside = inside & ops.is_in(place.task, stage.tasks)
        return inside

    def is_doubted(self, ops: _Ops, place: _Place) -> Any:
        """Whether the configuration's own measurement was set aside."""
        found: Any = False
        for *knobs, task in self.doubted:
            same: Any = True
            for value, own in zip(place.values, knobs):
                same = same & (value == own)
            if self.with_tasks:
                same = same & ops.is_in(place.task, [task])
            found = found | same
        return found

    def edge(self, ops: _Ops, steps: Sequence[_Function], place: _Place) -> _Place:
        """Return the nearest place with every knob inside its range."""
        held = [
            ops.minimum(ops.maximum(value, low), high)
            for value, low, high in zip(place.values, self.lows, self.highs)
        ]
        return self.place(ops, steps, [*held, place.task])

    # One configuration: plain numbers.

    def decide_one(
        self, knobs: Mapping[str, Any], budgets: Mapping[str, Any], max_risk: float, typical: bool
    ) -> tuple[str, float] | None:
        """Decide by the only budget; None where a table would be refused, or may be."""
        ((text, budget_ms),) = budgets.items()
        bound, given = self.bound(text), self._numbers(knobs)
        if given is None or not (0.0 < budget_ms < math.inf and 0.0 < max_risk < 1.0):
            return None
        here = self.place(_NUMBERS, self.number_steps, given)
        outside = not self.is_inside(_NUMBERS, here)
        edge = self.edge(_NUMBERS, self.number_steps, here) if outside else None
        points = [stage.point(_NUMBERS, here, edge) for stage in self.stages]
        if not all(point.possible for point in points):
            return None
        design = np.array([value for point in points for value in point.design], dtype=_FLOAT)
        table = (design @ self.one_loads[outside]).reshape(len(points), -1)
        if bound is not self.total:
            points, table = [points[at] for at in bound.places], table[bound.places]
        latent = table[:, 2:]
        variances = np.einsum("ij,ij->i", latent, latent).tolist()
        amounts, noise = [], []
        for stage, point, (mean, log_noise) in zip(bound.stages, points, table[:, :2].tolist()):
            times = point.times if bound.per_request else point.times > 0
            # Where no stage runs, shares are of next to nothing, which keeps any budget.
            amounts.append(max(times, _TINY) * math.exp(point.log_ms + mean))
            own = stage.log_own if typical else 0.0
            noise.append(math.exp(stage.log_noise + log_noise + own))
        quantiles = self.student.quantiles(max_risk)
        found = bound.weigh(_NUMBERS, amounts, variances, noise, budget_ms, quantiles)
        p_exceed, over, unsure = found.p_exceed, found.edge < -_EDGE, found.edge < _EDGE
        first = len(bound.ones) if outside else found.first
        if first:
            table[:, 1] = [math.log(amount / budget_ms) + found.shift for amount in amounts]
            squares = np.array(found.squares, dtype=_FLOAT)[:, None]
            cell, quantile = np.array([found.cell]), quantiles[found.cell : found.cell + 1]
            with np.errstate(all="ignore") if outside else contextlib.nullcontext():
                alone = None
                if found.is_noisy:
                    of_each = np.array(noise)[:, None]
                    alone = bound.exceed_alone(table[:, 1:, None], found.shift, of_each, max_risk)
                chance, count = bound.look(
                    table[:, 1:, None], squares, cell, quantile, first, found.is_below, alone
                )
            over, unsure = bound.central(count.item())
            p_exceed = chance.item()
        unknown = any(point.is_beyond for point in points)
        if self.unmeasured and not unknown:
            unknown = any(map(self.is_unmeasured, bound.stages, points))
        unknown = unknown or (bool(self.doubted) and bool(self.is_doubted(_NUMBERS, here)))
        answer = _answer(_NUMBERS, (p_exceed, over, unsure), max_risk, unknown)
        return (ACCEPT, REJECT, MEASURE)[answer], p_exceed

    def _numbers(self, knobs: Mapping[str, Any]) -> list[Any] | None:
        """Return knobs and task; None if any is odd."""
        given: list[Any] = []
        for name, low in zip(self.knobs, self.lows):
            value = knobs[name]
            if value.__class__ is not float and value.__class__ is not int:
                if not isinstance(value, (np.integer, np.floating)):
                    return None
                value = float(value)
            if not -math.inf < value < math.inf or value < 0 <= low:
                return None
            given.append(value)
        task = knobs.get("task", None if self.names_task else "")
        if "gpu" in knobs or "stack" in knobs or not isinstance(task, str):
            return None
        return [*given, task.strip()]

    # Many configurations: arrays, in blocks.

    def read(self, columns: Mapping[str, Any], problems: list[str]) -> list[_Array]:
        """Return knobs and task, of equal length; add what is wrong to `problems`."""
        given = [self._knob(name, columns, problems) for name in self.knobs]
        for name, known in self.own.items():
            if name in columns and not np.isin(np.asarray(columns[name]), known).all():
                told = " or ".join(map(repr, known)) or "not named"
                problems.append(f"{name} is another than the bundle's, which is {told}")
        if self.names_task or self.with_tasks:
            tasks = np.asarray(columns.get("task", ""), dtype=object)
            given.append(_bare(tasks) if np.any(tasks != "") else tasks)
        else:
            given.append(np.zeros(()))
        lengths = {len(each) for each in given if each.ndim}
        if len(lengths) > 1:
            problems.append(f"columns differ in length: {', '.join(map(str, sorted(lengths)))}")
        if self.names_task and not all(isinstance(each, str) and each for each in given[-1].flat):
            problems.append("the spec names task, so every config must have one")
        rows = max(lengths, default=1)
        return [each if each.ndim else np.broadcast_to(each, (rows,)) for each in given]

    def _knob(self, name: str, columns: Mapping[str, Any], problems: list[str]) -> _Array:
        if name not in columns:
            problems.append(f"knob {name!r} is missing; the bundle needs {', '.join(self.knobs)}")
            return np.zeros(())
        values = np.asarray(columns[name])
        if values.dtype.kind not in "iuf" or values.ndim > 1:
            problems.append(f"knob {name!r} holds {values.dtype}; give one number a config")
            return np.zeros(())
        values = values.astype(np.float64, copy=False)
        odd = ~np.isfinite(values)
        if odd.any():
            at = int(np.argmax(odd))
            told = values.flat[at]
            problems.append(f"knob {name!r} is {told} in config {at}; it must be a finite number")
        elif values.size and values.min() < 0 <= self.lows[self.knobs.index(name)]:
            at = int(np.argmin(values))
            told = values.flat[at]
            problems.append(f"knob {name!r} is {told:g} in config {at}; it is never negative")
        return values

    def read_budgets(
        self, budget_ms: Any, stage_budgets_ms: Any, rows: int, problems: list[str]
    ) -> dict[str, _Array]:
        """Return what bounds what; add what is wrong to `problems`."""
        given = {} if budget_ms is None else {"total": budget_ms}
        if stage_budgets_ms is None or isinstance(stage_budgets_ms, Mapping):
            given.update(stage_budgets_ms or {})
        else:
            told = type(stage_budgets_ms).__name__
            problems.append(f"stage_budgets_ms is a {told}; give a budget for each stage by name")
        if not given:
            problems.append("no budget is given; give budget_ms of the total, or of stages")
        budgets = {}
        for text, budget in given.items():
            try:
                self.bound(str(text))
                values = np.asarray(budget, dtype=np.float64)
            except (TypeError, ValueError) as error:
                problems.append(f"budget of {text}: {error}")
                continue
            if values.shape not in ((), (1,), (rows,)):
                problems.append(
                    f"budget of {text} has {values.size} values for {rows} configs; give one, or "
                    "one a config"
                )
                continue
            budgets[text] = np.broadcast_to(values, (rows,))
            if not np.all(np.isfinite(budgets[text]) & (budgets[text] > 0)):
                problems.append(f"the budget of {text} must be a positive number of ms")
        return budgets

    def decide(self, given: Sequence[_Array], asked: _Asked) -> tuple[_Array, _Array]:
        """Decide about configurations that were read."""
        count = len(given[-1])
        answers, p_exceed = np.empty(count, dtype=np.intp), np.empty(count)
        outside = np.zeros(count, dtype=bool)
        with np.errstate(all="ignore"):
            for rows in _blocks(count, _ROWS):
                here = self._place_rows(given, rows)
                out = outside[rows] = ~self.is_inside(_ARRAYS, here)
                if not out.all():  # of these, what follows has the last word
                    p_exceed[rows], answers[rows] = self._judge(rows, here, None, asked, out)
            others = np.flatnonzero(outside)
            for block in _blocks(len(others), _ROWS):
                some = others[block]
                here = self._place_rows(given, some)
                edge = self.edge(_ARRAYS, self.array_steps, here)
                p_exceed[some], answers[some] = self._judge(some, here, edge, asked, False)
        return _ANSWERS[answers], p_exceed

    def _place_rows(self, given: Sequence[_Array], rows: _Rows) -> _Place:
        return self.place(_ARRAYS, self.array_steps, [each[rows] for each in given])

    def _judge(
        self, rows: _Rows, here: _Place, edge: _Place | None, asked: _Asked, passed_over: Any
    ) -> tuple[_Array, _Array]:
        """Return p_exceed and the answers, by their place in `_ANSWERS`. Shapes (config,)."""
        budgets = {text: budget[rows] for text, budget in asked.budgets.items()}
        count = len(next(iter(budgets.values())))
        points = [stage.point(_ARRAYS, here, edge) for stage in self.stages]
        for stage, point in zip(self.stages, points):
            possible = point.possible | passed_over
            if not np.all(possible):
                self._refuse(stage, np.r_[rows], here, np.broadcast_to(possible, count))
        outside = edge is not None
        table = np.empty((len(points), self.width[outside], count), dtype=_FLOAT)
        for stage, point, out in zip(self.stages, points, table):
            matrix = np.empty((len(point.design), count), dtype=_FLOAT)
            for row, value in zip(matrix, point.design):
                row[...] = value
            np.matmul(stage.loads_of(outside, len(out)).T, matrix, out=out)
        p_exceed: Any = 0.0
        over = unsure = np.zeros(count, dtype=bool)
        for text, budget in budgets.items():
            bound = self.bound(text)
            own = table if bound is self.total else table[bound.places]
            found = bound.judge(points, own, budget, asked, look=outside)
            p_exceed = np.maximum(p_exceed, found[0])
            over, unsure = over | found[1], unsure | found[2]
        unknown = np.zeros(count, dtype=bool)
        for at in {at for text in budgets for at in self.bound(text).places}:
            unknown |= points[at].is_beyond
            unknown |= self.is_unmeasured(self.stages[at], points[at])
        if self.doubted:
            unknown |= self.is_doubted(_ARRAYS, here)
        answers = _answer(_ARRAYS, (p_exceed, over, unsure), asked.max_risk, unknown)
        return p_exceed, answers

    def is_unmeasured(self, stage: _Stage, point: _Point) -> Any:
        """Tell where a stage that nothing was measured of runs."""
        return (stage.name in self.unmeasured) & (point.times > 0)

    def _refuse(self, stage: _Stage, rows: _Array, here: _Place, possible: _Array) -> None:
        """Raise an error that names the first configuration with an impossible value."""
        at = int(np.argmin(possible))
        told = ", ".join(f"{name} {each[at]:g}" for name, each in zip(self.knobs, here.values))
        raise ValueError(
            f"{stage.name} has an impossible value of physics, times or a feature in config "
            f"{rows[at]} ({told}); correct the knobs"
        )


def _bare(names: _Array) -> _Array:
    """Leave out the spaces around names; what is no text stays, to be refused."""
    found = np.empty_like(names)
    found.flat = [each.strip() if isinstance(each, str) else each for each in names.flat]
    return found


def _part(space: _Array, shape: tuple[int, int]) -> _Array:
    """Return the first of it, in a shape."""
    return space[: shape[0] * shape[1]].reshape(shape)


def _blocks(count: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _answer(ops: _Ops, found: tuple[Any, Any, Any], max_risk: float, unknown: Any) -> Any:
    """Return the answer, by its place in `_ANSWERS`.

    `found` are p_exceed and whether at least 95 %, or more than 5 %, of the draws exceed the
    budget with more than `max_risk`.
    """
    p_exceed, over, unsure = found
    otherwise = ops.where((p_exceed > max_risk) | over, 1, ops.where(unknown, 2, 0))
    return ops.where(unsure > over, 2, otherwise)


class _Place(NamedTuple):
    """Configurations: numbers, or arrays of shape (config,).

    `values`: the knobs, the task and the value of each step; `scaled`: the coordinates on [-1, 1]
    over their training range, then the stages' empty corners.
    """

    values: list[Any]
    scaled: list[Any]
    task: Any


class _Point(NamedTuple):
    """A stage at configurations: numbers, or arrays of shape (config,).

    `log_ms`: its physics; `design`: what the loads are multiplied by; `times`: how often it runs;
    `is_beyond`: whether the range of the fit is left; `possible`: whether a latency can be so.
    """

    log_ms: Any
    design: list[Any]
    times: Any
    is_beyond: Any
    possible: Any


class _Stage:
    """One stage: where its expressions are among the steps, and its loads and draws.

    Its design are the shares of its parts, the columns of its correction and its tasks; beyond the
    range of the fit also how far the shares have moved from its edge, the distance along each
    coordinate, the way that the group's own rows went, and whether the task is new. The loads make
    of it the mean of the log latency, the log of the noise's scale, and how each latent variable
    counts.
    """

    def __init__(self, entry: Mapping[str, Any], arrays: Mapping[str, _Array]) -> None:
        self.name = str(entry["name"])
        self.times = tuple(entry["times"])
        self.parts = [tuple(value) for value in entry["parts"]]
        self.coordinates = [int(each) for each in entry["coordinates"]]
        self.columns = [tuple(each) for each in entry["columns"]]
        self.tasks = [str(each) for each in entry["tasks"]]
        # Knobs that only say how often it runs, with their range.
        self.counting = [(int(at), low, high) for at, low, high in entry["counting"]]
        self.walk = _Walk(entry["walk"], arrays[f"{self.name} reached"]) if entry["walk"] else None
        self.size = len(self.parts) + len(self.columns) + len(self.tasks)
        self.latent = int(entry["latent"])  # variables, where the range of the fit is not left
        self.loads, self.draws = arrays[f"{self.name} loads"], arrays[f"{self.name} draws"]
        self.log_noise, self.log_own = float(entry["log_noise"]), float(entry["log_own"])
        self.noise = arrays[f"{self.name} noise"]  # square of each draw's scale over their mean
        self.scales = np.sqrt(self.noise)
        self.unsteady = float(np.var(self.noise))
        linear, cubic = float(entry["linear"]), float(entry["cubic"])
        self.slope = linear + 3.0 * cubic
        self.tails = cubic / self.slope
        self.dof = 1.0 / float(np.interp(self.tails, arrays["tails"], arrays["inverse_dof"]))
        self.body = linear + _BODY_SLOPE * cubic

    def loads_of(self, outside: bool, width: int) -> _Array:
        """Return the loads that configurations need. Shape (feature, width)."""
        loads = self.loads if outside else self.loads[: self.size, : 2 + self.latent]
        padded = np.zeros((len(loads), width), dtype=_FLOAT)
        padded[:, : loads.shape[1]] = loads
        return padded

    def point(self, ops: _Ops, here: _Place, edge: _Place | None) -> _Point:
        """Evaluate it; `edge` is the nearest place in the range of the fit, if that is left."""
        offset, factor, step = self.times
        times = offset + factor * here.values[step]
        total, shares = self._physics(here)
        log_ms, possible = ops.log(total), (total > 0.0) & (total < math.inf)
        possible = (
            possible & (times >= 0.0) & (times < math.inf) & (ops.least(shares) >= -_ROUNDING)
        )
        if edge is None:
            return _Point(log_ms, shares + self._correction(ops, here), times, False, possible)
        held = edge._replace(scaled=[ops.maximum(ops.minimum(v, 1.0), -1.0) for v in edge.scaled])
        design = shares + self._correction(ops, held)
        design += [one - other for one, other in zip(shares, self._physics(edge)[1])]
        grown: dict[int, Any] = {}
        for at in self.coordinates:
            distance = abs(here.scaled[at])
            possible = possible & (distance < math.inf)
            excess = ops.where(distance > _INSIDE, ops.minimum(distance - 1.0, _FARTHEST), 0.0)
            grown[at] = ops.sqrt(excess + excess * excess)
        beyond: Any = False
        for each in grown.values():
            beyond = beyond | (each > 0.0)
        told: list[Any] = []
        if self.walk is not None:
            told, known = self.walk.go(ops, here.scaled, grown)
            beyond = beyond & (known == 0)
        design += [*grown.values(), *told]
        if self.tasks:
            known = ops.is_in(here.task, self.tasks)
            beyond = beyond | (known == 0)
            design.append(ops.where(known, 0.0, 1.0))
        beyond = beyond & (times > 0)  # of what does not run, only whether it does matters
        for at, low, high in self.counting:
            beyond = beyond | (here.values[at] < low) | (here.values[at] > high)
        return _Point(log_ms, design, times, beyond, possible)

    def _physics(self, place: _Place) -> tuple[Any, list[Any]]:
        """Additive physics in ms, and the share of each part."""
        values = place.values
        parts = [offset + factor * values[step] for offset, factor, step in self.parts]
        total = _add(parts)
        inverse = 1.0 / total
        return total, [part * inverse for part in parts]

    def _correction(self, ops: _Ops, place: _Place) -> list[Any]:
        """Columns of the smooth correction, then of the tasks."""
        columns: list[Any] = []
        for before, coordinate in self.columns:
            value = place.scaled[coordinate]
            columns.append(value if before < 0 else columns[before] * value)
        return columns + [ops.truth(place.task == name) for name in self.tasks]


class _Coordinate:
    """What a training range is measured in: a feature of a smooth correction, or a knob."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.value, self.moved = tuple(entry["value"]), bool(entry["moved"])
        self.low, self.high = float(entry["low"]), float(entry["high"])
        self.middle, self.half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        self.is_log = bool(entry["log"])

    def scaled(self, ops: _Ops, values: Sequence[Any]) -> Any:
        """On [-1, 1] over the training range; a single value is 0, and what leaves it beyond 1."""
        offset, factor, step = self.value
        raw = offset + factor * values[step]
        if not self.moved:
            widths = abs(self._distance(ops, raw, self.low))
            out = ops.copysign(1.0 + widths, raw - self.middle)
            return ops.where(widths <= 1e-9, 0.0, out)  # what is no number is none here, too
        place = (raw - self.middle) / self.half
        left = abs(place) > 1.0
        if not ops.any(left):
            return place
        edge = ops.where(raw > self.middle, self.high, self.low)
        most = _PER_POWER * abs(self._distance(ops, raw, edge))
        if not self.is_log:  # no power of e leads from a size to nothing, or to less
            most = ops.where((raw <= 0) & (edge > 0), math.inf, most)
        out = ops.copysign(1.0 + ops.minimum(abs(place) - 1.0, most), raw - self.middle)
        return ops.where(left, out, place)

    def _distance(self, ops: _Ops, raw: Any, edge: Any) -> Any:
        """Distance from an edge of the range, in powers of e where that has a meaning."""
        if self.is_log:  # it counts in powers of e as it is
            return raw - edge
        units = (raw - edge) / ops.maximum(abs(edge), 1.0)
        far = 1.0 + ops.log(ops.maximum(abs(units), 1.0))
        units = ops.where(abs(units) <= 1.0, units, ops.copysign(far, units))
        is_size = (raw > 0) & (edge > 0)
        ratio = ops.where(is_size, raw, 1.0) / ops.where(is_size, edge, 1.0)
        return ops.where(is_size, ops.log(ratio), units)


class _Corners:
    """Where pairs of coordinates are within their ranges, and nothing was measured near them both.

    It is a further coordinate: 1, and by the depth of the deepest corner more.
    """

    def __init__(self, entry: Mapping[str, Any], arrays: Mapping[str, _Array]) -> None:
        self.pairs = list(zip(entry["pairs"], arrays[entry["depth"]]))
        self.cells = math.isqrt(arrays[entry["depth"]].shape[1])  # by one coordinate

    def scaled(self, ops: _Ops, coordinates: Sequence[Any]) -> Any:
        deepest: Any = 0.0
        for (one, two), depth in self.pairs:
            cell = self.cell(ops, coordinates[one]) * self.cells + self.cell(ops, coordinates[two])
            deepest = ops.maximum(deepest, ops.take(depth, cell))
        return 1.0 + deepest

    def cell(self, ops: _Ops, value: Any) -> Any:
        """Cell of a coordinate; what is beyond its range is at its edge."""
        place = (ops.maximum(value, -1.0) + 1.0) * (0.5 * self.cells) + _CELL_ROUNDING
        return ops.cell(ops.minimum(place, self.cells - 0.5))


class _Walk:
    """Where the group was measured beyond the range of the fit, and what is known of the way.

    On each side of a coordinate's range it is a line, then stretches of a walk. A place is known
    that lies no farther out than one that was measured, on all sides together.
    """

    def __init__(self, columns: Sequence[Sequence[Any]], reached: _Array) -> None:
        self.columns = [(int(at), *rest) for at, *rest in columns]
        self.sides = [(at, sign) for at, sign, _, end in self.columns if end is None]
        self.reached = reached.tolist()
        self.far = reached.max(axis=0).tolist()

    def go(self, ops: _Ops, scaled: Sequence[Any], grown: dict[int, Any]) -> tuple[list[Any], Any]:
        """Return the columns of the way, and whether its end is known.

        `grown` are the unknown departures by coordinate: what is known is taken out.
        """
        out = {side: self._distance(ops, scaled, *side) for side in self.sides}
        unknown: Any = False
        for at, departure in grown.items():
            inside: Any = True
            for side in self.sides:
                if side[0] == at:
                    inside = inside & (out[side] <= 0.0)
            unknown = unknown | ((departure > 0.0) & inside)
        left = {side: ops.maximum(out[side] - far, 0.0) for side, far in zip(self.sides, self.far)}
        columns = []
        for at, sign, start, end in self.columns:
            column = out[at, sign]
            if end is not None:
                gone = ops.minimum(ops.maximum(column - start, 0.0), end - start)
                left[at, sign] = left[at, sign] + gone * (1.0 - gone / (end - start))
                column = gone / math.sqrt(end - start)
            columns.append(column)
        for at, sign in self.sides:
            grown[at] = ops.where(out[at, sign] > 0.0, ops.sqrt(left[at, sign]), grown[at])
        known: Any = False
        for row in self.reached:
            within: Any = True
            for side, far in zip(self.sides, row):
                within = within & (out[side] <= far + _AS_FAR)
            known = known | within
        return columns, known & (unknown == 0)

    def _distance(self, ops: _Ops, scaled: Sequence[Any], at: int, sign: float) -> Any:
        place = scaled[at] * sign
        return ops.where(place > _INSIDE, ops.minimum(place - 1.0, _FARTHEST), 0.0)


class _Weighed(NamedTuple):
    """A sum of stages beside its budget: numbers, or arrays of shape (config,).

    `p_exceed`: in closed form; `edge`: sds from the draws' mean to where a draw exceeds the budget
    too often; `first`: how many draws have to be looked at; `is_below`: whether the others exceed
    the budget; `is_noisy`: whether one stage may do so by itself. Of the noise of a run there:
    `shift` of its middle, in log latency, `squares` of its scale, by the pairs of stages and in
    places of the table, and `cell` of its Student-t.
    """

    p_exceed: Any
    edge: Any
    first: Any
    is_below: Any
    is_noisy: Any
    shift: Any
    squares: list[Any]
    cell: Any


class _Bound:
    """What a budget is of: some stages, each once or as often as it runs in a request."""

    def __init__(self, model: _Model, places: Sequence[int], per_request: bool) -> None:
        self.places, self.per_request = list(places), per_request
        self.stages, self.student = [model.stages[at] for at in places], model.student
        self.correlation: list[list[float]] | None = None
        if model.correlation is not None:
            self.correlation = model.correlation[np.ix_(places, places)].tolist()
        self.loud = model.loud
        self.reach = model.reach if len(places) == len(model.stages) else model.reach[:1]
        # Of a sum, the stages whose own noise may exceed its budget.
        self.jumping = [
            at
            for at in range(len(places) if len(places) > 1 else 0)
            if self.correlation is None or min(self.correlation[at]) >= _APART
        ]
        # The square of the sum's scale is one over the pairs of stages whose noise goes together.
        self.pairs = self._pairs()
        squares = [self.stages[a].noise * self.stages[b].noise for a, b, _ in self.pairs]
        self.noise = np.sqrt(np.stack(squares))
        self.together = self.noise.mean(axis=1).tolist()
        draws = self.noise.shape[1]
        self.ones = np.ones(draws, dtype=_FLOAT)
        # How many draws may be on the other side of a budget within each reach.
        self.firsts = [first for first, _, _ in self.reach[1:]] + [draws]
        # What the log of the stage's mean counts for, then the latent variables.
        self.draws = np.zeros((len(places), model.width[True] - 1, draws), dtype=_FLOAT)
        self.draws[:, 0] = _PER_E
        for held, stage in zip(self.draws, self.stages):
            held[1 : 1 + len(stage.draws)] = stage.draws * _PER_E
        # Draws over the limit: from so many on, the central 90 % of the draws are; from fewer on,
        # some of the central 90 %.
        self.most = draws - math.floor(_CENTRAL * (draws - 1) + 0.5)
        self.some = draws - math.floor((1.0 - _CENTRAL) * (draws - 1) + 0.5)

    def _pairs(self) -> list[tuple[int, int, float]]:
        """Return the places of the stages of each pair, and how often its product counts."""
        alone = [(at, at, 1.0) for at in range(len(self.stages))]
        if self.correlation is None:
            return alone
        return alone + [
            (a, b, 2.0 * value)
            for b, row in enumerate(self.correlation)
            for a, value in enumerate(row[:b])
        ]

    def central(self, over: Any) -> tuple[Any, Any]:
        """Whether the central 90 % of the draws, and whether some of them, are over the limit."""
        return over >= self.most, over >= self.some

    def weigh(
        self,
        ops: _Ops,
        amounts: Sequence[Any],
        variances: Sequence[Any],
        noise: Sequence[Any],
        budget: Any,
        quantiles: _Array,
    ) -> _Weighed:
        """Set the sum beside its budget: see bayeslat's `combine_noise` for that of the noise.

        Parameters
        ----------
        ops : _Ops
        amounts : list over stage
            Typical latency at the draws' mean, as often as it counts.
        variances : list over stage
            Of the log latency over the draws.
        noise : list over stage
            Scale of the Student-t noise: the root mean square of the draws'.
        budget : number or array
        quantiles : ndarray, shape (cell,)
            What each Student-t exceeds with the largest risk.
        """
        inverse = 1.0 / _add(amounts)
        shares = [amount * inverse for amount in amounts]
        slopes = [w * sd * stage.slope for w, sd, stage in zip(shares, noise, self.stages)]
        reach = slopes
        if self.correlation:
            reach = [_add([r * s for r, s in zip(row, slopes)]) for row in self.correlation]
        squares = [slopes[a] * slopes[b] * weight for a, b, weight in self.pairs]
        # Sums over the stages: of the noise's size, tails, mean and bend, and of the draws.
        own, tails, unsteady = _TINY, 0.0, 0.0
        body, spread, inside = _TINY, 0.0, 0.0
        variance, mixed = _TINY, 0.0
        for stage, share, sd, slope, along, each in zip(
            self.stages, shares, noise, slopes, reach, variances
        ):
            square, straight = along * along, share * sd * stage.body
            bent = straight * sd * stage.body
            own = own + slope * along
            tails = tails + stage.tails * slope * along * square
            unsteady = unsteady + stage.unsteady * (slope * slope) ** 2
            body = body + straight * along
            spread, inside = spread + bent, inside + bent * square
            part = share * ops.minimum(each, _MOST_VARIANCE)
            variance, mixed = variance + share * part, mixed + part
        cell = ops.cell(tails * self.student.per_tail / (own * own))
        size = ops.sqrt(own)
        scale = size * ops.take(self.student.narrow, cell)
        inside = inside / own
        most = _MOST_BEND / scale
        bend = 0.5 * (inside * own / (body * body) - 1.0)
        bend = ops.minimum(ops.maximum(bend, -most), most)
        shift, lift = 0.5 * (spread - inside), 0.5 * (mixed - variance)
        # Of a run, draws and noise together.
        drawn = own
        if self.correlation:  # in a draw, noise is seldom large in all stages
            drawn = _TINY + _add([each * part for each, part in zip(squares, self.together)])
        whole = drawn + variance
        every = ops.cell((tails + 0.125 * unsteady) * self.student.per_tail / (whole * whole))
        part = drawn / whole  # of a run's departure that its noise makes
        gap = ops.log(budget * inverse)
        away = gap - shift - lift - bend * part * variance
        near = ops.maximum(ops.minimum(away * part, _BEND_REACH * scale), -_BEND_REACH * scale)
        standard = away - bend * near * near
        standard = standard / (ops.sqrt(whole) * ops.take(self.student.narrow, every))
        # Of a draw that exceeds the budget too often.
        most = scale * ops.take(quantiles, cell)
        bent = ops.minimum(abs(most), _BEND_REACH * scale)
        most = most + bend * bent * bent
        unsure = variance + most * most * 0.25 * unsteady / (own * own)
        edge = (gap - lift - shift - most) / ops.sqrt(unsure)
        # Beside the draws, the bend is the straight line that touches it there.
        steep = 1.0 - 2.0 * bend * near
        narrow = (scale / (size * steep * _PER_UNIT)) ** 2
        spread = ops.sqrt(variance)
        reached = ops.maximum(abs(most), _REACH * scale)
        first: Any = 0
        for (_, low, high), to in zip(self.reach, self.firsts):
            close = (away < high * spread + reached) & (-away < low * spread + reached)
            first = ops.where(close, to, first)
        unclear = abs(abs(edge) - _EDGE) < _EDGE_WIDTH
        quiet = ops.where(unclear, len(self.ones), 0)
        p_exceed = _p_above(ops, standard, ops.take(self.student.dof, every))
        first = ops.where(variance > self.loud * whole, first, quiet)
        is_noisy = self._is_noisy(ops, amounts, noise, budget, p_exceed, first > 0)
        return _Weighed(
            p_exceed=p_exceed,
            edge=edge,
            first=ops.where(is_noisy, len(self.ones), first),
            is_below=away < 0.0,
            is_noisy=is_noisy,
            shift=shift - bend * near * near / steep,
            squares=[each * narrow for each in squares],
            cell=cell,
        )

    def _is_noisy(
        self,
        ops: _Ops,
        amounts: Sequence[Any],
        noise: Sequence[Any],
        budget: Any,
        p_exceed: Any,
        looked_at: Any,
    ) -> Any:
        """Whether a stage may exceed the budget by its own noise more often than the sum.

        Where draws are looked at anyway, whether it may in any.
        """
        found: Any = False
        for at in self.jumping:
            stage, amount, sd = self.stages[at], amounts[at], noise[at]
            if ops.any(sd > _NOISY):
                total = _add(amounts)
                left = ops.maximum(budget - (total - amount), _TINY)
                alone = _p_above(ops, ops.log(left / amount) / sd, stage.dof)
                more = (total < budget) & (alone > p_exceed + _ROUGH)
                found = found | ((sd > _NOISY) & (more | looked_at))
        return found

    def look(
        self,
        loads: _Array,
        squares: _Array,
        cell: _Array,
        quantile: _Array,
        first: int,
        is_below: Any,
        alone: tuple[_Array, _Array] | None = None,
        space: _Array | None = None,
    ) -> tuple[_Array, _Array]:
        """Look at the first draws; the others clearly exceed the budget, or clearly do not.

        Parameters
        ----------
        loads : ndarray, shape (stage, 1 + latent, config)
            Log of the stage's mean over the budget, plus the shift; how the latent variables count.
        squares : ndarray, shape (pair, config)
        cell : ndarray of int, shape (config,)
            As in `_Weighed`.
        quantile : ndarray, shape (config,)
            What the Student-t exceeds with the largest risk.
        first : int
        is_below : bool or ndarray of bool, shape (config,)
            Whether the others exceed it.
        alone : tuple of (ndarray, ndarray), optional
            What `exceed_alone` found, of all draws.
        space : ndarray, shape (2, at least config x first), optional
            To compute in: fresh memory takes longer than what is written there. Not needed for one
            configuration.

        Returns
        -------
        p_exceed : ndarray, shape (config,)
            Mean of the draws' own.
        over : ndarray, shape (config,)
            Number of draws that exceed the budget too often.
        """
        places = self.log_ratios(loads, first, space)
        scale = None if space is None else _part(space[1], places.shape)
        scale = np.matmul(squares.T, self.noise[:, :first], out=scale)
        places /= np.sqrt(scale, out=scale)
        flags = np.greater(places, (-_PER_UNIT * quantile)[:, None], out=scale)
        if alone is not None:
            np.maximum(flags, alone[1], out=flags)
        ones, others = self.ones[:first], (len(self.ones) - first) * is_below
        over = flags @ ones + others
        below = self.student.below(places, cell, scale.view(np.int32))
        if alone is not None:
            np.maximum(below, alone[0], out=below)
        return (below @ ones + others) / len(self.ones), over

    def exceed_alone(
        self, loads: _Array, shift: Any, noise: _Array, max_risk: float
    ) -> tuple[_Array, _Array]:
        """Let a noisy stage exceed the budget beside a typical run of the others.

        See bayeslat's `exceed_given`: the noise of a sum is seldom as far out as that of a part.

        Parameters
        ----------
        loads : ndarray, shape (stage, 1 + latent, config)
            As `look` takes them.
        shift : number or ndarray, shape (config,)
            That the loads have in them.
        noise : ndarray, shape (stage, config)
            Scale of the noise: the root mean square of the draws'.
        max_risk : float

        Returns
        -------
        p_exceed : ndarray, shape (config, draw)
        over : ndarray of bool, shape (config, draw)
            Where that is more than `max_risk`.
        """
        logs = loads.transpose(0, 2, 1) @ self.draws[:, : loads.shape[1]]
        amounts = _EXP(logs, out=logs)
        amounts *= np.exp(-shift).astype(_FLOAT).reshape(-1, 1)
        np.maximum(amounts, _TINY, out=amounts)
        total, p_exceed = np.add.reduce(amounts), np.zeros(amounts.shape[1:], dtype=_FLOAT)
        for at in self.jumping:
            stage, amount, sd = self.stages[at], amounts[at], noise[at].astype(_FLOAT)
            rows = np.flatnonzero(sd > _NOISY)
            if not rows.size:
                continue
            amount, whole = amount[rows], total[rows]
            left = np.maximum(1.0 - (whole - amount), _TINY)
            left /= amount
            places = np.log(left, out=left)
            places /= sd[rows, None] * (stage.scales * (-1.0 / _PER_UNIT))
            cells = np.full(len(rows), min(int(stage.tails * self.student.per_tail), _CELLS - 1))
            above = self.student.below(places, cells, np.empty(places.shape, dtype=np.int32))
            above *= whole < 1.0  # a typical run keeps the budget
            p_exceed[rows] = np.maximum(p_exceed[rows], above)
        return p_exceed, p_exceed > max_risk

    def log_ratios(self, loads: _Array, first: int, space: _Array | None) -> _Array:
        """Log of the sum over its budget, in each of the first draws. Shape (config, draw).

        Parameters
        ----------
        loads : ndarray, shape (stage, 1 + latent, config)
            Log of the stage's mean over the budget; how the latent variables count.
        first : int
        space : ndarray, shape (2, at least config x first), or None
            To compute in; the result is in its first half. None for one configuration.
        """
        total: _Array
        if space is None:  # the calls take longer than what they compute
            logs = loads.transpose(0, 2, 1) @ self.draws[:, : loads.shape[1], :first]
            total = np.add.reduce(_EXP(logs, out=logs))
        else:
            total, amounts = (_part(each, (loads.shape[2], first)) for each in space)
            for at, (own, stage, draws) in enumerate(zip(loads, self.stages, self.draws)):
                used, out = min(1 + len(stage.draws), len(own)), amounts if at else total
                np.matmul(own[:used].T, draws[:used, :first], out=out)
                _EXP(out, out=out)
                if at:
                    total += amounts
        return np.log(total, out=total)

    def judge(
        self,
        points: Sequence[_Point],
        table: _Array,
        budget: _Array,
        asked: _Asked,
        *,
        look: bool,
    ) -> tuple[_Array, _Array, _Array]:
        """Return p_exceed, and whether nearly all and some draws are over. Shapes (config,)."""
        logs, variances, noise = [], [], []
        for at, stage, own in zip(self.places, self.stages, table):
            log_ms = points[at].log_ms + np.clip(own[0], -_MOST_LOG_MS, _MOST_LOG_MS)
            times = points[at].times
            times = np.log(np.maximum(times if self.per_request else times > 0, _TINY))
            logs.append(np.asarray(log_ms + times - np.log(budget), dtype=_FLOAT))
            variances.append(np.einsum("ij,ij->j", own[2:], own[2:]))
            of_a_run = stage.log_noise + own[1]
            noise.append(np.exp(of_a_run + stage.log_own if asked.typical else of_a_run))
        quantiles = self.student.quantiles(asked.max_risk)
        amounts = [np.exp(each) for each in logs]
        found = self.weigh(_ARRAYS, amounts, variances, noise, _FLOAT.type(1.0), quantiles)
        p_exceed = found.p_exceed.astype(np.float64)
        over, unsure = found.edge < -_EDGE, found.edge < _EDGE
        everything = len(self.ones)
        firsts = np.where(look, everything, found.first)
        starts = np.array([each + found.shift for each in logs])
        squares = np.array(found.squares)
        space = np.empty((2, max(_LOOKED, everything)), dtype=_FLOAT)
        for first in self.firsts:
            looked = np.flatnonzero(firsts == first)
            for block in _blocks(len(looked), _LOOKED // first):
                rows = looked[block]
                loads = table.take(rows, axis=2)[:, 1:]
                loads[:, 0] = starts[:, rows]
                cell = found.cell[rows]
                alone, noisy = None, np.broadcast_to(found.is_noisy, firsts.shape)[rows]
                if noisy.any():
                    of_each = np.stack(noise)[:, rows]
                    chance, often = self.exceed_alone(
                        loads, found.shift[rows], of_each, asked.max_risk
                    )
                    alone = chance * noisy[:, None], often & noisy[:, None]
                p_exceed[rows], count = self.look(
                    loads,
                    squares[:, rows],
                    cell,
                    quantiles.take(cell, mode="clip"),
                    first,
                    found.is_below[rows],
                    alone,
                    space,
                )
                over[rows], unsure[rows] = self.central(count)
        return p_exceed, over, unsure


class _Student:
    """Student-t noise by the weight of its tails."""

    def __init__(self, tails: _Array, inverse_dof: _Array, slope: _Array) -> None:
        self.per_tail = _CELLS / float(tails[-1])
        middles = (np.arange(_CELLS) + 0.5) / self.per_tail
        self.dof = (1.0 / np.interp(middles, tails, inverse_dof)).astype(_FLOAT)
        self.narrow = (1.0 / np.interp(middles, tails, slope)).astype(_FLOAT)
        # P(Student-t < value), a row for some degrees of freedom: the nearest to each cell's.
        rows = inverse_dof[::3]
        values = (np.arange(_VALUES) + 0.5 - _MIDDLE) / _PER_UNIT
        self.flat = _p_above(_ARRAYS, -values, 1.0 / rows[:, None]).astype(_FLOAT).ravel()
        nearest = np.interp(1.0 / self.dof, rows, np.arange(len(rows)))
        self.first = np.rint(nearest).astype(np.int32) * np.int32(_VALUES)
        self.known: dict[float, _Array] = {}

    def below(self, places: _Array, cell: _Array, whole: _Array) -> _Array:
        """P(Student-t < value) by the place of the value from the middle, which is overwritten.

        So is `whole`, whole numbers of the same shape.
        """
        places += _MIDDLE
        places.clip(0.0, _VALUES - 1.0, out=places)
        np.copyto(whole, places, casting="unsafe")
        whole += self.first.take(cell, mode="clip")[:, None]
        below: _Array = self.flat.take(whole, out=places, mode="clip")
        return below

    def quantiles(self, max_risk: float) -> _Array:
        """Value that each Student-t exceeds with probability max_risk, by bisection."""
        if max_risk not in self.known:
            dof = self.dof.astype(np.float64)
            low, high = np.full(_CELLS, -_FARTHEST), np.full(_CELLS, _FARTHEST)
            for _ in range(60):
                middle = 0.5 * (low + high)
                above = _p_above(_ARRAYS, middle, dof) > max_risk
                low, high = np.where(above, middle, low), np.where(above, high, middle)
            self.known[max_risk] = low.astype(_FLOAT)
        return self.known[max_risk]


def _p_above(ops: _Ops, value: Any, dof: Any) -> Any:
    """P(Student-t > value), within 3e-4: Hill's normal score (1970, Algorithm 395)."""
    size = dof - 0.5
    terms = 48.0 * size * size
    square = size * ops.log1p(value * value / dof)
    correction = ((0.4 * square + 3.3) * square + 24.0) * square + 85.5
    correction = (square + 3.0 - correction / (0.8 * square * square + 100.0 + terms)) / terms
    return _p_normal(ops, -ops.copysign(ops.sqrt(square) * (1.0 + correction), value))


def _p_normal(ops: _Ops, score: Any) -> Any:
    """P(normal < score), within 2e-4: the logistic of Bowling et al. (2009)."""
    score = ops.minimum(ops.maximum(score, -8.0), 8.0)
    return 1.0 / (1.0 + ops.exp(-score * (1.5976 + 0.07056 * score * score)))


class _Ops(NamedTuple):
    """What numbers, for which Python's own functions are the fastest, and arrays do differently."""

    log: Callable[[Any], Any]
    log1p: Callable[[Any], Any]
    exp: Callable[[Any], Any]
    sqrt: Callable[[Any], Any]
    ceil: Callable[[Any], Any]
    floor: Callable[[Any], Any]
    power: Callable[[Any, Any], Any]
    copysign: Callable[[Any, Any], Any]
    minimum: Callable[[Any, Any], Any]
    maximum: Callable[[Any, Any], Any]
    any: Callable[[Any], Any]
    least: Callable[[Sequence[Any]], Any]
    where: Callable[[Any, Any, Any], Any]
    truth: Callable[[Any], Any]
    is_in: Callable[[Any, Sequence[str]], Any]
    cell: Callable[[Any], Any]
    take: Callable[[_Array, Any], Any]


_NUMBERS = _Ops(
    log=math.log,
    log1p=math.log1p,
    exp=math.exp,
    sqrt=math.sqrt,
    ceil=math.ceil,
    floor=math.floor,
    power=math.pow,
    copysign=math.copysign,
    minimum=lambda a, b: a if a < b else b,
    maximum=lambda a, b: a if a > b else b,
    any=bool,
    least=min,
    where=lambda condition, a, b: a if condition else b,
    truth=float,
    is_in=lambda task, names: task in names,
    cell=lambda value: min(max(int(value), 0), _CELLS - 1),
    take=lambda table, at: table.item(at),
)
_ARRAYS = _Ops(
    log=np.log,
    log1p=np.log1p,
    exp=np.exp,
    sqrt=np.sqrt,
    ceil=np.ceil,
    floor=np.floor,
    power=np.power,
    copysign=np.copysign,
    minimum=np.minimum,
    maximum=np.maximum,
    any=np.any,
    least=lambda values: functools.reduce(np.minimum, values),
    where=np.where,
    truth=lambda flags: np.asarray(flags, dtype=np.float64),
    is_in=lambda task, names: np.isin(task, names),
    cell=lambda value: value.astype(np.int32),
    take=lambda table, at: table.take(at, mode="clip"),
)


def _make_step(step: Sequence[Any], ops: _Ops, task: int) -> _Function:
    """Return a step as a function of the values before it.

    Raises
    ------
    ValueError
        If it is of no known kind.
    """
    name, *rest = step
    number, a, b = rest[-1], rest[0], rest[1] if len(rest) > 1 else 0
    if name == "constant":
        return lambda r: number
    if name == "scale":
        return lambda r: number * r[a]
    if name == "shift":
        return lambda r: r[a] + number
    if name == "add":
        return (lambda r: r[a] + r[b]) if number == 1.0 else (lambda r: r[a] + number * r[b])
    if name == "task_is":
        return lambda r: ops.truth((r[task] == a) == b)
    function = _functions(ops).get(name)
    if function is None:
        raise ValueError(f"step {name!r} is of no known kind")
    if len(rest) == 1:
        return lambda r: function(r[a])
    if len(rest) == 2:
        return lambda r: function(r[a], r[b])
    return lambda r: function(*[r[each] for each in rest])


def _functions(ops: _Ops) -> dict[str, Callable[..., Any]]:
    """Return what steps compute of the values that they read."""

    def truth_of(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        return lambda a, b: ops.truth(compare(a, b))

    return {
        "log": ops.log,
        "exp": ops.exp,
        "sqrt": ops.sqrt,
        "ceil": ops.ceil,
        "floor": ops.floor,
        "abs": abs,
        "multiply": operator.mul,
        "divide": operator.truediv,
        "floor_divide": operator.floordiv,
        "remainder": operator.mod,
        "power": ops.power,
        "minimum": ops.minimum,
        "maximum": ops.maximum,
        "equal": truth_of(operator.eq),
        "not_equal": truth_of(operator.ne),
        "less": truth_of(operator.lt),
        "less_equal": truth_of(operator.le),
        "greater": truth_of(operator.gt),
        "greater_equal": truth_of(operator.ge),
        "where": lambda condition, a, b: ops.where(condition != 0, a, b),
        "not": lambda flag: ops.truth(flag == 0),
        "and": lambda *flags: ops.truth(functools.reduce(operator.and_, [f != 0 for f in flags])),
        "or": lambda *flags: ops.truth(functools.reduce(operator.or_, [f != 0 for f in flags])),
    }


def _add(values: Sequence[Any]) -> Any:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
