"""A corner of the range that nobody measured is told, widened, and never accepted."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeslat.export import guard_reader, make_bundle
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.model.simulate import draw_parameters, simulate
from bayeslat.posterior import Posterior, load_posterior
from tests.posteriors import GPUS, SPEC_TEXT, make_configs

pytestmark = pytest.mark.xdist_group("corners")

TARGET = "l40s"
SPEC = Spec.from_text(
    SPEC_TEXT.replace(
        'features = ["log(context)"]', 'features = ["log(context)", "log(batch_size)"]'
    )
)
TOGETHER = "prefill: log(context) with log(batch_size)"


def in_corner(configs: pd.DataFrame) -> pd.Series:
    return (configs["batch_size"] >= 8) & (configs["context"] > 700)


@lru_cache(maxsize=1)
def make_trace() -> pd.DataFrame:
    configs = make_configs(300, 1)
    gpus = (*GPUS, TARGET)
    truth = draw_parameters(SPEC, gpus, configs=configs, seed=3)
    return simulate(SPEC, configs, gpus, parameters=truth, seed=3)


def rows_of(gpu: str) -> pd.DataFrame:
    trace = make_trace()
    return trace[trace["gpu"] == gpu]


@lru_cache(maxsize=2)
def fit(*, whole: bool = False) -> PosteriorData:
    trace = make_trace()
    kept = trace["gpu"].isin(GPUS) & (whole | ~in_corner(trace))
    return fit_posterior(SPEC, trace[kept], engine="laplace")


def corner() -> pd.DataFrame:
    """Configurations within the range of every knob, deep in the corner."""
    trace = make_trace()
    most = trace.loc[~in_corner(trace), "context"].max()
    deep = trace[(trace["batch_size"] == 16) & trace["context"].between(2500, most)]
    deep = deep.loc[deep["gpu"] == GPUS[0], list(SPEC.knobs)].reset_index(drop=True)
    assert len(deep) > 4
    return deep


def beside() -> pd.DataFrame:
    trace = make_trace()
    near = trace[(trace["gpu"] == GPUS[0]) & ~in_corner(trace)]
    return near[list(SPEC.knobs)].reset_index(drop=True)


def test_it_is_told_and_wider() -> None:
    unknown, known = (Posterior(fit(whole=whole)).predict(corner(), GPUS[0]) for whole in (0, 1))
    assert unknown.extrapolates.all()
    assert set(unknown.frame["extrapolates_in"]) == {TOGETHER}
    assert not known.extrapolates.any()
    widths = [
        (each.frame["prefill_q95_ms"] / each.frame["prefill_q05_ms"]).to_numpy()
        for each in (unknown, known)
    ]
    assert (widths[0] > 1.05 * widths[1]).all()
    assert Posterior(fit()).predict(beside(), GPUS[0]).extrapolates.mean() < 0.01


def test_it_is_never_accepted() -> None:
    guard = Posterior(fit()).guard(GPUS[0], 1e6)
    found = guard.decide(corner())
    assert set(found["decision"]) == {"measure"}
    assert set(guard.decide(beside())["decision"]) == {"accept"}


def test_what_a_gpu_measured_there_is_known_of_it() -> None:
    own = rows_of(TARGET)
    outside = own[~in_corner(own)].head(10)
    deepest = own.loc[[own["context"].where(own["batch_size"] == 16).idxmax()]]
    data = Posterior(fit())
    blind = data.calibrate(outside, TARGET)
    seeing = data.calibrate(pd.concat([outside, deepest]), TARGET)
    assert blind.predict(corner(), TARGET).extrapolates.all()
    assert not seeing.predict(corner(), TARGET).extrapolates.any()
    # Of the donors, no more is known.
    assert seeing.predict(corner(), GPUS[0]).extrapolates.all()


def test_stacks_of_which_one_measured_the_corner_are_predicted_together() -> None:
    own = rows_of(TARGET)
    measured = own[in_corner(own)].assign(stack="v1")  # all of it: the pair has no corner left
    seeing = Posterior(fit()).calibrate(measured, TARGET)
    both = pd.concat([corner().assign(stack="v1"), corner().assign(stack="v2")], ignore_index=True)
    found = seeing.predict(both, TARGET)
    half = len(both) // 2
    assert not found.extrapolates[:half].any()
    assert found.extrapolates[half:].all()
    alone = seeing.predict(corner(), TARGET, stack="v2")
    assert found.left_range[half:] == alone.left_range


def test_a_posterior_keeps_it(tmp_path: Path) -> None:
    posterior = Posterior(fit())
    posterior.save(tmp_path / "p.nc")
    read = load_posterior(tmp_path / "p.nc")
    for one, two in zip(posterior.data.stages.values(), read.data.stages.values(), strict=True):
        np.testing.assert_array_equal(one.basis.corners.pairs, two.basis.corners.pairs)
        np.testing.assert_array_equal(one.basis.corners.depth, two.basis.corners.depth)
        assert one.basis.corners.margin == two.basis.corners.margin
    assert read.predict(corner(), GPUS[0]).extrapolates.all()


@pytest.mark.parametrize("calibrated", [False, True])
def test_a_bundle_knows_it(calibrated: bool, tmp_path: Path) -> None:
    posterior, gpu = Posterior(fit()), TARGET if calibrated else GPUS[0]
    if calibrated:
        own = rows_of(TARGET)
        posterior = posterior.calibrate(own[~in_corner(own)].head(10), TARGET)
    path = tmp_path / "guard.bundle"
    bundle = make_bundle(posterior.data, load_hardware().resolve(gpu))
    path.write_bytes(bundle.to_bytes())
    reader = guard_reader.load(path)
    assert len(bundle.header["corners"]) == 1
    configs = pd.concat([corner(), beside()], ignore_index=True)
    configs.loc[len(configs)] = [16, 10**5, 10]  # beyond the range
    columns = {name: configs[name].to_numpy() for name in SPEC.knobs}
    points = posterior.predict(configs, gpu).frame["total_point_ms"]
    for budget in (1e6, *points.quantile([0.3, 0.6, 0.9])):
        expected = posterior.guard(gpu, float(budget)).decide(configs)
        decisions, p_exceed = reader.decide(columns, float(budget))
        assert np.abs(p_exceed - expected["p_exceed"]).max() < 0.005
        assert (decisions == expected["decision"]).mean() > 0.98
        ones = [
            reader.decide_one({name: config[name] for name in SPEC.knobs}, float(budget))
            for config in configs.head(30).to_dict("records")
        ]
        assert [each for each, _ in ones] == decisions[:30].tolist()
        np.testing.assert_allclose([each for _, each in ones], p_exceed[:30], atol=2e-4)
    assert set(reader.decide(columns, 1e6)[0][: len(corner())]) == {"measure"}
