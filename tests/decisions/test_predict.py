from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.predict import predict
from bayeslat.decisions.prediction import Prediction
from bayeslat.errors import HardwareError, InputError, TraceError
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.posterior import Posterior
from tests.posteriors import SPEC_TEXT, make_configs, make_data, make_frame, with_noise_shared

pytestmark = pytest.mark.xdist_group("small posterior")


def ask(configs: pd.DataFrame, gpu: str = "a100_sxm", **options: object) -> Prediction:
    return predict(make_data(), configs, load_hardware().resolve(gpu), **options)  # type: ignore[arg-type]


def width(prediction: Prediction, stage: str = "total") -> np.ndarray:
    frame = prediction.frame
    return (frame[f"{stage}_q95_ms"] / frame[f"{stage}_q05_ms"]).to_numpy()


def test_rows_keep_their_order_index_and_columns() -> None:
    configs = make_configs(12).assign(note=list("abcdefghijkl")).sample(frac=1, random_state=1)
    frame = ask(configs).frame
    pd.testing.assert_frame_equal(frame[list(configs.columns)], configs)
    assert {"prefill_point_ms", "decode_q95_ms", "total_sd_ms", "extrapolates", "zero_shot"} <= set(
        frame
    )


def test_a_config_is_predicted_alone_as_in_a_table() -> None:
    configs = make_configs(9)
    table, alone = ask(configs), ask(configs.iloc[[4]])
    np.testing.assert_allclose(alone.draws(), table.draws()[[4]], rtol=1e-12)


def test_the_seed_alone_decides() -> None:
    configs = make_configs(4)
    np.testing.assert_array_equal(ask(configs, seed=3).draws(), ask(configs, seed=3).draws())
    assert (ask(configs, seed=3).draws() != ask(configs, seed=4).draws()).any()


def test_predictions_meet_the_rows_that_were_fitted() -> None:
    rows = make_frame().query("gpu == 'h100_sxm'")
    frame = ask(rows, "h100_sxm").frame
    ratio = frame["prefill_point_ms"] / rows["t_prefill_ms"]
    assert (
        np.median(np.abs(np.log(ratio)))
        < 3 * frame["prefill_aleatoric_sd_ms"].div(frame["prefill_mean_ms"]).median()
    )
    inside = rows["t_prefill_ms"].between(frame["prefill_q05_ms"], frame["prefill_q95_ms"])
    assert inside.mean() > 0.75  # of 40 rows: 0.9 less 3 standard errors


def test_a_typical_run_is_surer_than_the_next_one() -> None:
    configs = make_configs(10)
    assert np.all(width(ask(configs, of="typical")) < width(ask(configs)))


@pytest.mark.parametrize("shared", [0.01, 0.25, 1.0])
def test_a_typical_run_departs_from_the_effects_by_what_is_the_configurations_own(
    shared: float,
) -> None:
    configs, data = make_configs(10), with_noise_shared(make_data(), shared)
    gpu = load_hardware().resolve("a100_sxm")
    run, typical = (
        predict(data, configs, gpu, of=of).stages["prefill"] for of in ("run", "typical")
    )
    np.testing.assert_array_equal(typical.typical_ms, run.typical_ms)
    np.testing.assert_allclose(typical.log_noise, np.sqrt(shared) * run.log_noise)
    np.testing.assert_allclose(typical.noise_sd, np.sqrt(shared) * run.noise_sd)


def test_beyond_the_range_intervals_widen_and_features_are_named() -> None:
    low, high = make_frame()["context"].min(), make_frame()["context"].max()
    configs = pd.DataFrame(
        {"batch_size": 4, "context": [low, high, 4 * high, 64 * high], "output_tokens": 9}
    )
    prediction = ask(configs)
    assert prediction.frame["extrapolates"].tolist() == [False, False, True, True]
    assert prediction.frame["extrapolates_in"].tolist()[:2] == ["", ""]
    assert "prefill: log(context)" in prediction.frame["extrapolates_in"].iloc[2]
    assert "decode: context" in prediction.frame["extrapolates_in"].iloc[2]
    wide = width(prediction, "prefill")
    assert wide[1] < wide[2] < wide[3]


@pytest.mark.parametrize("gpu", ["a100_sxm", "l40s"])
@pytest.mark.parametrize("stage", ["prefill", "decode", "total"])
def test_intervals_widen_with_every_step_beyond_the_range(gpu: str, stage: str) -> None:
    """Steps are large enough to show above the Monte Carlo error of 400 draws."""
    beyond = np.array([1.0, 1.002, 2.0, 4.0, 8.0, 16.0, 32.0])
    context = beyond * make_frame()["context"].max()
    configs = pd.DataFrame({"batch_size": 4, "context": context, "output_tokens": 9})
    wide = width(ask(configs, gpu), stage)
    if (stage, gpu) == ("total", "l40s"):  # at first, less of it is the stage known worst
        assert np.all(np.diff(wide[2:]) > 0)
    else:
        assert np.all(np.diff(np.delete(wide, 1)) > 0)
    assert np.log(wide[-1]) > 1.25 * np.log(wide[0])  # the shares of the physics alone give 1.16
    assert abs(wide[1] / wide[0] - 1) < 0.02  # without a jump where the range ends


def test_however_far_out_every_number_is_finite() -> None:
    configs = pd.DataFrame({"batch_size": 4, "context": [3e6, 1e9], "output_tokens": 199})
    for gpu in ("a100_sxm", "l40s"):
        prediction = ask(configs, gpu)
        numbers = prediction.frame.select_dtypes("float")
        assert np.isfinite(numbers.to_numpy()).all()
        assert np.all(numbers.filter(regex="_q05_ms$") > 0)
        assert np.all(prediction.p_exceed(1e6) > 0.05)


@pytest.mark.parametrize("gpu", ["a100_sxm", "gh200", "l40s"])
def test_a_config_beyond_the_range_is_predicted_alone_as_in_a_table(gpu: str) -> None:
    configs = make_configs(6).assign(context=[64, 9000, 500, 70000, 1000, 3000])
    table = ask(configs, gpu)
    for row in (1, 2, 3):
        alone = ask(configs.iloc[[row]], gpu)
        np.testing.assert_allclose(alone.draws(), table.draws()[[row]], rtol=1e-12)
        assert alone.extrapolates[0] == table.extrapolates[row]


def test_a_gpu_known_by_its_data_sheet_alone() -> None:
    configs = make_configs(10)
    known, relative, stranger = (ask(configs, gpu) for gpu in ("h100_sxm", "gh200", "l40s"))
    assert not known.zero_shot.any()
    assert relative.zero_shot.all()
    assert stranger.zero_shot.all()
    assert np.median(width(known)) < min(np.median(width(relative)), np.median(width(stranger)))


def test_an_unseen_stack_is_a_new_group() -> None:
    data, gpu = make_data(stacks=("v1", "v2")), load_hardware().resolve("a100_sxm")
    configs = make_configs(8)
    seen, unseen = (predict(data, configs, gpu, stack=stack) for stack in ("v1", "v3"))
    assert not seen.zero_shot.any()
    assert unseen.zero_shot.all()
    assert np.median(width(seen)) < np.median(width(unseen))


def test_stacks_of_a_column_are_predicted_each_by_itself() -> None:
    data, gpu = make_data(stacks=("v1", "v2")), load_hardware().resolve("a100_sxm")
    configs = make_configs(6)
    mixed = predict(data, configs.assign(stack=["v1", "v2"] * 3), gpu).frame
    for stack, rows in (("v1", [0, 2, 4]), ("v2", [1, 3, 5])):
        alone = predict(data, configs.iloc[rows], gpu, stack=stack).frame
        np.testing.assert_array_equal(mixed["total_q50_ms"].iloc[rows], alone["total_q50_ms"])


def test_rows_without_a_stack_take_the_argument() -> None:
    data, gpu = make_data(stacks=("v1", "v2")), load_hardware().resolve("a100_sxm")
    configs = make_configs(4)
    named = predict(data, configs, gpu, stack="v2")
    some = configs.assign(stack=pd.Series(["v2", None, np.nan, "v2"], dtype=object))
    holes = predict(data, some, gpu, stack="v2")
    np.testing.assert_allclose(holes.draws(), named.draws(), rtol=1e-12)
    assert not holes.zero_shot.any()
    # Without the argument, which of the two stacks is meant is not known.
    unsaid = predict(data, some, gpu)
    assert unsaid.zero_shot.tolist() == [False, True, True, False]


def test_tasks_change_predictions() -> None:
    data, gpu = make_data(tasks=("qa", "captioning")), load_hardware().resolve("a100_sxm")
    configs = make_configs(5)
    drawn = [
        predict(data, configs.assign(task=task), gpu).typical() for task in ("qa", "captioning")
    ]
    assert (drawn[0] != drawn[1]).any()


def test_every_fault_of_the_configs_is_told_at_once() -> None:
    configs = make_configs(4).assign(context=[1.0, np.nan, 3.0, np.inf]).drop(columns="batch_size")
    with pytest.raises(TraceError) as caught:
        ask(configs)
    found = {violation.column: violation for violation in caught.value.violations}
    assert set(found) == {"batch_size", "context"}
    assert "is missing; add the column" in found["batch_size"].message
    assert found["context"].rows == (2, 4)


def test_configs_that_no_stage_can_take_are_told_by_row() -> None:
    configs = make_configs(4).assign(context=[100, 0, 200, 300], output_tokens=[1, 2, -3, 4])
    with pytest.raises(TraceError) as caught:
        ask(configs)
    found = {violation.column: violation for violation in caught.value.violations}
    assert {name: each.rows for name, each in found.items()} == {
        "context": (2,),
        "output_tokens": (3,),
    }
    assert "times 'output_tokens' of stage decode" in found["output_tokens"].message


@pytest.mark.parametrize("cells", [["1", "2"], [True, False], [1, "2"]])
def test_knobs_are_numbers(cells: list[object]) -> None:
    configs = make_configs(2).assign(batch_size=pd.Series(cells, dtype=object))
    with pytest.raises(TraceError, match="knob 'batch_size' must be a finite number"):
        ask(configs)


def test_a_gpu_that_lacks_a_peak_is_told_with_the_lines_to_add() -> None:
    with pytest.raises(HardwareError, match=r"GPU 't4' has no bf16_tflops(.|\n)*\[gpus\.t4\]"):
        ask(make_configs(2), "t4")


def test_no_config_is_an_error() -> None:
    with pytest.raises(InputError, match="the table has no rows"):
        ask(make_configs(4).head(0))


def test_rows_that_calibrated_without_a_stack_stay_within_reach() -> None:
    """A named stack that is added later does not hide them."""
    rows, configs = make_frame(5, ("l40s",), rows=12), make_configs(6)
    first = Posterior(make_data()).calibrate(rows.head(6), "l40s")
    both = first.calibrate(rows.tail(6).assign(stack="v2"), "l40s")
    found = both.predict(configs, "l40s")
    assert [each.stack for each in found.evidence] == [""]
    assert not found.zero_shot.any()
    np.testing.assert_array_equal(found.draws(), first.predict(configs, "l40s").draws())
    some = pd.Series(["v2", None, "v2", None, None, "v2"], dtype=object)
    holes = both.predict(configs.assign(stack=some), "l40s")
    np.testing.assert_array_equal(holes.draws()[[1, 3, 4]], found.draws()[[1, 3, 4]])
    assert not holes.zero_shot.any()
    assert (both.guard("l40s", 1e9).decide(configs)["decision"] == "accept").any()
    assert both.suggest(rows, "l40s", 3).pool.measured == 6
    more = both.calibrate(make_frame(6, ("l40s",), rows=2), "l40s")
    assert {stack: len(each.rows) for (_, stack), each in more.data.targets.items()} == {
        "": 8,
        "v2": 6,
    }


def test_a_stack_has_a_name() -> None:
    with pytest.raises(InputError, match="stack is ''; name one of the traces"):
        ask(make_configs(1), stack="")


def test_of_has_two_values() -> None:
    with pytest.raises(InputError, match="of is 'mean'; it must be run or typical"):
        ask(make_configs(1), of="mean")


def test_how_often_a_stage_runs_may_depend_on_the_task() -> None:
    text = SPEC_TEXT.replace('"output_tokens"\n', '"output_tokens * (1 + (task == \\"qa\\"))"\n')
    configs = make_configs(30, tasks=("qa", "ocr"))
    rows = make_frame(1, ("a100_sxm", "h100_sxm"), rows=30, tasks=("qa", "ocr"))
    known = Posterior(fit_posterior(Spec.from_text(text), rows, engine="laplace"))
    found = known.predict(configs, "a100_sxm")
    times = configs["output_tokens"] * configs["task"].map({"qa": 2, "ocr": 1})
    total = found.draws("prefill") + times.to_numpy()[:, None] * found.draws("decode")
    np.testing.assert_allclose(found.draws(), total, rtol=1e-12)
    budget = float(np.median(total))
    assert set(known.guard("a100_sxm", budget).decide(configs)["decision"]) >= {"accept", "reject"}
