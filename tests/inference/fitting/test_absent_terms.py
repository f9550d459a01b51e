"""Terms that take no time: the donors' rows would have them run far from where they stand.

Simulated worlds of few rows a GPU and many GPUs, whose kernels depart from the physics by model (as
quantised ones do), which the smooth correction can take up. Two of the four terms of the spec take
no time. The broken twin goes on where they run away, as fits did.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bayeslat.decisions.predict import predict
from bayeslat.errors import ConvergenceError
from bayeslat.evaluation.transfer import judge_transfer
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec
from bayeslat.inference.calibration.calibrate import calibrate_group
from bayeslat.inference.compression.compress import compress_files
from bayeslat.inference.compression.fit_compressed import fit_compressed
from bayeslat.inference.engines.engine import EngineOptions
from bayeslat.inference.fitting import relinearise
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.fitting.sound_donor_rows import sound_stage
from bayeslat.inference.posteriors.caveats import IMPOSSIBLE, caveats_of
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.rows import astray
from bayeslat.inference.rows.astray import find_astray, minor_terms
from bayeslat.inference.rows.plan import plan_fit
from bayeslat.inference.rows.regression import regress
from bayeslat.inference.storage.posterior_file import read_posterior, write_posterior

pytestmark = pytest.mark.xdist_group("absent terms")

SPEC = Spec.from_text("""
name = "absent"
description = "Prompts of llama.cpp: two of four terms take no time"
knobs = ["params", "weight_bytes", "layers", "quantised", "tokens"]
[quantities]
chunks = "tokens / 512"
[stages.prefill]
column = "t_prefill_ms"
times = "1"
[stages.prefill.physics]
gemm = "2 * tokens * params / (fp16_tflops * 1e9)"
weights = "chunks * weight_bytes / (mem_bw_GBps * 1e6)"
scores = "1e3 * tokens * tokens * layers / (mem_bw_GBps * 1e6)"
blocks = "0.05 * layers * chunks"
[stages.prefill.residual]
features = ["log(tokens)", "quantised", "log(layers)"]
degree = 1
""")
DONORS = (
    "a100_sxm", "a100_pcie", "h100_sxm", "h100_pcie", "h200_sxm", "l40s", "l4", "a10", "a30",
    "a40", "rtx_3090", "rtx_4090", "rtx_a6000", "b200_sxm",
)  # fmt: skip
TARGETS = ("rtx_6000_ada", "a100_sxm_40gb", "gh200", "rtx_a5000", "h20")
MODELS = ((8e9, 5e9, 32, 1), (8e9, 16e9, 32, 0), (7e10, 4e10, 80, 1))
TOKENS = (512, 1024, 4096, 8192)


@lru_cache(maxsize=4)
def draw_world(seed: int) -> pd.DataFrame:
    """Draw efficiencies, what models depart by, and twelve latencies a GPU."""
    rng, rows = np.random.default_rng(seed), []
    for name in (*DONORS, *TARGETS):
        gpu = load_hardware().resolve(name)
        peak, bandwidth = gpu.fields()["fp16_tflops"], gpu.fields()["mem_bw_GBps"]
        slow = np.array([1.7, 1.3]) * np.exp(0.5 * rng.standard_normal(2))
        quantised, large = 0.1 * rng.standard_normal(2)
        for params, size, layers, coded in MODELS:
            departs = np.exp(quantised * coded + large * (layers > 32))
            for tokens in TOKENS:
                gemm = 2 * tokens * params / (peak * 1e9)
                scores = 1e3 * tokens**2 * layers / (bandwidth * 1e6)
                noise = np.exp(0.005 * rng.standard_normal())
                rows.append(
                    {
                        "gpu": name,
                        "params": params,
                        "weight_bytes": size,
                        "layers": layers,
                        "quantised": coded,
                        "tokens": tokens,
                        "t_prefill_ms": (slow @ [gemm, scores]) * departs * noise,
                    }
                )
    return pd.DataFrame(rows)


@lru_cache(maxsize=8)
def fit_donors(seed: int, twin: bool = False) -> PosteriorData:
    """Fit the donors of a world; the twin as if no term ever ran away."""
    frame = draw_world(seed)
    with pytest.MonkeyPatch.context() as patch:
        if twin:
            patch.setattr(relinearise, "find_astray", lambda *_: None)
        return fit_posterior(SPEC, frame[frame["gpu"].isin(DONORS)], engine="laplace")


@dataclass(frozen=True)
class Outcome:
    """What became of the targets of a world."""

    farthest: float  # of any row from what the GPU that it was calibrated with says, as a part
    refits: int  # verdicts `refit as donor`, of 4 rows and of all
    covered: float  # of the other rows by 90 % intervals, after 4


@lru_cache(maxsize=8)
def calibrate_targets(seed: int, twin: bool = False) -> Outcome:
    """Calibrate every target with all of its rows, and with four."""
    data, frame, table = fit_donors(seed, twin), draw_world(seed), load_hardware()
    errors, covered, refits = [], [], 0
    for number, name in enumerate(TARGETS):
        gpu, own = table.resolve(name), frame[frame["gpu"] == name].reset_index(drop=True)
        few = np.random.default_rng(number).permutation(len(own))[:4]
        for kept in (np.arange(len(own)), few):
            found = calibrate_group(data, own.iloc[kept].drop(columns="gpu"), gpu, "")
            refits += judge_transfer(found, gpu, "").verdict == "refit as donor"
            judged = own if len(kept) == len(own) else own.loc[np.setdiff1d(own.index, kept)]
            said = predict(found, judged, gpu).frame
            measured: NDArray[np.float64] = judged["t_prefill_ms"].to_numpy()
            if len(kept) == len(own):
                errors.append(np.abs(said["prefill_q50_ms"] / measured - 1).max())
            else:
                inside = (said["prefill_q05_ms"] <= measured) & (measured <= said["prefill_q95_ms"])
                covered.append(inside.mean())
    return Outcome(float(max(errors)), refits, float(np.mean(covered)))


@pytest.mark.parametrize("seed", [0, 5])
def test_a_target_is_known_by_its_rows(seed: int) -> None:
    found = calibrate_targets(seed)
    assert found.farthest < 0.03
    assert found.refits == 0
    assert found.covered > 0.85


@pytest.mark.parametrize("seed", [0, 5])
def test_the_broken_twin_misses_the_rows_that_it_was_calibrated_with(seed: int) -> None:
    twin = calibrate_targets(seed, twin=True)
    assert twin.farthest > 0.05
    assert twin.refits >= 3
    assert twin.covered < 0.85


def test_the_fit_says_which_terms_rows_cannot_tell() -> None:
    data = fit_donors(5)
    assert data.stages["prefill"].untold == (1,)
    (caveat,) = caveats_of(data)
    assert caveat.startswith("Stage prefill: the rows cannot tell how long `weights` takes")


def test_efficiencies_that_no_gpu_has_are_told_with_their_gpus() -> None:
    """By the twin, whose donors have them; where the term is untold there are none."""
    (caveat,) = caveats_of(fit_donors(5, twin=True))
    fast = slowdowns(fit_donors(5, twin=True)) < IMPOSSIBLE
    assert 0 < fast.sum() < len(DONORS)
    assert caveat.startswith("Stage prefill: `weights` is found to run up to ")
    assert any(name in caveat for name in np.array(DONORS)[fast])
    assert not any(f"{name}," in caveat for name in np.array(DONORS)[~fast])
    assert slowdowns(fit_donors(5)).min() > IMPOSSIBLE


def slowdowns(data: PosteriorData) -> NDArray[np.float64]:
    """Median slowdown of the weights. Shape (gpu,)."""
    part = data.stages["prefill"]
    nodes = [part.problem.tree.index(gpu) for gpu in DONORS]
    found: NDArray[np.float64] = np.exp(
        part.shared_efficiency[1] + np.median(part.effects[:, nodes, 1], axis=0)
    )
    return found


def test_what_had_no_mode_is_fitted_and_else_refused_with_its_stage_and_terms() -> None:
    assert fit_donors(1).diagnostics.converged
    with pytest.raises(ConvergenceError, match=r"^Stage prefill: .*`blocks`.* out of the spec"):
        fit_donors(1, twin=True)


def test_a_posterior_keeps_what_is_untold(tmp_path: Path) -> None:
    """A target that is calibrated from its file is the same."""
    data, gpu = fit_donors(5), load_hardware().resolve(TARGETS[0])
    write_posterior(data, tmp_path / "kept.nc")
    kept = read_posterior(tmp_path / "kept.nc")
    part, other = data.stages["prefill"], kept.stages["prefill"]
    assert (other.untold, other.minor) == (part.untold, part.minor) == ((1,), (1, 3))
    assert other.problem.layout == part.problem.layout
    own = draw_world(5).query("gpu == @gpu.key").drop(columns="gpu")
    effects = [
        calibrate_group(each, own, gpu, "").targets[gpu.key, ""].stages["prefill"].effects
        for each in (data, kept)
    ]
    np.testing.assert_array_equal(effects[0], effects[1])


def test_statistics_keep_what_is_untold(tmp_path: Path) -> None:
    """A fit from statistics has the same prior."""
    frame = draw_world(5)
    frame[frame["gpu"].isin(DONORS)].to_parquet(tmp_path / "rows.parquet")
    found = fit_compressed(
        compress_files(SPEC, [tmp_path / "rows.parquet"]), EngineOptions(engine="laplace")
    )
    part = found.stages["prefill"]
    assert part.untold == (1,)
    assert part.problem.layout.untold == ("weights",)


def test_a_term_is_astray_by_what_its_linear_view_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two groups: the error in closed form, whose threshold is told by the noise."""
    plan = plan_fit(SPEC, draw_world(0).query("gpu in ('l4', 'a10')"))
    sound = sound_stage(plan, "prefill")
    regression = regress(sound.table, sound.anchor)
    moves = np.zeros((2, 4))
    assert find_astray(plan, regression, moves, 0.01) is None
    shares = [
        design[:, 1] * spread
        for design, spread in zip(regression.designs, regression.noise.spread, strict=True)
    ]
    moves[1, 1] = -9.0
    off = np.sqrt(np.mean((-9.0 * shares[1] - np.log(1 - shares[1] * (1 - np.exp(-9.0)))) ** 2))
    # However wide the noise is, a view may not be off by more than this; nor is less of any moment.
    assert find_astray(plan, regression, moves / 3.0, 10.0) == 1
    assert find_astray(plan, regression, moves / 20.0, 1e-6) is None
    for noise, found in ((off / 2.0 * 1.01, None), (off / 2.0 * 0.99, 1)):
        monkeypatch.setattr(astray, "_LEAST", 0.0)
        monkeypatch.setattr(astray, "_MOST", np.inf)
        assert find_astray(plan, regression, moves, noise) == found
    assert find_astray(plan, regression, moves, off / 4.0, untold=(1,)) is None
    moves[:] = 0.0
    moves[:, 0] = -9.0  # of the term that takes most of the time
    assert find_astray(plan, regression, moves, 0.001) is None
    assert 0 not in minor_terms(plan, regression)
