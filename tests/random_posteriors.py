"""Posteriors of every shape with arbitrary numbers, unfitted: for tests of how they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from numpy.typing import NDArray

from bayeslat.features.corners import CELLS, Corners
from bayeslat.features.design import coordinates
from bayeslat.features.hardware import load_hardware
from bayeslat.features.noise_shape import NoiseShape
from bayeslat.features.residual import span_basis
from bayeslat.features.spec import Spec
from bayeslat.inference.engines.diagnostics import Diagnostics, StageDiagnostics
from bayeslat.inference.posteriors.gross_error import GrossError
from bayeslat.inference.posteriors.posterior import PosteriorData, StagePosterior
from bayeslat.inference.posteriors.target import Target, TargetStage
from bayeslat.inference.posteriors.walk import Trail, Walk
from bayeslat.inference.rows.pilot import Pilots
from bayeslat.inference.rows.settled import SettledStage
from bayeslat.model.groups import GroupTree, grow_tree
from bayeslat.model.priors import stage_problem
from bayeslat.model.problem import MOST_COUNTED
from bayeslat.model.statistics import Statistics
from tests.posteriors import SPEC_TEXT, make_configs

GPUS = ("a100_sxm", "a30", "h100_sxm", "h200_sxm", "l40s")
ODD = np.array([-0.0, 5e-324, 1e-300, np.nextafter(1.0, 2.0), 1 / 3, -700.0])
"""Numbers that a detour by text or a narrower type would not bring back."""

SPECS = (
    SPEC_TEXT,
    # A knob of the name of the dimension of the knob grid.
    SPEC_TEXT.replace("batch_size", "config"),
    # A knob of the name of the dimension of a target's rows.
    SPEC_TEXT.replace("batch_size", "row"),
    # A term of the name of a residual feature, and a stage whose name begins another's.
    SPEC_TEXT.replace('launch = "2.0"', 'context = "2.0"')
    .replace('["log(context)"]', '["context"]')
    .replace("stages.decode", "stages.pre"),
)

_names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
_bare = _names.map(str.strip)  # as those of stacks and tasks are
_numbers = st.floats(width=64)
_worst = st.tuples(_numbers, _names)


@st.composite
def random_posteriors(draw: st.DrawFn) -> PosteriorData:
    """Draw a posterior: GPUs, stacks, tasks, chains and draws, and every number in it."""
    gpus = draw(st.lists(st.sampled_from(GPUS), min_size=1, max_size=5, unique=True))
    stacks = st.lists(_bare, min_size=1, max_size=3, unique=True)
    groups = tuple((gpu, stack) for gpu in gpus for stack in draw(stacks))
    tasks = draw(st.lists(_bare, max_size=3, unique=True))
    spec = Spec.from_text(draw(st.sampled_from(SPECS)))
    chains, draws = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    table = load_hardware()
    hardware = {gpu: table.resolve(gpu) for gpu in gpus}
    families = {gpu: hardware[gpu].family for gpu in gpus}
    tree = grow_tree(groups, families)
    verdicts = st.builds(
        StageDiagnostics,
        stage=st.sampled_from(list(spec.stages)),
        rhat=_worst,
        ess_bulk=_worst,
        ess_tail=_worst,
        divergences=st.integers(0, 99),
        bfmi=_numbers,
        pareto_k=_numbers,
    )
    configs = make_configs(draw(st.integers(1, 5)), tasks=tuple(tasks))
    configs = configs.rename(columns=dict(zip(configs, spec.knobs, strict=False)))
    stages = {
        stage: _stage(rng, spec, stage, groups, tree, tasks, chains * draws)
        for stage in spec.stages
    }
    calibrated = draw(st.lists(st.tuples(st.sampled_from(GPUS), _bare), max_size=3, unique=True))
    return PosteriorData(
        spec=spec,
        hardware={**hardware, **{gpu: table.resolve(gpu) for gpu, _ in calibrated}},
        groups=groups,
        families=families,
        reference=configs,
        stages=stages,
        chains=chains,
        statistics={stage: _statistics(rng, (chains, draws)) for stage in spec.stages},
        diagnostics=Diagnostics(tuple(draw(st.lists(verdicts, max_size=2)))),
        attrs={
            "engine": "nuts",
            "seed": draw(st.integers(0, 2**80)),
            "sources": draw(st.lists(_names, max_size=2)),
            "versions": {"bayeslat": "0"},
        },
        targets={
            group: _target(rng, spec, stages, tasks, draw(st.integers(0, 4)))
            for group in calibrated
        },
        set_aside=tuple(
            _gross_error(rng, row, draw(st.sampled_from(groups)), draw(_names), list(spec.stages))
            for row in range(draw(st.integers(0, 3)))
        ),
        fitted_latencies={
            stage: rng.integers(0, 2**64, size=3, dtype=np.uint64)
            for stage in (spec.stages if draw(st.booleans()) else ())
        },
    )


def _gross_error(
    rng: np.random.Generator, row: int, group: tuple[str, str], name: str, stages: list[str]
) -> GrossError:
    """A row of a donor, set aside in some stages."""
    off = stages[: int(rng.integers(1, len(stages) + 1))]
    return GrossError(
        gpu=group[0],
        stack=group[1],
        file=name,
        row=row,
        config_id=name,
        ratio=dict(zip(off, numbers(rng, len(off)).tolist(), strict=True)),
        repeats=dict.fromkeys(off, "alike"),
        donor=True,
    )


def _target(
    rng: np.random.Generator,
    spec: Spec,
    stages: Mapping[str, StagePosterior],
    tasks: Sequence[str],
    rows: int,
) -> Target:
    """A calibrated GPU; of the same rows, not all hold every stage."""
    configs = make_configs(rows, int(rng.integers(9)), tuple(tasks))
    frame = configs.rename(columns=dict(zip(configs, spec.knobs, strict=False)))
    for part in spec.stages.values():
        frame[part.column] = np.where(rng.uniform(size=rows) < 0.3, np.nan, numbers(rng, rows))
    draws = int(rng.integers(1, 5))
    parts = {}
    for stage, fitted in stages.items():
        terms, size = fitted.terms, len(fitted.problem.features.names)
        gross = np.flatnonzero(rng.uniform(size=rows) < 0.2)
        parts[stage] = TargetStage(
            departure=numbers(rng, terms),
            projection=numbers(rng, terms, size - terms),
            effects=numbers(rng, draws, size),
            noise_sd=numbers(rng, draws),
            measured=int(rng.integers(0, 2**40)),
            effective_draws=float(numbers(rng, 1)[0]),
            set_aside=gross,
            set_aside_ratio=numbers(rng, len(gross)),
            walk=_walk(rng, draws) if rng.uniform() < 0.5 else None,
        )
    origin = pd.DataFrame(
        {
            "file": rng.choice(["a.csv", "b.csv"], rows).astype(object),
            "row": np.arange(1, rows + 1),
            "config_id": rng.choice(["", "7"], rows).astype(object),
        }
    )
    return Target(frame, origin, parts)


def _walk(rng: np.random.Generator, draws: int) -> Walk:
    """A walk on two sides of the range: lines, and a stretch of one."""
    direction, sign = rng.integers(0, 3, 3), numbers(rng, 3)
    trail = Trail(direction, sign, np.zeros(3), np.array([np.inf, numbers(rng, 1)[0], np.inf]))
    return Walk(trail, numbers(rng, draws, 3), numbers(rng, int(rng.integers(1, 4)), 2))


def _stage(
    rng: np.random.Generator,
    spec: Spec,
    stage: str,
    groups: Sequence[tuple[str, str]],
    tree: GroupTree,
    tasks: Sequence[str],
    draws: int,
) -> StagePosterior:
    """One stage; its numbers are of no model."""
    residual = spec.stages[stage].residual
    names = coordinates(spec, stage)
    count = len(residual.features) if residual else 0
    basis = span_basis(
        names[:count],
        int(rng.integers(0, 5)) if residual else 0,
        numbers(rng, 3, len(names)),
        names[count:],
        tasks if len(tasks) > 1 else (),
    )
    basis = replace(basis, corners=_corners(rng))
    terms = len(spec.stages[stage].physics)
    size = terms + len(basis.names)
    untold = tuple(np.flatnonzero(rng.uniform(size=terms) < 0.3).tolist())
    statistics = Statistics(
        numbers(rng, len(groups), size, size),
        numbers(rng, len(groups), size),
        numbers(rng, len(groups)),
        numbers(rng, len(groups)),
    )
    problem = stage_problem(spec, stage, basis, groups, tree, statistics, untold=untold)
    return StagePosterior(
        problem=problem,
        basis=basis,
        pilots=_pilots(rng, len(groups), size),
        most_counted=float(rng.choice([MOST_COUNTED, 12.5])),
        noise_shared=float(rng.uniform()),
        noise_shared_configs=10.0 + float(rng.integers(0, 500)),
        untold=untold,
        minor=tuple(np.flatnonzero(rng.uniform(size=terms) < 0.5).tolist()),
        shared_efficiency=rng.standard_normal(terms),
        departure=numbers(rng, len(tree.gpus), terms),
        projection=numbers(rng, len(tree.gpus), terms, len(basis.names)),
        noise_shape=NoiseShape(numbers(rng, 2 * count), numbers(rng, 2 * count)),
        noise_dof=float(rng.choice([4.0, np.inf])),
        measured=tuple(rng.integers(0, 2**40, len(groups)).tolist()),
        scales=rng.standard_normal((draws, problem.layout.size)),
        effects=numbers(rng, draws, len(tree.names) + 1, size),
    )


def _corners(rng: np.random.Generator) -> Corners:
    """Pairs of features with an empty corner, or none."""
    pairs = int(rng.integers(0, 3))
    depth = rng.uniform(size=(pairs, CELLS, CELLS))
    return Corners(rng.integers(0, 4, (pairs, 2)), depth, margin=float(rng.uniform(0.25, 2.0)))


def _pilots(rng: np.random.Generator, groups: int, features: int) -> Pilots:
    """What outliers are calmed round."""
    return Pilots(numbers(rng, groups, features), numbers(rng, groups), numbers(rng, groups))


def numbers(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    """Random numbers with odd ones among them."""
    usual: Any = rng.standard_normal(shape)
    return np.where(rng.uniform(size=shape) < 0.2, rng.choice(ODD, shape), usual)


def _statistics(rng: np.random.Generator, shape: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """What a sampler says, in the types that samplers use."""
    return {
        "diverging": rng.uniform(size=shape) < 0.5,
        "energy": np.where(rng.uniform(size=shape) < 0.3, np.nan, numbers(rng, *shape)),
        "n_steps": rng.integers(1, 2**60, shape),
        "depth": rng.integers(1, 11, shape, dtype=np.uint8),
    }


def bits(array: Any) -> tuple[Any, ...]:
    """Type, shape and bytes: -0.0 and NaN count as what they are."""
    values = np.asarray(array)
    return values.dtype, values.shape, values.tobytes()


def assert_same(found: PosteriorData, expected: PosteriorData) -> None:
    """Compare everything that a posterior holds, every number by its bits."""
    for name in ("spec", "hardware", "groups", "families", "chains", "attrs"):
        assert getattr(found, name) == getattr(expected, name), name
    assert repr(found.diagnostics) == repr(expected.diagnostics)  # NaN is not equal to itself
    pd.testing.assert_frame_equal(found.reference, expected.reference, check_exact=True)
    assert list(found.stages) == list(expected.stages)
    for stage, part in expected.stages.items():
        other = found.stages[stage]
        _assert_same_settled(other, part)
        assert other.measured == part.measured
        assert (other.hurdle is None) == (part.hurdle is None)
        for name in ("scales", "effects"):
            assert bits(getattr(other, name)) == bits(getattr(part, name)), (stage, name)
        for name in ("gram", "moment", "square", "rows"):
            statistics = (other.problem.statistics, part.problem.statistics)
            assert len({bits(getattr(each, name)) for each in statistics}) == 1, (stage, name)
        assert other.problem.layout == part.problem.layout
        assert other.problem.features.names == part.problem.features.names
        assert found.statistics[stage].keys() == expected.statistics[stage].keys()
        for name, values in expected.statistics[stage].items():
            assert bits(found.statistics[stage][name]) == bits(values), (stage, name)
    assert list(found.fitted_latencies) == list(expected.fitted_latencies)
    for stage, known in expected.fitted_latencies.items():
        assert bits(found.fitted_latencies[stage]) == bits(known), stage
    assert list(found.targets) == list(expected.targets)
    for group, target in expected.targets.items():
        _assert_same_target(found.targets[group], target)


def _assert_same_settled(found: SettledStage, expected: SettledStage) -> None:
    """Compare what decided how a row entered a stage."""
    for name in ("noise_dof", "most_counted", "noise_shared", "noise_shared_configs"):
        assert getattr(found, name) == getattr(expected, name), name
    for name in ("untold", "minor"):
        assert getattr(found, name) == getattr(expected, name), name
    for name in ("features", "degree", "watched", "tasks"):
        assert getattr(found.basis, name) == getattr(expected.basis, name), name
    pairs = [
        (found, expected, ("shared_efficiency", "departure", "projection")),
        (found.noise_shape, expected.noise_shape, ("slopes", "centre")),
        (found.basis, expected.basis, ("low", "high")),
        (found.basis.corners, expected.basis.corners, ("pairs", "depth", "margin")),
        (found.pilots, expected.pilots, ("effect", "sd", "weight")),
    ]
    for one, other, names in pairs:
        for name in names:
            assert bits(getattr(one, name)) == bits(getattr(other, name)), name


def _assert_same_target(found: Target, expected: Target) -> None:
    """Compare everything of a calibrated GPU; a table without rows has no types."""
    for table, twin in ((found.rows, expected.rows), (found.origin, expected.origin)):
        pd.testing.assert_frame_equal(table, twin, check_exact=True, check_dtype=len(twin) > 0)
    assert list(found.stages) == list(expected.stages)
    for stage, part in expected.stages.items():
        other = found.stages[stage]
        for field in fields(TargetStage):
            pair = (getattr(other, field.name), getattr(part, field.name))
            if field.name == "walk" and part.walk is not None:
                pair = (_flat(other.walk), _flat(part.walk))
            assert bits(pair[0]) == bits(pair[1]), (stage, field.name)


def _flat(walk: Walk | None) -> NDArray[np.float64]:
    """All numbers of a walk."""
    assert walk is not None
    trail = [getattr(walk.trail, field.name) for field in fields(Trail)]
    return np.concatenate([np.ravel(each) for each in (*trail, walk.steps, walk.reached)])
