"""Drift of groups and stages of a trace: what is found, and what is no drift."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import InputError, TraceError
from bayeslat.evaluation.drift import Drift, StageDrift, find_drift, judge
from bayeslat.evaluation.drift.window import MOST_ROWS, WindowCounts
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.calibration.calibrate import calibrate_group
from bayeslat.inference.fitting.fit import fit_posterior
from tests import hurdles
from tests.drifts import FITTED, NOISE, make_scene
from tests.posteriors import GPUS, make_data, make_frame

pytestmark = pytest.mark.xdist_group("drift scene")


def stage_of(found: Drift, stage: str, gpu: str = GPUS[0]) -> StageDrift:
    return next(each for each in found.stages if (each.gpu, each.stage) == (gpu, stage))


def late_shift(number: int = 0, start: int = 120) -> pd.DataFrame:
    return make_scene().window(number, shift=0.10, start=start)


def test_stable_rows_are_stable() -> None:
    found = find_drift(make_scene().data, make_scene().window(1))
    assert [each.verdict for each in found.stages] == ["stable", "stable"]
    assert not found.drifted
    assert found.frame["feature"].isna().all()
    memory = stage_of(found, "decode").changes[0]
    assert 0.005 < memory.detectable < 0.05
    assert 0.3 < memory.share < 1.0
    assert stage_of(found, "decode").noise_low < 1.0 < stage_of(found, "decode").noise_high


def test_a_shift_is_found_with_its_feature_size_and_row() -> None:
    found = find_drift(make_scene().data, late_shift())
    assert stage_of(found, "prefill").verdict == "stable"
    decode = stage_of(found, "decode")
    assert decode.verdict == "drift"
    assert decode.p_adjusted <= found.alarm_rate
    memory = decode.changes[0]
    assert memory.feature == "memory"
    assert memory.change == pytest.approx(0.10, abs=memory.high - memory.low)
    assert memory.high - memory.low < 0.10
    assert decode.since is not None
    assert decode.since.low <= 121 + 3
    assert decode.since.high >= 121 - 3
    row = found.frame.set_index("stage").loc["decode"]
    assert row["feature"] == "memory"
    assert row["since_row"] == decode.since.row


@pytest.mark.parametrize(("p_adjusted", "verdict"), [(0.01, "drift"), (0.0101, "stable")])
def test_at_most_the_alarm_rate_is_a_drift(p_adjusted: float, verdict: str) -> None:
    judged = StageDrift("l4", "", "decode", "not judged", "", WindowCounts(9, 0, 0, (), 9))
    assert judged.with_verdict(p_adjusted, 0.01).verdict == verdict


def test_another_batch_mix_is_no_drift() -> None:
    """Other configurations, the same relation: only large batches, in one corner of the range."""
    scene = make_scene()
    window = scene.window(2, rows=2 * FITTED)
    for mix in ("batch_size >= 8", "context > 1500", "batch_size <= 2 and context < 400"):
        rows = window.query(mix).reset_index(drop=True)
        assert len(rows) > 30
        assert not find_drift(scene.data, rows).drifted, mix


def test_of_repeats_of_one_configuration_no_impossible_change_is_told() -> None:
    scene = make_scene()
    one = pd.concat([scene.window(1).head(1)] * 27, ignore_index=True).assign(repeat=range(27))
    noise = np.exp(NOISE * np.random.default_rng(0).standard_normal((2, 27)))
    for stage, factor in zip(("prefill", "decode"), noise, strict=True):
        one[f"t_{stage}_ms"] *= factor
    found = find_drift(scene.data, one)
    least = np.array([each.detectable for part in found.stages for each in part.changes])
    assert len(least) == 7
    assert np.isnan(least).all()  # it took 1e44 and more
    many = find_drift(scene.data, scene.window(1))  # of many, each is told
    assert max(each.detectable for part in many.stages for each in part.changes) < 1.0


def test_rows_beyond_the_training_range_are_counted_and_not_judged() -> None:
    scene = make_scene()
    window = scene.window(3)
    wild = window.assign(context=window["context"] * 100, t_decode_ms=window["t_decode_ms"] * 7)
    both = pd.concat([window, wild.head(50)], ignore_index=True)
    found = find_drift(scene.data, both)
    decode = stage_of(found, "decode")
    assert decode.verdict == "stable"
    assert decode.counts.beyond >= 50
    assert decode.counts.beyond + decode.counts.judged == decode.counts.rows == 250
    assert decode.counts.beyond_in == ("context",)
    alone = stage_of(find_drift(scene.data, wild.drop(columns="t_prefill_ms")), "decode")
    assert alone.verdict == "not judged"
    assert "leave the training range in context" in alone.reason
    assert np.isnan(alone.p_value)


def test_noise_alone_is_a_drift_of_the_noise() -> None:
    scene = make_scene()
    decode = stage_of(find_drift(scene.data, scene.window(4, noise=2.0)), "decode")
    assert decode.verdict == "drift"
    assert decode.p_tests is not None
    assert decode.p_tests["noise"] < 0.001
    assert decode.noise_low < 2.0 < decode.noise_high
    assert decode.since is None


def test_repeats_of_few_configurations_are_not_taken_for_many() -> None:
    """What a configuration misses, all of its repeats miss: that is no drift."""
    scene = make_scene()
    once = scene.window(5, rows=12)
    rng = np.random.default_rng(0)
    rows = []
    for repeat in range(15):
        again = once.assign(
            repeat=repeat
        )  # 0.03 of its own at each configuration, and little at each run
        for stage in ("prefill", "decode"):
            again[f"t_{stage}_ms"] *= np.exp(0.2 * NOISE * rng.standard_normal(len(once)))
        rows.append(again)
    repeated = pd.concat(rows, ignore_index=True)
    assert not find_drift(scene.data, repeated).drifted
    moved = repeated.assign(
        t_decode_ms=repeated["t_decode_ms"] * np.where(repeated.index < 90, 1, 1.03)
    )
    decode = stage_of(find_drift(scene.data, moved), "decode")
    assert decode.verdict == "drift"  # though it is no larger than the noise
    assert decode.since is not None
    assert decode.since.low <= 91 <= decode.since.high


def test_rows_are_put_in_order_of_time() -> None:
    scene, window = make_scene(), late_shift()
    times = pd.date_range("2026-01-01", periods=len(window), freq="min", tz="UTC")
    timed = window.assign(collected_at=times.strftime("%Y-%m-%dT%H:%M:%SZ"))
    mixed = timed.sample(frac=1.0, random_state=0)
    found = find_drift(scene.data, mixed)
    assert found.in_order_of == "collected_at"
    since = stage_of(found, "decode").since
    assert since == stage_of(find_drift(scene.data, timed), "decode").since
    assert since is not None
    assert since.time == timed["collected_at"].iloc[since.row - 1]
    holes = timed.assign(collected_at=timed["collected_at"].where(timed.index > 0))
    unread = find_drift(scene.data, holes)
    assert unread.in_order_of == "rows"
    assert len(unread.notes) == 1
    assert unread.notes[0].startswith("1 of 200 rows has a collected_at that is empty (first an ")
    assert found.notes == ()


def test_times_are_told_of_the_rows_that_are_judged() -> None:
    scene = make_scene()
    both = pd.concat([scene.window(6), scene.window(6, gpu=GPUS[1])], ignore_index=True)
    first = both["gpu"] == GPUS[0]
    both["collected_at"] = pd.Series("2026-01-01T00:00:00Z", both.index).where(first, "soon")
    assert "(first 'soon' in row 201" in find_drift(scene.data, both).notes[0]
    alone = find_drift(scene.data, both, gpu=scene.data.hardware[GPUS[0]])
    assert (alone.in_order_of, alone.notes) == ("collected_at", ())


def timed(window: pd.DataFrame) -> pd.DataFrame:
    times = pd.date_range("2026-01-01", periods=len(window), freq="min", tz="UTC")
    return window.assign(collected_at=times.strftime("%Y-%m-%dT%H:%M:%SZ"))


def test_rows_that_are_not_judged_do_not_decide_the_order() -> None:
    """One row of a GPU that the posterior lacks, without a time, hid a drift."""
    data, rows = make_scene().data, timed(late_shift()).sample(frac=1.0, random_state=0)
    other = rows.head(1).assign(gpu="l40s", collected_at=None)
    found = find_drift(data, pd.concat([rows, other], ignore_index=True))
    pd.testing.assert_frame_equal(found.frame, find_drift(data, rows).frame)
    assert stage_of(found, "decode").verdict == "drift"
    assert (found.in_order_of, found.notes, found.passed_over) == ("collected_at", (), ("l40s",))


def test_each_group_is_in_its_own_order() -> None:
    scene = make_scene()
    rows = timed(late_shift()).sample(frac=1.0, random_state=0)
    other = timed(scene.window(6, gpu=GPUS[1]))
    other.loc[0, "collected_at"] = None
    found = find_drift(scene.data, pd.concat([other, rows], ignore_index=True))
    assert [each.gpu for each in found.stages] == [GPUS[0]] * 2 + [GPUS[1]] * 2  # as the posterior
    since = stage_of(found, "decode").since
    assert since is not None
    assert since.time is not None
    assert since.low <= 121 <= since.high
    orders = [stage_of(found, "decode", gpu).in_order_of for gpu in GPUS[:2]]
    assert orders == ["collected_at", "rows"]
    assert found.in_order_of == "rows"
    (note,) = found.notes
    assert note.startswith(f"{GPUS[1]}: 1 of 200 rows has a collected_at that is empty (first an ")


def test_a_mixture_of_stacks_that_the_posterior_knows_is_told() -> None:
    data = make_data(stacks=("v1", "v2"))
    rows = make_frame(stacks=("v1", "v2"))
    rows = rows[rows["gpu"] == GPUS[0]].reset_index(drop=True)
    others = int((rows["stack"] == "v2").sum())
    assert find_drift(data, rows, stack="v1").notes == (
        f"{GPUS[0]}: {others} of {len(rows)} rows name v2, which the posterior knows, and are "
        "compared with v1: what is found may be of the mixture; give the rows of one stack",
    )
    assert find_drift(data, rows).notes == ()  # each stack by itself
    second = rows[rows["stack"] == "v2"]
    assert find_drift(data, second, stack="v1").notes == ()  # all of one
    unknown = rows.assign(stack=rows["stack"].replace("v2", "v3"))
    assert find_drift(data, unknown, stack="v1").notes == ()


def test_groups_that_the_posterior_lacks_are_told() -> None:
    data = make_data(stacks=("v1", "v2"))
    frame = make_frame(stacks=("v1", "v2"))
    new = frame[frame["stack"] == "v2"].assign(stack="v3")
    found = find_drift(data, pd.concat([frame, new], ignore_index=True))
    assert set(found.passed_over) == {f"{gpu} with v3" for gpu in GPUS}
    assert len(found.stages) == 2 * 2 * len(GPUS)
    with pytest.raises(InputError, match="does not hold a100_sxm with v3"):
        find_drift(data, new)
    compared = find_drift(data, new, stack="v2")  # the same rows, under another name
    assert {each.stack for each in compared.stages} == {"v2"}
    assert not compared.drifted


def test_one_gpu_alone() -> None:
    scene = make_scene()
    both = pd.concat([scene.window(6), scene.window(6, gpu=GPUS[1])], ignore_index=True)
    chosen = find_drift(scene.data, both, gpu=scene.data.hardware[GPUS[1]])
    assert {each.gpu for each in chosen.stages} == {GPUS[1]}
    with pytest.raises(InputError, match="no rows of GPU l40s"):
        find_drift(scene.data, both, gpu=load_hardware().resolve("l40s"))


def test_a_calibrated_gpu_is_judged_by_its_calibration() -> None:
    """A GPU that the fit did not see: stable where it was calibrated, and found when it moves."""
    scene = make_scene()
    gpu = load_hardware().resolve("l40s")
    rows = scene.window(7, rows=100).assign(gpu=gpu.key)  # as fast as the A100: so be it
    data = calibrate_group(scene.data, rows, gpu, "")
    later = scene.window(8).assign(gpu=gpu.key)
    assert not find_drift(data, later).drifted
    slower = later.assign(t_decode_ms=later["t_decode_ms"] * 1.1)
    assert [each.stage for each in find_drift(data, slower).drifted] == ["decode"]


def test_rows_above_the_hurdle_are_judged() -> None:
    effects = hurdles.effects_of(0, 0.3)
    data = fit_posterior(hurdles.SPEC, hurdles.make_trace(150, effects), engine="laplace")
    later = hurdles.make_trace(150, effects, seed=1)
    found = find_drift(data, later)
    assert not found.drifted
    queueing = stage_of(found, "queueing")
    assert queueing.counts.below_hurdle > 10
    assert queueing.counts.judged == queueing.counts.rows - queueing.counts.below_hurdle
    slower = later["t_queueing_ms"].where(later["t_queueing_ms"] < 1.0, later["t_queueing_ms"] * 2)
    drifted = find_drift(data, later.assign(t_queueing_ms=slower)).drifted
    assert {each.stage for each in drifted} == {"queueing"}
    empty = later.assign(t_queueing_ms=later["t_queueing_ms"].clip(upper=0.1))
    assert "took no time" in stage_of(find_drift(data, empty), "queueing").reason


def test_stages_without_rows_are_not_judged() -> None:
    scene = make_scene()
    found = find_drift(scene.data, scene.window(9).drop(columns="t_decode_ms"))
    assert stage_of(found, "decode").reason == "no row holds it"
    assert stage_of(found, "prefill").verdict == "stable"
    few = find_drift(scene.data, scene.window(9).head(4))
    assert {each.verdict for each in few.stages} == {"not judged"}


def test_of_many_rows_some_are_judged() -> None:
    scene = make_scene()
    many = pd.concat([scene.window(n, rows=400).assign(repeat=n) for n in range(20, 27)])
    decode = stage_of(find_drift(scene.data, many.reset_index(drop=True)), "decode")
    assert decode.counts.judged == MOST_ROWS
    assert decode.verdict == "stable"


def test_of_rows_that_share_misfit_fewer_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """What neighbours share makes the time go with the square of the rows."""
    monkeypatch.setattr(judge, "_MOST_TOGETHER", 150)
    scene = make_scene()
    rows = scene.window(20, rows=400)
    rows["t_decode_ms"] *= np.exp(0.3 * np.sin(rows["context"] / 500.0))
    assert stage_of(find_drift(scene.data, rows), "decode").counts.judged == 150


def test_a_fit_that_is_off_by_little_is_allowed_for() -> None:
    """A bend of half the noise that the fit missed: no drift, unless it is taken as exact."""
    scene = make_scene()
    window = scene.window(12, rows=400)
    bend = np.cos(3.0 * np.log(window["context"] / 64) / np.log(64))  # of log context, and smooth
    missed = window.assign(t_prefill_ms=window["t_prefill_ms"] * np.exp(0.5 * NOISE * bend))
    assert not find_drift(scene.data, missed).drifted
    assert find_drift(scene.data, missed, allowance=0.0).drifted


def test_the_same_seed_gives_the_same_answer() -> None:
    data, window = make_scene().data, late_shift()
    pd.testing.assert_frame_equal(find_drift(data, window).frame, find_drift(data, window).frame)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_an_impossible_alarm_rate_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="must be between 0 and 1"):
        find_drift(make_data(), make_frame(), alarm_rate=rate)


def test_an_alarm_rate_that_takes_hours_to_tell_is_refused() -> None:
    with pytest.raises(InputError, match=r"is 1e-06; it must be at least 0\.0001.*allowance is"):
        find_drift(make_data(), make_frame(), alarm_rate=1e-6, allowance=-1.0)
    find_drift(make_data(), make_frame(), alarm_rate=1e-4)


@pytest.mark.parametrize("allowance", [-0.1, float("nan"), float("inf")])
def test_an_impossible_allowance_is_refused(allowance: float) -> None:
    with pytest.raises(InputError, match="must be a number from 0 on"):
        find_drift(make_data(), make_frame(), allowance=allowance)


def test_broken_rows_are_refused() -> None:
    with pytest.raises(TraceError, match="t_decode_ms"):
        find_drift(make_data(), make_frame().assign(t_decode_ms=-1.0))
