"""A GPU joins a posterior by its own rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import ConvergenceError, HardwareError, InputError, TraceError
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec
from bayeslat.inference.calibration import sound_rows
from bayeslat.inference.calibration.calibrate import calibrate_group
from bayeslat.inference.calibration.condition import Conditioned, condition
from bayeslat.inference.calibration.marginal import Marginal
from bayeslat.inference.calibration.population import population_of
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.gross_errors import find_gross_errors, is_unsettled
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.storage.posterior_file import read_posterior
from bayeslat.model.simulate import simulate
from bayeslat.posterior import Posterior
from bayeslat.traces import read_traces
from tests.posteriors import GPUS, make_configs, make_data, make_frame
from tests.random_posteriors import assert_same
from tests.targets import Truth, draw_targets
from tests.test_imports import HEAVY, loaded_by

pytestmark = pytest.mark.xdist_group("small posterior")

GPU = "l40s"
STAGES = ("prefill", "decode")
STACKS = ("v1", "v2")
CONFIGS = make_configs(20, seed=99)


@lru_cache(maxsize=8)
def target(seed: int = 0, rows: int = 60) -> Truth:
    """Return a GPU of the donors' family."""
    return next(draw_targets(make_data(), make_configs(rows, seed=50 + seed), 1, seed))


def trace(rows: int = 10, seed: int = 0, **columns: Any) -> pd.DataFrame:
    """Return rows of it."""
    return target(seed).frame.iloc[:rows].assign(**columns)


def own_rows(frame: pd.DataFrame, gpu: str) -> pd.DataFrame:
    """Return the rows of a GPU, told apart by their configs."""
    return frame[frame["gpu"] == gpu].drop(columns="config_id")


def posterior(**options: Any) -> Posterior:
    return Posterior(make_data(**options))


def draws_of(found: Posterior, gpu: str = GPU, stack: str = "") -> list[np.ndarray]:
    """Every number that a calibration drew."""
    stages = found.data.targets[gpu, stack].stages.values()
    return [each for part in stages for each in (part.effects, part.noise_sd, part.departure)]


def assert_equal_draws(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def widths(found: Posterior, gpu: str = GPU, **options: Any) -> pd.DataFrame:
    """Log width of 90 % of what the effects leave open of each config, in each stage."""
    prediction = found.predict(CONFIGS, gpu, **options)
    logs = {s: np.log(prediction.typical(s)) for s in (*STAGES, "total")}
    return pd.DataFrame(
        {s: np.ptp(np.quantile(v, [0.05, 0.95], axis=1), axis=0) for s, v in logs.items()}
    )


@pytest.mark.parametrize("rows", [pd.DataFrame(), trace(0)], ids=["no columns", "no rows"])
@pytest.mark.parametrize("gpu", [GPU, "gh200", "h100_sxm"])
def test_without_rows_a_gpu_is_as_before(rows: pd.DataFrame, gpu: str) -> None:
    before = posterior()
    after = before.calibrate(rows, gpu)
    assert {part.measured for part in after.data.targets[gpu, ""].stages.values()} == {0}
    found, expected = (
        each.predict(CONFIGS, gpu).frame.filter(like="_q").apply(np.log) for each in (after, before)
    )
    sd = (expected["total_q95_ms"] - expected["total_q05_ms"]) / 3.3
    # Two sets of 400 draws: the error of a 5 % quantile is 2.1 sd / root 400 in each.
    assert ((found - expected).abs().div(sd, axis=0) < 4 * np.sqrt(2) * 2.1 / 20).all(axis=None)
    assert after.predict(CONFIGS, gpu).frame["zero_shot"].all() == (gpu not in GPUS)


def test_donors_do_not_change_by_a_bit() -> None:
    before = posterior()
    after = before.calibrate(trace(), GPU)
    for gpu in GPUS:
        pd.testing.assert_frame_equal(
            after.predict(CONFIGS, gpu).frame, before.predict(CONFIGS, gpu).frame, check_exact=True
        )
    assert before.data.targets == {}
    assert GPU not in before.data.hardware


def test_two_steps_are_one() -> None:
    once = posterior().calibrate(trace(10), GPU)
    twice = posterior().calibrate(trace(10)[:4], GPU).calibrate(trace(10)[4:], GPU)
    assert_equal_draws(draws_of(twice), draws_of(once))
    few = posterior().calibrate(trace(10)[:4], GPU)
    assert not np.array_equal(draws_of(few)[0], draws_of(once)[0])


@pytest.mark.parametrize(
    "again",
    [
        {},
        {"batch_size": trace(10)["batch_size"].astype(float)},
        {"t_decode_ms": np.nan},
        {"extra": "passes through"},
        {"context": trace(10)["context"].astype("Int64")},
    ],
    ids=["same", "floats", "a stage", "more columns", "nullable"],
)
def test_rows_that_are_read_again_count_once(again: dict[str, Any]) -> None:
    once = posterior().calibrate(trace(10), GPU)
    twice = once.calibrate(trace(10).assign(**again), GPU)
    assert_equal_draws(draws_of(twice), draws_of(once))
    other = once.calibrate(trace(10).assign(t_prefill_ms=trace(10)["t_prefill_ms"] * 1.01), GPU)
    assert other.data.targets[GPU, ""].stages["prefill"].measured == 20


def test_rows_of_the_fit_count_once(tmp_path: Path) -> None:
    fitted, gpu = posterior(), GPUS[0]
    own, more = own_rows(make_frame(), gpu), make_frame(1, (gpu,), rows=8).drop(columns="config_id")
    fitted.save(tmp_path / "p.nc")
    for each in (fitted, Posterior(read_posterior(tmp_path / "p.nc"))):
        again = each.calibrate(pd.concat([own, more], ignore_index=True), gpu)
        assert again.data.calibration_rows(gpu) == len(more)
        assert_equal_draws(draws_of(again, gpu), draws_of(fitted.calibrate(more, gpu), gpu))
    assert fitted.calibrate(own, gpu).data.calibration_rows(gpu) == 0
    # A fit that does not know its rows: the broken twin.
    forgetful = Posterior(replace(fitted.data, fitted_latencies={}))
    twice = forgetful.calibrate(own, gpu)
    assert twice.data.calibration_rows(gpu) == len(own)
    assert (widths(twice, gpu)["total"] < widths(fitted, gpu)["total"]).all()


@pytest.mark.parametrize("gpu", [GPUS[0], GPU], ids=["fitted", "zero-shot"])
def test_a_gpu_that_brought_no_rows_is_kept_in_a_file(gpu: str, tmp_path: Path) -> None:
    given = own_rows(make_frame(), gpu)  # all of them fitted, or none
    before = posterior().calibrate(given, gpu)
    before.save(tmp_path / "p.nc")
    after = Posterior(read_posterior(tmp_path / "p.nc"))
    assert after.data.calibration_rows(gpu) == 0
    for one, other in (
        (after.predict(CONFIGS, gpu).frame, before.predict(CONFIGS, gpu).frame),
        (after.guard(gpu, 100.0).decide(CONFIGS), before.guard(gpu, 100.0).decide(CONFIGS)),
        (after.suggest(CONFIGS, gpu, 3).frame, before.suggest(CONFIGS, gpu, 3).frame),
    ):
        pd.testing.assert_frame_equal(one, other)
    assert str(after.judge_transfer(gpu)) == str(before.judge_transfer(gpu))
    assert ("nothing was measured" in str(after.judge_transfer(gpu))) == (gpu == GPU)
    more = make_frame(1, (gpu,), rows=8)
    assert_equal_draws(
        draws_of(after.calibrate(more, gpu), gpu), draws_of(posterior().calibrate(more, gpu), gpu)
    )


def test_equal_latencies_of_runs_that_differ_elsewhere_are_no_repeats() -> None:
    """As waits of nearly nothing, which are written with few digits."""
    first = trace(20).assign(t_prefill_ms=trace(20)["t_prefill_ms"].round(0))
    once = posterior().calibrate(first, GPU)
    later = first.assign(t_decode_ms=1.01 * first["t_decode_ms"])
    both = once.calibrate(later, GPU).data.targets[GPU, ""]
    assert {part.measured for part in both.stages.values()} == {40}
    assert once.calibrate(first, GPU).data.calibration_rows(GPU) == 20


def test_a_latency_of_another_gpu_or_stack_is_no_repeat() -> None:
    stacked, gpu = posterior(stacks=STACKS), GPUS[0]
    own = own_rows(make_frame(stacks=STACKS), gpu)
    first = own[own["stack"] == STACKS[0]]
    assert len(first) == 40
    assert stacked.calibrate(first, gpu).data.calibration_rows(gpu) == 0
    moved = first.assign(stack=STACKS[1])
    assert stacked.calibrate(moved, gpu).data.calibration_rows(gpu) == len(first)
    assert stacked.calibrate(first.assign(gpu=GPU), GPU).data.calibration_rows(GPU) == len(first)


def test_a_stage_can_be_measured_later() -> None:
    once = posterior().calibrate(trace(10), GPU)
    first = posterior().calibrate(trace(10).drop(columns="t_decode_ms"), GPU)
    assert_equal_draws(draws_of(first.calibrate(trace(10), GPU)), draws_of(once))


def test_the_order_of_rows_does_not_matter() -> None:
    once = posterior().calibrate(trace(30), GPU)
    for seed in range(3):
        mixed = trace(30).sample(frac=1.0, random_state=seed)
        assert_equal_draws(draws_of(posterior().calibrate(mixed, GPU)), draws_of(once))


@pytest.mark.parametrize("stage", STAGES)
def test_any_stages_may_be_missing(stage: str) -> None:
    other = next(each for each in STAGES if each != stage)
    full = posterior().calibrate(trace(10), GPU)
    for missing in (
        trace(10).drop(columns=f"t_{stage}_ms"),
        trace(10).assign(**{f"t_{stage}_ms": np.nan}),
    ):
        found = posterior().calibrate(missing, GPU)
        stages = found.data.targets[GPU, ""].stages
        assert (stages[stage].measured, stages[other].measured) == (0, 10)
        np.testing.assert_array_equal(
            stages[other].effects, full.data.targets[GPU, ""].stages[other].effects
        )
        prediction = found.predict(CONFIGS, GPU)
        assert prediction.frame["zero_shot"].all()
        assert found.judge_transfer(GPU).stages.keys() == {other}


def test_rows_may_hold_one_stage_each() -> None:
    frame = trace(20)
    frame.loc[frame.index[::2], "t_decode_ms"] = np.nan
    frame.loc[frame.index[1::2], "t_prefill_ms"] = np.nan
    stages = posterior().calibrate(frame, GPU).data.targets[GPU, ""].stages
    assert [stages[stage].measured for stage in STAGES] == [10, 10]


def test_repeats_narrow_less_than_other_configs() -> None:
    noise = np.random.default_rng(3).normal(0, 0.02, (5, 2))
    few = trace(5)
    again = few.assign(
        t_prefill_ms=few["t_prefill_ms"] * np.exp(noise[:, 0]),
        t_decode_ms=few["t_decode_ms"] * np.exp(noise[:, 1]),
    )
    repeated = pd.concat([few.assign(repeat=0), again.assign(repeat=1)])
    base = widths(posterior().calibrate(few, GPU)).mean()
    repeats = widths(posterior().calibrate(repeated, GPU)).mean()
    others = widths(posterior().calibrate(trace(10), GPU)).mean()
    assert (others < 0.85 * base)[["total", "prefill"]].all()
    assert (others < 0.9 * repeats)[["total", "prefill"]].all()


@pytest.mark.parametrize(("of_runs", "least", "most"), [(0.1, 0.55, 1.01), (1e-4, 0.0, 0.2)])
def test_repeats_count_by_how_much_runs_scatter(
    of_runs: float, least: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six runs of thirty configurations: nearly six rows where they scatter, and else one."""
    seen: list[Marginal] = []

    def spy(marginal: Marginal, *others: Any) -> Conditioned:
        seen.append(marginal)
        return condition(marginal, *others)

    monkeypatch.setattr("bayeslat.inference.calibration.calibrate.condition", spy)
    noise = np.exp(of_runs * np.random.default_rng(3).standard_normal((6, 30, 2)))
    medians = {f"t_{stage}_ms": target().typical_ms[stage][:30] for stage in STAGES}
    # What its runs share, or nothing.
    own = trace(30) if of_runs < 0.01 else trace(30).assign(**medians)
    runs = [own.assign(repeat=k) for k in range(6)]
    for run, each in zip(runs, noise, strict=True):
        run[["t_prefill_ms", "t_decode_ms"]] *= each
    posterior().calibrate(pd.concat(runs), GPU)
    assert len(seen) == len(STAGES)
    assert all(least < each.rows.weights.mean() < most for each in seen)


def test_rows_of_other_gpus_and_other_names_of_this_one() -> None:
    expected = draws_of(posterior().calibrate(trace(10), GPU))
    others = pd.concat(
        [
            trace(5, gpu="a100_sxm"),
            trace(10, gpu="NVIDIA L40S"),
            trace(5, gpu="b200_sxm", t_decode_ms=-1.0),  # broken, but not ours
            trace(5, gpu="some GPU that nobody knows"),
        ],
        ignore_index=True,
    )
    assert_equal_draws(draws_of(posterior().calibrate(others, "L40S")), expected)
    with pytest.raises(InputError, match=r"no rows of GPU h200_sxm; the trace holds .*NVIDIA L40S"):
        posterior().calibrate(others, "h200_sxm")


def test_bad_rows_are_told_all_at_once_and_change_nothing() -> None:
    before = posterior().calibrate(trace(3), GPU)
    kept = before.data.targets[GPU, ""].rows.copy()
    bad = trace(
        6,
        task=list("abcdef"),
        t_decode_ms=[-1.0, np.inf, 1, 1, 1, 1],
        context=[64, 64, 64, 64, 0, 64],
    )
    given = bad.copy()
    with pytest.raises(TraceError) as caught:
        before.calibrate(bad, GPU)
    told = str(caught.value)
    assert "t_decode_ms" in told
    assert "log(context)" in told
    pd.testing.assert_frame_equal(bad, given)
    pd.testing.assert_frame_equal(before.data.targets[GPU, ""].rows, kept)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("trace.csv", GPU), InputError, "read_traces"),
        ((trace(3), "no such GPU"), HardwareError, "no such GPU"),
        ((trace(3), "h200_sxm"), InputError, "no rows of GPU h200_sxm"),
        ((trace(3).drop(columns="gpu"), GPU), TraceError, "gpu"),
        ((trace(3).drop(columns="context"), GPU), TraceError, "context"),
        ((trace(3)[["gpu", *CONFIGS]], GPU), TraceError, "latency"),
        ((pd.concat([trace(3), trace(3)]), GPU), TraceError, "repeat"),
    ],
)
def test_bad_arguments(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        posterior().calibrate(*arguments)


def test_a_fit_without_numbers_is_told() -> None:
    data = posterior().data
    part = data.stages["prefill"]
    broken = replace(part, effects=np.full_like(part.effects, np.nan))
    lost = Posterior(replace(data, stages={**data.stages, "prefill": broken}))
    with pytest.raises(ConvergenceError, match="stage 'prefill' are no finite numbers: its fit"):
        lost.calibrate(trace(3), GPU)


def test_an_empty_name_of_a_stack_is_refused() -> None:
    with pytest.raises(InputError, match="stack is ' '"):
        posterior().calibrate(trace(3), GPU, stack=" ")


def test_stacks_are_groups_of_their_own() -> None:
    frame = trace(9, stack=["v1"] * 5 + ["v2"] * 2 + [None] * 2)
    found = posterior(stacks=STACKS).calibrate(frame, GPU, stack="v2")
    rows = {group: len(each.rows) for group, each in found.data.targets.items()}
    assert rows == {(GPU, "v1"): 5, (GPU, "v2"): 4}
    assert found.data.known_stacks(GPU) == ("v1", "v2")
    # A stack of a GPU that is known says more of a third than the data sheet does.
    third = widths(found, stack="v9")["total"].mean()
    assert third < 0.8 * widths(posterior(stacks=STACKS), stack="v9")["total"].mean()
    # Rows without a stack go to the only one that is known.
    one = posterior().calibrate(trace(5), GPU, stack="v1").calibrate(trace(8)[5:], GPU)
    assert list(one.data.targets) == [(GPU, "v1")]


def test_stacks_with_equally_many_rows_do_not_depend_on_the_order_of_rows() -> None:
    frame = trace(8, stack=["v2"] * 4 + ["v1"] * 4)
    one, other = (posterior(stacks=STACKS).calibrate(rows, GPU) for rows in (frame, frame[::-1]))
    assert list(one.data.targets) == list(other.data.targets) == [(GPU, "v1"), (GPU, "v2")]
    for stack in STACKS:
        assert_equal_draws(draws_of(one, GPU, stack), draws_of(other, GPU, stack))


def test_a_new_stack_of_a_fitted_gpu() -> None:
    before = posterior(stacks=STACKS)
    frame = trace(8, gpu="a100_sxm", stack="v9")
    after = before.calibrate(frame, "a100_sxm")
    assert list(after.data.targets) == [("a100_sxm", "v9")]
    narrower = widths(after, "a100_sxm", stack="v9")["total"].mean()
    assert narrower < 0.7 * widths(before, "a100_sxm", stack="v9")["total"].mean()
    pd.testing.assert_frame_equal(
        after.predict(CONFIGS, "a100_sxm", stack="v1").frame,
        before.predict(CONFIGS, "a100_sxm", stack="v1").frame,
        check_exact=True,
    )


def test_an_update_of_the_first_stack_counts_its_rows_once() -> None:
    first, second = trace(5, stack="v1"), trace(9, stack="v2")[5:]
    more = trace(12, stack="v1")[9:]
    start = posterior(stacks=STACKS)
    late = start.calibrate(first, GPU).calibrate(second, GPU).calibrate(more, GPU)
    early = start.calibrate(pd.concat([first, more]), GPU).calibrate(second, GPU)
    for stack in STACKS:
        assert_equal_draws(draws_of(late, GPU, stack), draws_of(early, GPU, stack))


def slower(data: PosteriorData, gpu: str, factor: float) -> pd.DataFrame:
    """Rows of a donor as it is predicted, times a factor."""
    configs = make_configs(25, seed=7)
    frame = Posterior(data).predict(configs, gpu, of="typical").frame
    rng = np.random.default_rng(8)
    noise = np.exp(rng.normal(0, 0.02, (len(STAGES), 25)))
    latencies = [factor * frame[f"{stage}_q50_ms"] for stage in STAGES]
    return configs.assign(
        gpu=gpu,
        **{f"t_{s}_ms": t * n for s, t, n in zip(STAGES, latencies, noise, strict=True)},
    )


def test_a_fitted_donor_moves_towards_its_new_rows() -> None:
    before = posterior()
    gpu = "a100_sxm"
    same = before.calibrate(slower(before.data, gpu, 1.0), gpu)
    changed = before.calibrate(slower(before.data, gpu, 1.04), gpu)
    middle = {
        name: np.log(each.predict(CONFIGS, gpu, of="typical").frame["total_q50_ms"])
        for name, each in (("before", before), ("same", same), ("changed", changed))
    }
    sd = widths(before, gpu)["total"] / 3.3
    assert (np.abs(middle["same"] - middle["before"]) / sd).max() < 4
    moved = (middle["changed"] - middle["same"]).mean()
    # Half of its rows are old and half are new.
    assert 0.005 < moved < np.log(1.04)
    assert widths(same, gpu)["total"].mean() < widths(before, gpu)["total"].mean()


def test_a_point_of_linearisation_stays_where_the_population_has_gpus() -> None:
    """At the rows' own efficiencies, up to three sds: of what is shared, and of GPUs round it."""
    data = make_data()
    ranges = {}
    for stage in STAGES:
        of = population_of(
            data, stage, load_hardware().resolve(GPU), None, np.random.default_rng(0)
        )
        centre, spread = of.centre[:, : of.terms], of.spread[:, : of.terms]
        ranges[stage] = centre.mean(axis=0), np.sqrt(centre.var(axis=0) + (spread**2).mean(axis=0))
    for factor in (4.0, 50.0):
        slow = trace(30)
        slow[["t_prefill_ms", "t_decode_ms"]] *= factor
        found = Posterior(data).calibrate(slow, GPU).data.targets[GPU, ""].stages
        for stage, (middle, sd) in ranges.items():
            departure = found[stage].departure
            assert (np.abs(departure - middle) < 3.001 * sd).all()
            if factor == 50.0:
                assert np.max((departure - middle) / sd) == pytest.approx(3.0)
        if factor == 4.0:  # 2.8 sds of decode's bandwidth
            effect = found["decode"].effects[:, 0].mean()
            assert found["decode"].departure[0] == pytest.approx(effect, abs=0.02)


def test_more_rows_make_smaller_errors() -> None:
    data = make_data()
    configs = pd.concat([make_configs(40, seed=11), CONFIGS], ignore_index=True)
    counts = (0, 3, 40)
    errors = []
    for truth in draw_targets(data, configs, 16, seed=12):
        total = truth.total_ms(data)[40:]
        row = []
        for count in counts:
            found = Posterior(data).calibrate(truth.frame[:count], GPU)
            point = found.predict(CONFIGS, GPU, of="typical").frame["total_point_ms"]
            row.append(np.mean(np.abs(point / total - 1)))
        errors.append(row)
    mean, scatter = np.mean(errors, axis=0), np.std(np.diff(errors, axis=1), axis=0)
    assert (np.diff(mean) < -2 * scatter / np.sqrt(16)).all(), mean
    assert mean[-1] < 0.1 * mean[0]


@pytest.mark.parametrize("factor", [1000.0, 5.0, 0.001])
def test_one_gross_error_among_ten_rows_moves_little(factor: float) -> None:
    wrong = trace()
    wrong.loc[wrong.index[3], "t_prefill_ms"] *= factor
    good, bad = (
        posterior().calibrate(rows, GPU).predict(CONFIGS, GPU, of="typical").frame
        for rows in (trace(), wrong)
    )
    moved = np.log(bad["prefill_q50_ms"] / good["prefill_q50_ms"])
    wide = np.log(good["prefill_q95_ms"] / good["prefill_q05_ms"])
    assert (np.abs(moved) < 0.5 * wide).all()
    assert (np.log(bad["prefill_q95_ms"] / bad["prefill_q05_ms"]) < 1.5 * wide).all()


def gross_trace(factor: float = 30.0, **columns: Any) -> pd.DataFrame:
    """Return ten rows, the fourth with a gross error in prefill."""
    wrong = trace().assign(**columns)
    wrong.loc[wrong.index[3], "t_prefill_ms"] *= factor
    return wrong


@pytest.mark.parametrize("factor", [30.0, 0.01])
def test_a_gross_error_is_named_with_how_far_off_it_is(factor: float, tmp_path: Path) -> None:
    gross_trace(factor, config_id=range(100, 110)).to_csv(tmp_path / "t.csv", index=False)
    trace(2).to_csv(tmp_path / "a.csv", index=False)
    found = posterior().calibrate(read_traces(tmp_path / "a.csv", tmp_path / "t.csv"), GPU)
    (error,) = found.gross_errors
    assert (error.gpu, error.file, error.row) == (GPU, str(tmp_path / "t.csv"), 4)
    assert (error.config_id, dict(error.repeats)) == ("103", {"prefill": "none"})
    assert error.ratio.keys() == {"prefill"}
    assert np.log(error.ratio["prefill"]) == pytest.approx(np.log(factor), abs=0.3)
    assert error.unsettled
    assert repr(found).endswith("calibrated l40s, 1 row set aside>")
    # It is still known after a file, and among rows that come later.
    found.save(tmp_path / "p.nc")
    again = Posterior(read_posterior(tmp_path / "p.nc"))
    assert again.gross_errors == found.gross_errors
    assert again.calibrate(trace(20)[10:], GPU).gross_errors[0].row == 4


def test_without_gross_errors_nothing_is_set_aside() -> None:
    found = posterior().calibrate(trace(), GPU)
    assert found.gross_errors == ()
    assert repr(found).endswith("calibrated l40s>")


def test_a_row_that_is_set_aside_moves_nothing() -> None:
    """In its stage, it counts as one that was not measured."""
    without = trace()
    without.loc[without.index[3], "t_prefill_ms"] = np.nan
    found, expected = (posterior().calibrate(each, GPU) for each in (gross_trace(), without))
    middle = (
        np.log(each.predict(CONFIGS, GPU, of="typical").frame["prefill_q50_ms"])
        for each in (found, expected)
    )
    assert np.abs(np.subtract(*middle)).max() < 0.2 * widths(expected)["prefill"].min()


def test_other_runs_of_the_configuration_settle_a_gross_error() -> None:
    wrong = gross_trace()
    sound = trace()[3:4].assign(t_prefill_ms=1.01 * trace()["t_prefill_ms"][3:4])
    alike = wrong[3:4].assign(t_prefill_ms=1.05 * wrong["t_prefill_ms"][3:4])
    before = posterior().calibrate(wrong, GPU)
    assert before.judge_transfer(GPU, threshold=0.99).verdict == "more data"
    (error,) = before.calibrate(sound, GPU).gross_errors
    assert (dict(error.repeats), error.unsettled) == ({"prefill": "sound"}, False)
    assert before.calibrate(sound, GPU).judge_transfer(GPU, threshold=0.99).verdict == "trust"
    # The same again is no error.
    after = before.calibrate(alike, GPU)
    assert [dict(each.repeats) for each in after.gross_errors] == 2 * [{"prefill": "alike"}]
    assert not any(each.unsettled for each in after.gross_errors)
    assert after.judge_transfer(GPU, threshold=0.99).verdict == "refit as donor"


def test_a_row_that_one_stage_leaves_open_is_open_whatever_another_says() -> None:
    wrong = trace()
    wrong.loc[wrong.index[3], ["t_prefill_ms", "t_decode_ms"]] *= 30.0
    sound = trace()[3:4].assign(t_prefill_ms=np.nan, t_decode_ms=1.01 * trace()["t_decode_ms"][3:4])
    data = posterior().calibrate(wrong, GPU).calibrate(sound, GPU).data
    (error,) = find_gross_errors(data)
    assert dict(error.repeats) == {"prefill": "none", "decode": "sound"}
    assert error.unsettled
    assert np.flatnonzero(is_unsettled(data, data.targets[GPU, ""])).tolist() == [3]


def test_gross_errors_are_listed_by_gpu_and_stack() -> None:
    frame = pd.concat([gross_trace(stack="v1"), trace(20, stack="v2")[10:]])
    data = posterior(stacks=STACKS).calibrate(frame, GPU).data
    counts = {
        (gpu, stack): len(find_gross_errors(data, gpu, stack))
        for gpu, stack in ((None, None), (GPU, None), (GPU, "v1"), (GPU, "v2"), ("a40", None))
    }
    assert list(counts.values()) == [1, 1, 1, 0, 0]


def test_a_noisy_target_has_no_impossible_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that scatter by half, of donors whose runs scatter by some per cent, count all."""
    noisy = trace(24)
    scatter = np.random.default_rng(1).standard_normal((len(noisy), 2))
    noisy[["t_prefill_ms", "t_decode_ms"]] *= np.exp(0.5 * scatter)
    found = draws_of(posterior().calibrate(noisy, GPU))
    with monkeypatch.context() as patch:
        patch.setattr(sound_rows, "MOST_IMPOSSIBLE", 0.0)
        assert_equal_draws(draws_of(posterior().calibrate(noisy, GPU)), found)
    # The broken twin: by the noise of the donors alone, a quarter of the rows is impossible.
    monkeypatch.setattr(sound_rows, "_GROSS", 0.0)
    noise = draws_of(posterior().calibrate(noisy, GPU))
    assert not np.array_equal(noise[0], found[0])


def test_a_seed_makes_the_same_draws_and_another_one_others() -> None:
    once, again, other = (
        draws_of(posterior().calibrate(trace(10), GPU, seed=seed)) for seed in (1, 1, 2)
    )
    assert_equal_draws(again, once)
    assert not np.array_equal(other[0], once[0])


CASES: dict[str, tuple[dict[str, Any], pd.DataFrame, str]] = {
    "rows": ({}, trace(10), GPU),
    "no rows": ({}, trace(0), GPU),
    "stacks": ({"stacks": STACKS}, trace(10, stack=["Ω/1", "[2] a"] * 5), GPU),
    "tasks": (
        {"tasks": ("qa", "captioning")},
        trace(10, task=["qa", None, np.nan, "other", "captioning"] * 2),
        GPU,
    ),
    "a donor": ({}, trace(10, gpu="h100_sxm"), "h100_sxm"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_calibrated_posterior_comes_back_to_the_bit(case: str, tmp_path: Path) -> None:
    options, frame, gpu = CASES[case]
    found = posterior(**options).calibrate(frame, gpu)
    found.save(tmp_path / "p.nc")
    again = Posterior(read_posterior(tmp_path / "p.nc"))
    assert_same(again.data, found.data)
    known = (*found.data.known_stacks(gpu), "")[0] or None  # none without rows
    more = trace(13, gpu=gpu, stack=known)[10:]
    for one, other in ((found, again), (found.calibrate(more, gpu), again.calibrate(more, gpu))):
        for stack in found.data.known_stacks(gpu):
            pd.testing.assert_frame_equal(
                other.predict(CONFIGS, gpu, stack=stack or None).frame,
                one.predict(CONFIGS, gpu, stack=stack or None).frame,
                check_exact=True,
            )
            assert other.judge_transfer(gpu, stack=stack) == one.judge_transfer(gpu, stack=stack)


def test_a_gpu_of_the_users_own_table_comes_back(tmp_path: Path) -> None:
    table = load_hardware()
    own = table.resolve("l40s").model_copy(update={"key": "mine", "aliases": ()})
    hardware = table.extended({"mine": own})
    found = posterior().calibrate(trace(5, gpu="mine"), "mine", hardware=hardware)
    found.save(tmp_path / "p.nc")
    again = Posterior(read_posterior(tmp_path / "p.nc"))
    assert again.judge_transfer("mine") == found.judge_transfer("mine")  # its data sheet is there


def test_no_sampler_is_loaded(tmp_path: Path) -> None:
    posterior().save(tmp_path / "p.nc")
    trace(10).to_csv(tmp_path / "t.csv", index=False)
    code = f"""
import bayeslat as bl
p = bl.load_posterior({str(tmp_path / "p.nc")!r})
traces = bl.read_traces({str(tmp_path / "t.csv")!r})
found = p.calibrate(traces, "l40s")
found.predict(traces, "l40s")
found.judge_transfer("l40s")
found.save({str(tmp_path / "q.nc")!r})
"""
    loaded = loaded_by(code)
    assert "bayeslat" in loaded
    # xarray asks distributed for a lock when it writes a file, wherever that is installed.
    assert loaded & {*HEAVY, "numba"} <= {"distributed"}


TWINS = Spec.from_text("""
name = "twins"
knobs = ["tokens"]
[stages.one]
[stages.one.physics]
work = "tokens / mem_bw_GBps"
[stages.two]
[stages.two.physics]
work = "tokens / mem_bw_GBps"
""")


@pytest.mark.parametrize("rows", [0, 4])
def test_stages_are_drawn_independently(rows: int) -> None:
    """Else their sum would scatter as if one stage told the other's efficiency."""
    configs = pd.DataFrame({"tokens": np.geomspace(10.0, 1e4, 30)})
    frame = simulate(TWINS, configs, [*GPUS, GPU], seed=1)
    own = frame["gpu"] == GPU
    data = fit_posterior(TWINS, frame[~own], engine="laplace")
    found = calibrate_group(data, frame[own].iloc[:rows], load_hardware().resolve(GPU), "")
    stages = found.targets[GPU, ""].stages
    for drawn in ("effects", "noise_sd"):
        one, two = (np.log(np.abs(getattr(stages[s], drawn).ravel())) for s in ("one", "two"))
        assert abs(np.corrcoef(one, two)[0, 1]) < 4 / np.sqrt(len(one))


def test_how_far_off_a_gross_error_is_does_not_depend_on_the_noise_there() -> None:
    data = make_data()
    part = data.stages["prefill"]
    shape = replace(part.noise_shape, slopes=np.array([0.4, 0.0]), centre=np.zeros(2))
    stages = {**data.stages, "prefill": replace(part, noise_shape=shape)}
    wrong = gross_trace()
    place = part.basis.scaled(np.log(wrong[["context", "batch_size"]].to_numpy(float)))[3, 0]
    assert abs(0.4 * place) > 0.1  # the noise is not the typical one at the row that is off
    (error,) = Posterior(replace(data, stages=stages)).calibrate(wrong, GPU).gross_errors
    assert np.log(error.ratio["prefill"]) == pytest.approx(np.log(30.0), abs=0.3)
