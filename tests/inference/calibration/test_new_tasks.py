"""A task that came after the fit gets an effect, and its rows condition it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeslat.inference.calibration.new_tasks import admit_tasks
from bayeslat.inference.compression.update import windows_of
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.storage.posterior_file import read_posterior
from bayeslat.posterior import Posterior
from tests.posteriors import make_configs, make_data, make_frame, small_spec
from tests.random_posteriors import assert_same
from tests.targets import draw_targets

pytestmark = pytest.mark.xdist_group("small posterior")

GPU = "l40s"
SLOWDOWN = {"qa": 1.0, "captioning": 1.5, "ocr": 1.4, "search": 0.8}
"""The donors ran the first two."""
LATENCIES = ["t_prefill_ms", "t_decode_ms"]
STAGES = ("prefill", "decode")


def slow(frame: pd.DataFrame, tasks: list[str], seed: int) -> pd.DataFrame:
    """Give each row a task, and let it take as long as that does."""
    task = np.random.default_rng(seed).choice(tasks, len(frame))
    slower = frame[LATENCIES].mul([SLOWDOWN[name] for name in task], axis=0)
    return frame.assign(task=task, **slower)


@lru_cache(maxsize=1)
def fitted() -> Posterior:
    frame = slow(make_frame(), ["qa", "captioning"], 1)
    return Posterior(fit_posterior(small_spec(), frame, engine="laplace"))


@lru_cache(maxsize=1)
def trace() -> pd.DataFrame:
    """Rows of a GPU that runs two more tasks."""
    truth = next(draw_targets(make_data(), make_configs(60, seed=50), 1, 0))
    return slow(truth.frame, list(SLOWDOWN), 2)


@lru_cache(maxsize=1)
def calibrated() -> Posterior:
    return fitted().calibrate(trace(), GPU)


def draws_of(found: Posterior) -> list[np.ndarray]:
    stages = found.data.targets[GPU, ""].stages.values()
    return [each for part in stages for each in (part.effects, part.noise_sd, part.departure)]


def inside(task: str, count: int = 8) -> pd.DataFrame:
    context = np.linspace(200, 2000, count)
    return make_configs(count).assign(context=context, task=task)


def slowdown(found: Posterior, task: str, stage: str) -> np.ndarray:
    """Log of how many times longer than `qa` the task takes. Shape (draw,)."""
    one, other = (
        found.predict(inside(name), GPU, of="typical").draws(stage) for name in (task, "qa")
    )
    ratio: np.ndarray = np.log(one / other).mean(axis=0)
    return ratio


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("task", ["ocr", "search"])
def test_the_effect_of_a_new_task_is_learnt(
    task: str, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = slowdown(calibrated(), task, stage)
    # Some 15 rows of the task and as many of `qa`, each with a noise of some 10 %.
    assert found.std() < 0.06
    assert abs(found.mean() - np.log(SLOWDOWN[task])) < 4 * found.std()
    monkeypatch.setattr(
        "bayeslat.inference.calibration.calibrate.admit_tasks", lambda data, _: data
    )
    without = slowdown(fitted().calibrate(trace(), GPU), task, stage)
    assert without.std() > 3 * found.std()
    assert abs(without.mean() - np.log(SLOWDOWN[task])) > 4 * found.std()


@pytest.mark.parametrize("stage", STAGES)
def test_a_new_task_is_then_as_sure_as_one_of_the_donors(stage: str) -> None:
    def width(task: str) -> np.ndarray:
        frame = calibrated().predict(inside(task), GPU).frame
        return np.log(frame[f"{stage}_q95_ms"].to_numpy() / frame[f"{stage}_q05_ms"].to_numpy())

    np.testing.assert_allclose(width("ocr"), width("qa"), rtol=0.15)
    assert (width("no such task") > 1.5 * width("ocr")).all()
    assert not calibrated().predict(inside("ocr"), GPU).extrapolates.any()


@pytest.mark.parametrize("stage", STAGES)
def test_before_its_rows_an_effect_has_the_law_of_the_hierarchy(stage: str) -> None:
    part = admit_tasks(fitted().data, ["ocr"]).stages[stage]
    assert part.basis.tasks == ("captioning", "ocr", "qa")
    at = part.problem.features.names.index("task=ocr")
    tree, scales = part.problem.tree, part.problem.layout.name_draws(part.scales)
    shared = part.problem.shared_sd(part.scales)[:, at]
    offset = part.problem.offset_sd(part.scales)[:, at]
    alone, member, family = (tree.index(name) for name in ("a100_sxm", "h100_sxm", "hopper"))
    effect = part.effects[:, :, at]
    share = scales["family_share"]
    for found, sd in (
        (effect[:, -1], shared),
        (effect[:, alone] - effect[:, -1], offset),
        (effect[:, family] - effect[:, -1], offset * np.sqrt(share)),
        (effect[:, member] - effect[:, family], offset * np.sqrt(1 - share)),
    ):
        normal = found / sd
        # The errors of independent draws, which stratified ones stay below.
        assert abs(normal.mean()) < 4 / np.sqrt(len(normal))
        assert abs(normal.std() - 1) < 4 / np.sqrt(2 * len(normal))


def test_what_was_known_stays() -> None:
    before = fitted().calibrate(trace()[trace()["task"] == "qa"], GPU)
    after = Posterior(admit_tasks(before.data, ["ocr", "search", "", "qa"]))
    for gpu in ("h100_sxm", GPU):
        for task in ("qa", "captioning"):
            found, expected = (each.predict(inside(task), gpu).frame for each in (after, before))
            pd.testing.assert_frame_equal(found, expected, rtol=1e-12)
    assert admit_tasks(after.data, ["ocr", "qa", ""]) is after.data
    # Where the fit had no tasks, nobody knows how far they differ.
    plain = make_data()
    assert admit_tasks(plain, ["ocr"]) is plain


def test_it_does_not_matter_when_a_task_comes() -> None:
    ordered = trace().sort_values("task", ascending=False)
    first = fitted().calibrate(ordered.iloc[:20], GPU)
    assert "ocr" not in set(ordered["task"].iloc[:20])
    second = first.calibrate(ordered.iloc[20:], GPU)
    for found, expected in zip(draws_of(second), draws_of(calibrated()), strict=True):
        np.testing.assert_array_equal(found, expected)


def with_windows(data: PosteriorData) -> PosteriorData:
    return replace(data, windows=windows_of(data))


def test_statistics_and_windows_keep_what_they_say(tmp_path: Path) -> None:
    before = with_windows(fitted().data)
    after = admit_tasks(before, ["ocr"])
    for stage, part in after.stages.items():
        at = part.problem.features.names.index("task=ocr")
        for found, known in (
            (part.problem.statistics, before.stages[stage].problem.statistics),
            (
                after.windows["fit"].stages[stage].statistics,
                before.windows["fit"].stages[stage].statistics,
            ),
        ):
            assert not found.gram[:, at].any()
            kept = np.delete(np.delete(found.gram, at, 1), at, 2)
            np.testing.assert_array_equal(kept, known.gram)
            np.testing.assert_array_equal(np.delete(found.moment, at, 1), known.moment)
    saved = Posterior(with_windows(calibrated().data))
    saved.save(tmp_path / "p.nc")
    assert_same(read_posterior(tmp_path / "p.nc"), saved.data)
