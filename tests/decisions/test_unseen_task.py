"""A task without rows is as unsure as tasks differ, and is told."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.predict import predict
from bayeslat.decisions.prediction import Prediction
from bayeslat.decisions.unseen_task import is_unseen, task_effects
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from tests.posteriors import make_configs, make_data, make_frame, small_spec

pytestmark = pytest.mark.xdist_group("small posterior")

SLOWDOWN = {"qa": 1.0, "captioning": 1.5}
LATENCIES = ["t_prefill_ms", "t_decode_ms"]


@lru_cache(maxsize=1)
def fit_tasks() -> PosteriorData:
    """Fit tasks that differ by half."""
    frame = make_frame()
    task = np.random.default_rng(1).choice(list(SLOWDOWN), len(frame))
    slower = frame[LATENCIES].mul([SLOWDOWN[name] for name in task], axis=0)
    return fit_posterior(small_spec(), frame.assign(task=task, **slower), engine="laplace")


def ask(configs: pd.DataFrame, gpu: str = "a100_sxm") -> Prediction:
    return predict(fit_tasks(), configs, load_hardware().resolve(gpu))


def inside(count: int) -> pd.DataFrame:
    """Configurations within the training range of every knob."""
    return make_configs(count).assign(context=np.linspace(200, 2000, count), output_tokens=100)


def width(prediction: Prediction, stage: str) -> np.ndarray:
    frame = prediction.frame
    return (frame[f"{stage}_q95_ms"] / frame[f"{stage}_q05_ms"]).to_numpy()


def test_configs_of_no_fitted_task_are_told_apart() -> None:
    names = np.array(["qa", "ocr", "", "qa"], dtype=object)
    assert is_unseen(names, ("captioning", "qa")).tolist() == [False, True, True, False]
    assert not is_unseen(names, ()).any()


def test_an_effect_has_the_spread_of_tasks_and_an_offset() -> None:
    part = fit_tasks().stages["prefill"]
    names = np.array(["ocr", "ocr", "search"], dtype=object)
    effects = task_effects(part, names, [0, 0])
    np.testing.assert_array_equal(effects[0], effects[1])
    scales = dict(zip(part.problem.layout.names, np.exp(part.scales).T, strict=True))
    sd = np.hypot(scales["shared_scale[task]"], scales["offset_scale[residual, all tasks]"])
    normals = effects / sd
    error = 1 / np.sqrt(2 * len(sd))  # Monte Carlo error of the sd of independent draws
    np.testing.assert_allclose(normals.std(axis=1), 1.0, atol=error)
    assert abs(np.corrcoef(normals[[0, 2]])[0, 1]) < 4 / np.sqrt(len(sd))


@pytest.mark.parametrize("gpu", ["a100_sxm", "l40s"])
def test_a_task_without_rows_is_wider_and_flagged(gpu: str) -> None:
    configs = inside(6)
    seen, unseen = (ask(configs.assign(task=task), gpu) for task in ("qa", "ocr"))
    for stage in ("prefill", "decode", "total"):
        assert np.all(width(unseen, stage) > 1.1 * width(seen, stage))
    assert not seen.extrapolates.any()
    assert unseen.extrapolates.all()
    assert set(unseen.frame["extrapolates_in"]) == {"prefill: task; decode: task"}


@pytest.mark.parametrize("stage", ["prefill", "decode"])
def test_intervals_hold_the_fitted_tasks_and_reach_beyond_them(stage: str) -> None:
    configs = inside(20)
    unseen = ask(configs.assign(task="ocr")).frame
    for task in SLOWDOWN:
        median = ask(configs.assign(task=task)).frame[f"{stage}_q50_ms"]
        assert unseen[f"{stage}_q05_ms"].lt(median).all()
        assert unseen[f"{stage}_q95_ms"].gt(median).all()
    # Fitted tasks are 1.22 times from their mean. Without an effect of its own, the new one would
    # be no surer of than the mean is: a factor of 1.5.
    assert unseen[f"{stage}_q95_ms"].div(unseen[f"{stage}_q50_ms"]).gt(1.65).all()


def test_configs_without_a_task_are_of_an_unseen_one() -> None:
    configs = inside(5)
    bare = ask(configs)
    missing = ask(configs.assign(task=pd.Series([None, np.nan, pd.NA, "", None], dtype=object)))
    assert bare.extrapolates.all()
    np.testing.assert_array_equal(bare.draws(), missing.draws())


def test_a_row_without_a_task_leaves_the_others_as_they_are() -> None:
    configs = inside(3).assign(task=pd.Series(["qa", pd.NA, "captioning"], dtype=object))
    assert ask(configs).extrapolates.tolist() == [False, True, False]


def test_a_task_is_predicted_alone_as_in_a_table() -> None:
    configs = inside(6).assign(task=["ocr", "qa", "search", "ocr", "", "captioning"])
    configs.loc[3, "context"] = 70_000
    table = ask(configs)
    for row in range(len(configs)):
        alone = ask(configs.iloc[[row]])
        np.testing.assert_allclose(alone.draws(), table.draws()[[row]], rtol=1e-12)
    again = ask(configs.assign(task="ocr"))
    np.testing.assert_allclose(again.draws()[[0, 3]], table.draws()[[0, 3]], rtol=1e-12)


def test_the_seed_and_the_stage_change_an_effect() -> None:
    part, name = fit_tasks().stages["prefill"], np.array(["ocr"], dtype=object)
    drawn = [task_effects(part, name, seed) for seed in ([0, 0], [0, 1], [1, 0])]
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(drawn[one], drawn[two])[0, 1]) < 0.3


def test_a_fit_without_tasks_takes_any() -> None:
    data, gpu, configs = make_data(), load_hardware().resolve("a100_sxm"), inside(4)
    plain, named = (predict(data, each, gpu) for each in (configs, configs.assign(task="ocr")))
    assert not named.extrapolates.any()
    np.testing.assert_array_equal(named.draws(), plain.draws())
