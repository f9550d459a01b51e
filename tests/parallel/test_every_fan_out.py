"""Every fan-out gives on a Dask cluster what it gives on one machine, killed workers or not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from threading import Timer

import numpy as np
import pandas as pd
import pytest

import bayeslat as bl
from bayeslat.decisions.guard import Budget
from bayeslat.evaluation.comparison import CompareOptions, compare
from bayeslat.evaluation.crossval import cross_validate
from bayeslat.evaluation.guardrail.trial import run_trials
from bayeslat.evaluation.guardrail.trial_options import TrialOptions
from bayeslat.evaluation.missing_features import find_missing_features
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.compression.stream import run_pass
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from tests.clusters import Cluster, cluster
from tests.posteriors import GPUS, make_configs, make_frame, small_spec

pytestmark = pytest.mark.xdist_group("dask")

TARGET = "l40s"
SAME = 1e-10
"""Relative difference that is allowed between a cluster and one machine."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two workers."""
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found.address


@lru_cache(maxsize=1)
def rows() -> pd.DataFrame:
    return make_frame(0, (*GPUS, TARGET), rows=40)


@lru_cache(maxsize=1)
def fitted() -> PosteriorData:
    return fit_posterior(small_spec(), rows(), gpus=GPUS, engine="laplace")


def scores(engine_address: str | None) -> pd.DataFrame:
    return cross_validate(
        small_spec(),
        rows(),
        donors=GPUS,
        counts=(0, 5),
        splits=1,
        engine_address=engine_address,
    ).scores


@lru_cache(maxsize=1)
def scores_here() -> pd.DataFrame:
    return scores(None)


def test_cross_validation(address: str) -> None:
    assert scores_here()["mape"].nunique() > 20
    pd.testing.assert_frame_equal(scores(address), scores_here(), rtol=SAME, atol=0)


@pytest.mark.slow
def test_compare_keeps_its_parts_on_this_machine(address: str, tmp_path: Path) -> None:
    options = CompareOptions(
        target=TARGET,
        donors=GPUS,
        source=GPUS[0],
        methods=("bayeslat", "direct", "ridge"),
        counts=(0, 10),
        repetitions=2,
        test_configs=15,
    )
    here = compare(small_spec(), rows(), options)
    there = compare(small_spec(), rows(), options, folder=tmp_path, engine_address=address)
    pd.testing.assert_frame_equal(there.scores, here.scores, rtol=SAME, atol=0)
    pd.testing.assert_frame_equal(there.scatter, here.scatter, rtol=SAME, atol=0)
    kept = sorted(tmp_path.rglob("*.json"))
    assert len(kept) == 3 * 2
    kept[0].unlink()
    again = compare(small_spec(), rows(), options, folder=tmp_path, engine_address=address)
    pd.testing.assert_frame_equal(again.scores, here.scores, rtol=SAME, atol=0)
    assert sorted(tmp_path.rglob("*.json")) == kept


def test_trials_of_the_guardrail(address: str) -> None:
    hardware = load_hardware()
    options = TrialOptions(Budget(300.0), counts=(0, 5), repetitions=2, test_configs=15)
    here, there = (
        run_trials(
            fitted(),
            rows(),
            hardware.resolve(TARGET),
            options,
            hardware=hardware,
            engine_address=where,
        )
        for where in (None, address)
    )
    for name in ("scores", "decisions", "scatter"):
        found, wanted = getattr(there, name), getattr(here, name)
        pd.testing.assert_frame_equal(found, wanted, rtol=SAME, atol=SAME)


def test_the_pass_of_compress(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_pass, "_PART_ROWS", 20)
    bl.write_traces(rows(), tmp_path / "rows.parquet")
    here, there = (
        bl.compress(small_spec(), tmp_path / "rows.parquet", engine_address=where)
        for where in (None, address)
    )
    for stage, sums in here.windows["rows.parquet"].stages.items():
        found = there.windows["rows.parquet"].stages[stage]
        for name in ("gram", "moment", "square", "rows"):
            np.testing.assert_array_equal(
                getattr(found.statistics, name), getattr(sums.statistics, name)
            )


def test_update(address: str, tmp_path: Path) -> None:
    before = bl.Posterior(fitted())
    bl.write_traces(rows()[rows()["gpu"].isin(GPUS)].head(60), tmp_path / "rows.parquet")
    new = bl.compress(small_spec(), tmp_path / "rows.parquet", like=before)
    here, there = (
        bl.update(before, new, engine="laplace", engine_address=where) for where in (None, address)
    )
    for stage, part in here.data.stages.items():
        np.testing.assert_array_equal(there.data.stages[stage].effects, part.effects)


def test_missing_features(address: str) -> None:
    chosen = rows()[rows()["gpu"].isin(GPUS)]
    here, there = (
        find_missing_features(fitted(), chosen, hardware=load_hardware(), engine_address=where)
        for where in (None, address)
    )
    assert [each.expression for each in there] == [each.expression for each in here]
    np.testing.assert_allclose([e.gain for e in there], [e.gain for e in here], rtol=SAME)


@pytest.mark.parametrize("engine", ["laplace", "nuts"])
def test_fit(engine: str, address: str) -> None:
    told: list[tuple[str, int, int]] = []
    few = {"chains": 2, "draws": 100, "tune": 100}
    here = bl.fit(small_spec(), rows(), engine=engine, **few).data  # type: ignore[arg-type]
    there = bl.fit(
        small_spec(),
        rows(),
        engine=engine,  # type: ignore[arg-type]
        **few,  # type: ignore[arg-type]
        engine_address=address,
        on_progress=lambda *news: told.append(news),
    ).data
    for stage, part in here.stages.items():
        np.testing.assert_allclose(there.stages[stage].scales, part.scales, rtol=SAME)
        np.testing.assert_allclose(there.stages[stage].effects, part.effects, rtol=SAME)
    assert str(there.diagnostics) == str(here.diagnostics)  # some are NaN
    assert told == [(stage, 1, 1) for stage in here.stages]


@pytest.mark.slow
def test_simulation_based_calibration(address: str) -> None:
    here, there = (
        bl.simulation_based_calibration(
            small_spec(), make_configs(20), GPUS[:1], simulations=20, engine_address=where
        )
        for where in (None, address)
    )
    np.testing.assert_array_equal(there.ranks.ranks, here.ranks.ranks)


def test_a_worker_killed_in_the_middle_changes_nothing_but_the_time(tmp_path: Path) -> None:
    here = scores_here()
    with cluster(tmp_path) as found:
        timer = Timer(1.0, _replace, (found,))
        started = time.monotonic()
        timer.start()
        there = scores(found.address)
        timer.join()
        assert time.monotonic() - started > 1.0, "killed when all was done: nothing is shown"
        assert len(found.workers) == 3
    pd.testing.assert_frame_equal(there, here, rtol=SAME, atol=0)


def _replace(found: Cluster) -> None:
    """Kill a worker, and start another."""
    found.kill(found.workers[0])
    found.add_worker()
