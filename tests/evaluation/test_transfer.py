"""The verdict on a calibrated GPU: right as often as it says."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri, stdtrit

from bayeslat.errors import InputError
from bayeslat.evaluation.transfer import choose_target, judge_transfer
from bayeslat.inference.calibration.calibrate import calibrate_group
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.posterior import Posterior
from tests.evaluation.test_membership import QUIET, double_memory
from tests.posteriors import make_configs, make_data, make_frame, with_noise_shared
from tests.targets import Truth, draw_targets, stranger

pytestmark = pytest.mark.xdist_group("small posterior")

GPU = stranger()
ENOUGH = 60


def data() -> PosteriorData:
    """Of simulated targets the model misses nothing, and knows it: all noise is of runs."""
    return with_noise_shared(make_data(seed=QUIET), 0.0)


def target(seed: int = 9) -> Truth:
    return next(draw_targets(data(), make_configs(ENOUGH, seed=5), 1, seed))


def judge(rows: pd.DataFrame, threshold: float = 0.10, seed: int = 0, **options: str):  # type: ignore[no-untyped-def]
    calibrated = calibrate_group(data(), rows, GPU, options.get("stack", ""), seed=seed)
    return judge_transfer(calibrated, GPU, options.get("stack", ""), threshold=threshold, seed=seed)


def test_a_relative_with_plenty_of_rows_is_trusted() -> None:
    found = judge(target().frame)
    assert found.verdict == "trust"
    assert found.more_rows == 0
    assert found.alarms == ()
    assert found.error.low < found.error.mean < found.error.high < 0.10
    assert found.rows == {"prefill": ENOUGH, "decode": ENOUGH}
    assert str(found).startswith("trust: expected MAPE")


def test_without_rows_more_data_is_needed() -> None:
    found = judge(target().frame[:0])
    assert found.verdict == "more data"
    assert found.stages == {}
    assert found.more_rows is not None
    assert found.more_rows > 0
    assert f"about {found.more_rows} more rows" in str(found)


def test_a_threshold_out_of_reach_takes_more_than_200_rows() -> None:
    found = judge(target().frame[:5], threshold=1e-5)
    assert (found.verdict, found.more_rows) == ("more data", None)
    assert "more than 200 more rows" in str(found)


def test_the_verdict_follows_the_threshold() -> None:
    error = judge(target().frame[:10]).error
    assert judge(target().frame[:10], threshold=1.01 * error.high).verdict == "trust"
    assert judge(target().frame[:10], threshold=0.99 * error.high).verdict == "more data"


def test_another_scaling_law_is_to_be_refitted() -> None:
    configs = make_configs(25, seed=5)
    bends = {"decode": double_memory}
    truths = draw_targets(data(), configs, 10, seed=9, bends=bends)
    found = [judge(each.frame, seed=number) for number, each in enumerate(truths)]
    assert sum(each.verdict == "refit as donor" for each in found) >= 9
    assert all(alarm.startswith("decode: ") for each in found for alarm in each.alarms)
    assert "fit it with them, or give the stage the physics term" in str(found[0])


@pytest.mark.parametrize(("factor", "pace"), [(1.0, ""), (1.25, "slower"), (0.8, "faster")])
def test_a_gpu_that_was_fitted_and_has_changed_is_to_be_refitted(factor: float, pace: str) -> None:
    """Its own posterior takes new rows for outliers: what is expected of it would be wrong."""
    rows = make_frame(QUIET, rows=60)
    own = rows[rows["gpu"] == "h100_sxm"].tail(20)
    assert ("h100_sxm", "") in data().groups
    known = data().hardware["h100_sxm"]
    moved = own.assign(t_decode_ms=own["t_decode_ms"] * factor)
    found = judge_transfer(calibrate_group(data(), moved, known, ""), known, "")
    assert bool(found.changed) == bool(pace)
    assert (found.verdict == "refit as donor") == bool(pace)
    if pace:
        told = rf"h100_sxm has changed since it was fitted \(decode: (\S+)% {pace}, p = \S+\)\. Fit"
        size = re.search(told, str(found))
        assert size is not None
        # Noise of 3 % in twenty rows.
        assert float(size[1]) == pytest.approx(100 * abs(factor - 1), abs=4 * 3 / np.sqrt(20))


def test_repeats_and_gross_errors_of_a_fitted_gpu_are_judged() -> None:
    rows = make_frame(QUIET, rows=60)
    own = rows[rows["gpu"] == "h100_sxm"].tail(12)
    known = data().hardware["h100_sxm"]
    often = pd.concat([own] * 3, ignore_index=True)
    rng = np.random.default_rng(0)
    for column in ("t_prefill_ms", "t_decode_ms"):
        often[column] *= np.exp(0.002 * rng.normal(size=len(often)))
    often.loc[0, ["t_prefill_ms", "t_decode_ms"]] *= 60.0
    found = judge_transfer(calibrate_group(data(), often, known, ""), known, "")
    assert found.changed == ()


def test_a_change_of_one_term_is_told_by_its_name() -> None:
    rows = make_frame(QUIET, rows=60)
    own = rows[rows["gpu"] == "h100_sxm"].tail(40)
    known = data().hardware["h100_sxm"]
    moved = own.assign(t_prefill_ms=own["t_prefill_ms"] + 5.0)
    found = judge_transfer(calibrate_group(data(), moved, known, ""), known, "")
    assert any(each.startswith("prefill: ") for each in found.changed)
    assert "nan" not in str(found)


def test_a_stage_without_rows_asks_for_more_data() -> None:
    found = judge(target().frame.drop(columns="t_decode_ms"))
    assert found.rows == {"prefill": ENOUGH, "decode": 0}
    assert found.verdict == "more data"
    assert found.unmeasured == ("decode",)
    assert str(found).endswith("; nothing was measured of decode")


@pytest.mark.parametrize("stack", ["", "v1"])
def test_any_name_of_a_stack_will_do(stack: str) -> None:
    found = judge(target().frame[:20], stack=stack)
    assert (found.gpu, found.stack) == (GPU.key, stack)
    # Beside a stack with a name, rows without one are still judged by themselves.
    beside = calibrate_group(data(), target().frame[:20], GPU, stack)
    beside = calibrate_group(beside, target(seed=10).frame[:5], GPU, "v2")
    again = judge_transfer(beside, GPU, stack)
    assert again.error == found.error


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_threshold_is_refused(threshold: float) -> None:
    with pytest.raises(InputError, match="threshold is"):
        judge(target().frame[:5], threshold=threshold)


def test_which_stack_is_meant() -> None:
    one = calibrate_group(data(), target().frame[:3], GPU, "v1")
    two = calibrate_group(one, target().frame[:3], GPU, "v2")
    assert choose_target(one, GPU.key, None) == "v1"
    assert choose_target(two, GPU.key, "v2") == "v2"
    beside = calibrate_group(two, target().frame[:3], GPU, "")
    assert choose_target(beside, GPU.key, None) == ""  # as rows and configs without a stack are
    # A donor's rows name no stack; it was calibrated with another.
    donor = calibrate_group(data(), target().frame[:3], data().hardware["h100_sxm"], "v1")
    assert choose_target(donor, "h100_sxm", None) == "v1"
    with pytest.raises(InputError, match="calibrated with the stacks 'v1', 'v2'; name one"):
        choose_target(two, GPU.key, None)
    with pytest.raises(InputError, match="l40s was not calibrated"):
        choose_target(data(), GPU.key, None)
    with pytest.raises(InputError, match="a30 was not calibrated"):
        Posterior(two).judge_transfer("a30")


def test_a_seed_gives_the_same_verdict() -> None:
    assert judge(target().frame[:8], seed=3) == judge(target().frame[:8], seed=3)
    assert judge(target().frame[:8], seed=4) != judge(target().frame[:8], seed=3)


def mape(calibrated: PosteriorData, truth: Truth, first: int) -> float:
    """Error of the total over the configs from a row on."""
    configs = truth.frame.iloc[first:]
    frame = Posterior(calibrated).predict(configs, GPU.key, of="typical").frame
    return float(np.mean(np.abs(frame["total_point_ms"] / truth.total_ms(data())[first:] - 1)))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [0, 5, 25])
def test_the_error_is_the_expected_one(rows: int) -> None:
    """Over targets: the mean is right, and no more than 5 % exceed the upper bound."""
    count, seen, expected, above = 120, [], [], 0
    configs = pd.concat([make_configs(25, seed=5), make_configs(40, seed=6)], ignore_index=True)
    for number, truth in enumerate(draw_targets(data(), configs, count, seed=31)):
        calibrated = calibrate_group(data(), truth.frame[:rows], GPU, "", seed=number)
        error = judge_transfer(calibrated, GPU, "", seed=number).error
        seen.append(mape(calibrated, truth, 25))
        expected.append(error.mean)
        above += seen[-1] > error.high
    gap = np.array(seen) - np.array(expected)
    # The heavy tails expect GPUs odder than these: too large an error is expected, never too small.
    assert gap.mean() < 3 * gap.std() / np.sqrt(count)
    assert np.mean(seen) > 0.4 * np.mean(expected)
    assert above <= 0.05 * count + 3 * np.sqrt(count * 0.05 * 0.95)


@pytest.mark.slow
def test_as_many_rows_as_asked_for_are_enough() -> None:
    """With a bound of 95 %, a target that asks for n rows is trusted with n more, mostly."""
    asked, enough, needless = 0, 0, 0
    configs = make_configs(205, seed=8)
    threshold = 0.02
    for number, truth in enumerate(draw_targets(data(), configs, 60, seed=32)):
        first = calibrate_group(data(), truth.frame[:3], GPU, "", seed=number)
        verdict = judge_transfer(first, GPU, "", threshold=threshold)
        if verdict.verdict != "more data" or verdict.more_rows is None:
            continue
        asked += 1
        more = verdict.more_rows
        for extra, counted in ((2 * more, "enough"), (max(more // 4, 1), "needless")):
            later = calibrate_group(first, truth.frame[3 : 3 + extra], GPU, "", seed=number)
            trusted = judge_transfer(later, GPU, "", threshold=threshold).verdict == "trust"
            enough += counted == "enough" and trusted
            needless += counted == "needless" and trusted
    assert asked >= 20
    assert enough >= 0.7 * asked
    assert needless <= 0.5 * asked


def test_what_the_model_misses_of_configurations_is_expected() -> None:
    """Each configuration is off by some 10 % for good: the error to expect says so."""
    rows = target().frame.reset_index(drop=True)
    rng = np.random.default_rng(1)
    for stage in ("t_prefill_ms", "t_decode_ms"):
        rows[stage] *= np.exp(0.1 * rng.normal(size=len(rows)))
    calibrated = calibrate_group(data(), rows[:30], GPU, "", seed=0)
    measured = rows["t_prefill_ms"] + rows["output_tokens"] * rows["t_decode_ms"]
    point = Posterior(calibrated).predict(rows[30:], GPU.key).frame["total_point_ms"]
    real = np.mean(np.abs(point / measured[30:] - 1.0))
    stated = judge_transfer(with_noise_shared(calibrated, 1.0), GPU, "").error
    assert 0.6 * real < stated.mean < 1.2 * real
    assert stated.low < stated.mean < stated.high
    # The broken twin takes all of it for noise of runs.
    assert judge_transfer(calibrated, GPU, "").error.high < 0.6 * real


def test_what_is_missed_in_heavy_tails_is_expected_by_its_scale() -> None:
    """Of such noise, no run has a mean or variance: draws of it would decide what is expected."""
    calibrated = with_noise_shared(calibrate_group(data(), target().frame, GPU, ""), 0.25)
    known = calibrated.targets[GPU.key, ""]
    stages = {
        name: replace(part, noise_sd=np.full_like(part.noise_sd, 0.8))
        for name, part in known.stages.items()
    }
    heavy = {name: replace(part, noise_dof=2.1) for name, part in calibrated.stages.items()}
    loud = replace(calibrated, stages=heavy, targets={(GPU.key, ""): replace(known, stages=stages)})
    # By one stage, or by two of equal share: normal noise of the same 90 % interval.
    most = np.sqrt(0.25) * 0.8 * stdtrit(2.1, 0.95) / ndtri(0.95) * np.sqrt(2 / np.pi)
    assert most / np.sqrt(2) < judge_transfer(loud, GPU, "").error.mean < 1.1 * most


def test_a_threshold_is_told_as_it_was_given() -> None:
    assert "within 12.5%" in str(judge(target().frame, threshold=0.125))
