"""Gross errors among donors' rows: found, left out, told; and none where there are none."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import bayeslat as bl
from bayeslat.inference.engines.laplace import sample_laplace
from bayeslat.inference.fitting import sound_donor_rows
from bayeslat.inference.fitting.prepare import PreparedStage, prepare_stage
from bayeslat.inference.fitting.sound_donor_rows import sound_stage
from bayeslat.inference.posteriors.gross_errors import donor_gross_errors, without_gross_errors
from bayeslat.inference.rows.plan import plan_fit
from bayeslat.traces import read_traces
from tests import hurdles
from tests.regressions import Array
from tests.simulated import SPEC, simulate_trace

ROOT = Path(__file__).parents[3]
GPUS = ("a100_sxm", "h100_sxm", "l40s")
STAGE, COLUMN = "prefill", "t_prefill_ms"
ROWS = 60
SPOILT = "h100_sxm"

KINDS = {"seconds": (0.2, 0.001), "a quarter": (0.25, 100.0), "long runs": (0.05, 100.0)}


@lru_cache(maxsize=4)
def clean(rows: int = ROWS, noise: float = 0.03) -> pd.DataFrame:
    return simulate_trace(5, gpus=GPUS, rows=rows, noise=noise).frame


def spoilt_rows(frame: pd.DataFrame, part: float) -> NDArray[np.intp]:
    """Draw the rows of one donor that get wrong."""
    own = np.flatnonzero(frame["gpu"] == SPOILT)
    return np.sort(np.random.default_rng(7).choice(own, int(part * len(own)), replace=False))


def spoil(frame: pd.DataFrame, rows: NDArray[np.intp], factor: float) -> pd.DataFrame:
    wrong = frame.copy()
    wrong.loc[rows, COLUMN] *= factor
    return wrong


def found(frame: pd.DataFrame) -> dict[int, float]:
    return dict(sound_stage(plan_fit(SPEC, frame), STAGE).set_aside)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [20, 150])
def test_they_are_found_with_how_far_off_they_are(kind: str, rows: int) -> None:
    part, factor = KINDS[kind]
    frame = clean(rows)
    gross = spoilt_rows(frame, part)
    set_aside = found(spoil(frame, gross, factor))
    assert sorted(set_aside) == gross.tolist()
    apart = np.log(list(set_aside.values())) - np.log(factor)
    assert np.abs(apart).max() < 0.4  # noise, and what the others leave open in few rows


def test_a_fit_of_all_rows_would_miss_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken twin: a quarter that is wrong together widens the noise of all."""
    frame = spoil(clean(), spoilt_rows(clean(), 0.25), 100.0)
    monkeypatch.setattr(sound_donor_rows, "_FIRST", 1.0)
    assert found(frame) == {}


@pytest.mark.parametrize("part", [0.3, 0.45])
def test_more_than_a_quarter_is_no_error_of_single_rows(part: float) -> None:
    assert found(spoil(clean(), spoilt_rows(clean(), part), 0.001)) == {}


@pytest.mark.parametrize("noise", [0.003, 0.1, 0.7])
def test_sound_rows_stay(noise: float) -> None:
    assert found(clean(150, noise)) == {}


def test_heavy_tails_and_a_regime_of_their_own_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Student-t3 noise of 5 %, and a sixth of the range that takes three times as long."""
    frame = clean(150).copy()
    tails = np.random.default_rng(3).standard_t(3.0, len(frame))
    frame[COLUMN] *= np.exp(0.05 * tails)
    assert found(frame) == {}
    other = clean(150).copy()
    other.loc[other["context"] > other["context"].quantile(5 / 6), COLUMN] *= 3.0
    assert found(other) == {}
    # The broken twin: without the least ratio, and beside no others, rows of both are set aside.
    monkeypatch.setattr(sound_donor_rows, "LEAST_RATIO", 1.0)
    monkeypatch.setattr(sound_donor_rows, "spare_usual", lambda sound, _: sound)
    assert len(found(frame)) + len(found(other)) > 0


def test_a_regime_joins_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two fifths of a donor's range take eight times as long: what was far off is far no more."""
    frame = simulate_trace(6, gpus=GPUS, rows=24, noise=0.03).frame
    own = frame["gpu"] == SPOILT
    long = frame["context"] > frame.loc[own, "context"].quantile(0.6)
    frame.loc[own & long, COLUMN] *= 8.0
    assert found(frame) == {}
    # The broken twin: after a single step, some of them are still set aside.
    monkeypatch.setattr(sound_donor_rows, "_MOST_STEPS", 1)
    assert found(frame)


@pytest.mark.parametrize(
    ("model", "traces"),
    [
        ("tiny_vlm", "*.parquet"),
        ("vllm", "vllm/*_dense.parquet"),
        ("vllm", "vllm/*_moe.parquet"),
    ],
)
def test_shipped_traces_lose_nothing(model: str, traces: str) -> None:
    spec = bl.load_spec(ROOT / f"models/{model}.toml")
    frame = read_traces(*map(str, sorted((ROOT / "traces").glob(traces))))
    plan = plan_fit(spec, frame)
    assert [len(sound_stage(plan, stage).set_aside) for stage in spec.stages] == [0] * len(
        spec.stages
    )


def test_reference_data_lose_nothing(shared_data: Path) -> None:
    spec = bl.load_spec(ROOT / "models/vlm.toml")
    plan = plan_fit(spec, pd.read_parquet(shared_data / "vlm_stages.parquet"))
    assert [len(sound_stage(plan, stage).set_aside) for stage in spec.stages] == [0, 0, 0, 0]


def effects(prepared: PreparedStage) -> Array:
    """Draws of the effects of all nodes. Shape (draw, node + 1, feature)."""
    drawn: Array = sample_laplace(prepared.problem, seed=5, proposals=4000, draws=2000).effects[0]
    return drawn


@pytest.mark.parametrize("kind", KINDS)
def test_the_posterior_is_that_of_the_trace_without_them(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, factor = KINDS[kind]
    gross = spoilt_rows(clean(), part)
    wrong, without = spoil(clean(), gross, factor), spoil(clean(), gross, np.nan)
    broken, expected = (prepare_stage(plan_fit(SPEC, each), STAGE) for each in (wrong, without))
    assert broken.measured == expected.measured == (ROWS, ROWS - len(gross), ROWS)
    for one, other in zip(
        vars(broken.problem.statistics).values(),
        vars(expected.problem.statistics).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    # It is close to that of the clean trace, which has more rows: within the posterior's own sds.
    whole = effects(prepare_stage(plan_fit(SPEC, clean()), STAGE))
    middle, sd = whole.mean(axis=0), whole.std(axis=0)
    own = expected.problem.tree.index(SPOILT)
    assert np.abs(effects(broken).mean(axis=0) - middle)[own].max() < sd[own].max()
    widened = effects(broken).std(axis=0)[own] / sd[own]
    assert widened.max() < 1.3
    # The broken twin: with all rows, the spoilt donor is known less.
    monkeypatch.setattr(sound_donor_rows, "_gross", lambda *_: {})
    all_rows = effects(prepare_stage(plan_fit(SPEC, wrong), STAGE))
    assert (all_rows.std(axis=0)[own] / sd[own]).max() > widened.max()


def test_they_are_listed_by_file_and_row(tmp_path: Path) -> None:
    gross = spoilt_rows(clean(), 0.1)
    wrong = spoil(clean(), gross, 0.001).assign(config_id=range(100, 100 + len(clean())))
    wrong[wrong["gpu"] == "a100_sxm"].to_csv(tmp_path / "a.csv", index=False)
    wrong[wrong["gpu"] != "a100_sxm"].to_csv(tmp_path / "b.csv", index=False)
    frame = read_traces(tmp_path / "a.csv", tmp_path / "b.csv")
    plan = plan_fit(SPEC, frame)
    set_aside = {stage: sound_stage(plan, stage).set_aside for stage in SPEC.stages}
    errors = donor_gross_errors(plan, set_aside)
    assert {(each.gpu, each.file, each.donor) for each in errors} == {
        (SPOILT, str(tmp_path / "b.csv"), True)
    }
    assert [each.row for each in errors] == (gross - ROWS + 1).tolist()
    assert [each.config_id for each in errors] == [str(100 + at) for at in gross]
    assert all(each.unsettled and set(each.ratio) == {STAGE} for each in errors)
    left = without_gross_errors(SPEC, frame, errors)
    assert np.flatnonzero(left[COLUMN].isna()).tolist() == gross.tolist()
    assert left["t_decode_ms"].notna().all()


def test_other_runs_of_the_configuration_are_told_of() -> None:
    frame = pd.concat([clean().assign(repeat=k) for k in range(2)], ignore_index=True)
    first = int(np.flatnonzero(frame["gpu"] == SPOILT)[0])
    both = np.array([first, first + 1, first + 1 + len(clean())])
    plan = plan_fit(SPEC, spoil(frame, both, 50.0))
    errors = donor_gross_errors(plan, {STAGE: sound_stage(plan, STAGE).set_aside})
    assert [each.repeats[STAGE] for each in errors] == ["sound", "alike", "alike"]


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ((20.0, 39.0), ["alike", "alike"]),
        ((20.0, 41.0), ["none", "none"]),  # more than twice as far off: no two that agree
        ((20.0, 1 / 20), ["none", "none"]),
        ((20.0, None), ["sound"]),
        ((20.0, 20.0, None), ["sound", "sound"]),  # a sound run settles it, whatever the others say
        ((20.0, 41.0, 41.0), ["none", "alike", "alike"]),
    ],
)
def test_a_run_is_alike_within_a_factor_of_two_and_a_sound_one_settles_it(
    runs: tuple[float | None, ...], told: list[str]
) -> None:
    frame = pd.concat([clean(10).assign(repeat=k) for k in range(len(runs))], ignore_index=True)
    first = int(np.flatnonzero(frame["gpu"] == SPOILT)[0])
    places = first + len(clean(10)) * np.arange(len(runs))
    set_aside = {
        int(at): ratio for at, ratio in zip(places, runs, strict=True) if ratio is not None
    }
    errors = donor_gross_errors(plan_fit(SPEC, frame), {STAGE: set_aside})
    assert [each.repeats[STAGE] for each in errors] == told


@pytest.mark.parametrize(("again_ms", "told"), [(30.0, "sound"), (0.03, "none")])
def test_a_run_below_the_hurdle_settles_nothing(again_ms: float, told: str) -> None:
    frame = hurdles.make_trace(12, hurdles.effects_of(0, 0.5))
    pair = frame.iloc[[0, 0]].assign(t_queueing_ms=[600.0, again_ms], repeat=[0, 1])
    frame = pd.concat([pair, frame.iloc[1:].assign(repeat=0)], ignore_index=True)
    plan = plan_fit(hurdles.SPEC, frame)
    (error,) = donor_gross_errors(plan, {"queueing": {0: 20.0}})
    assert dict(error.repeats) == {"queueing": told}
