"""The search for tiles: found where kernels round up, at their size and in their term alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from bayeslat.evaluation.missing_features import MissingFeature, find_missing_features
from bayeslat.evaluation.missing_features.tiles import Tile, list_tiles
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.rows.plan import plan_fit
from bayeslat.model.simulate import draw_parameters, simulate

pytestmark = pytest.mark.xdist_group("missing features")

GPUS = ("a100_sxm", "h100_sxm", "l40s")
TEXT = """
name = "gemm"
knobs = ["tokens", "task_share"]

[architecture]
weights = 1e8

[quantities]
rows = "tokens"

[stages.gemm]
[stages.gemm.physics]
compute = "2 * tokens * weights / (bf16_tflops * 1e9)"
memory = "2 * weights / (mem_bw_GBps * 1e6)"
launch = "0.01"
[stages.gemm.residual]
features = ["log(tokens)"]
degree = 2
"""


def configs() -> pd.DataFrame:
    tokens = [*range(8, 129, 8), *range(160, 2049, 48)]
    return pd.DataFrame({"tokens": tokens, "task_share": 0.5})


@lru_cache(maxsize=2)
def found(size: int) -> tuple[MissingFeature, ...]:
    """Simulate kernels that round up to a size, and search in the spec without it."""
    smooth = Spec.from_text(TEXT)
    truth = Tile("compute", "tokens", size).applied(smooth, "gemm") if size else smooth
    parameters = draw_parameters(truth, GPUS, configs=configs(), seed=1)
    frame = simulate(truth, configs(), GPUS, parameters=parameters, seed=1)
    data = fit_posterior(smooth, frame, engine="laplace")
    return find_missing_features(data, frame, hardware=load_hardware())


@pytest.mark.parametrize("size", [128, 256])
def test_the_size_of_the_tiles_comes_first(size: int) -> None:
    best = found(size)[0]
    assert (best.kind, best.term, best.name) == ("tile", "compute", "tokens")
    assert best.expression == f"ceil(tokens / {size}) * {size}"
    assert best.sure
    assert best.error_after < 0.8 * best.error_before


def test_none_is_found_where_nothing_is_rounded() -> None:
    tiles = [each for each in found(0) if each.kind == "tile"]
    assert {each.expression for each in tiles} == {
        f"ceil(tokens / {size}) * {size}" for size in (16, 32, 64, 128, 256)
    }
    assert not any(each.sure for each in tiles)


def test_gross_errors_of_the_fit_are_left_out() -> None:
    smooth = Spec.from_text(TEXT)
    truth = Tile("compute", "tokens", 256).applied(smooth, "gemm")
    parameters = draw_parameters(truth, GPUS, configs=configs(), seed=1)
    frame = simulate(truth, configs(), GPUS, parameters=parameters, seed=1)
    frame["t_gemm_ms"] *= np.where(frame.index == 30, 100.0, 1.0)
    data = fit_posterior(smooth, frame, engine="laplace")
    assert [each.row for each in data.set_aside] == [31]
    best = find_missing_features(data, frame, hardware=load_hardware())[0]
    assert best.expression == "ceil(tokens / 256) * 256"


def test_the_name_alone_is_replaced() -> None:
    text = TEXT.replace(
        '"2 * tokens * weights / (bf16_tflops * 1e9)"',
        """'2 * tokens * (weights + task_share * tokens) * where(task == "tokens", 1, 2)"""
        """ / (bf16_tflops * 1e9)'""",
    )
    spec = Tile("compute", "tokens", 64).applied(Spec.from_text(text), "gemm")
    assert spec.stages["gemm"].physics["compute"].expression.text == (
        "2 * (ceil(tokens / 64) * 64) * (weights + task_share * (ceil(tokens / 64) * 64))"
        ' * where(task == "tokens", 1, 2) / (bf16_tflops * 1e9)'
    )
    assert "ceil" not in spec.stages["gemm"].physics["memory"].expression.text


def tiles_of(text: str, frame: pd.DataFrame) -> set[tuple[str, int]]:
    rows = frame.assign(gpu="l40s", t_gemm_ms=10.0)
    plan = plan_fit(Spec.from_text(text), rows)
    return {(each.name, each.size) for each in list_tiles(plan, "gemm", np.arange(len(rows)))}


FEW = pd.DataFrame({"tokens": [32, 64, 96, 160, 192, 224, 288, 416], "task_share": 0.5})
OF_TOKENS = {("tokens", 64), ("tokens", 128), ("tokens", 256)}


def test_whole_numbers_that_leave_a_remainder_are_candidates() -> None:
    assert tiles_of(TEXT, FEW) == OF_TOKENS
    assert tiles_of(TEXT, FEW.assign(tokens=FEW["tokens"] + 0.5)) == set()
    shares = np.linspace(0.1, 0.8, 8)
    assert tiles_of(TEXT, FEW.assign(tokens=300, task_share=shares)) == set()
    of_quantity = TEXT.replace("2 * tokens *", "2 * rows *")
    assert tiles_of(of_quantity, FEW) == {("rows", size) for _, size in OF_TOKENS}
    rounded = TEXT.replace("2 * tokens *", "2 * ceil(tokens / 64) * 64 *")
    assert tiles_of(rounded, FEW) == set()


def test_what_hardly_moves_is_no_candidate() -> None:
    assert tiles_of(TEXT, FEW.head(7)) == set()  # as of layers, or heads
    same = pd.concat([FEW, *(100 * [FEW.tail(1)])], ignore_index=True)
    assert tiles_of(TEXT, same.assign(repeat=same.index)) == set()
    assert tiles_of(TEXT, FEW.assign(tokens=FEW["tokens"] // 32)) == set()  # never a tile


PRODUCT = TEXT.replace('rows = "tokens"', 'rows = "tokens"\nmacs = "rows * weights"').replace(
    "2 * tokens * weights", "2 * macs"
)
"""All operations in one quantity, of which no tile rounds anything."""


def test_sizes_are_sought_through_quantities_that_are_none() -> None:
    assert tiles_of(PRODUCT, FEW) == {("rows", size) for _, size in OF_TOKENS}
    direct = PRODUCT.replace("rows * weights", "tokens * weights")
    assert tiles_of(direct, FEW) == OF_TOKENS
    halves = direct.replace('rows = "tokens"', 'rows = "tokens + task_share"').replace(
        "2 * macs", "2 * rows"
    )
    assert tiles_of(halves, FEW) == OF_TOKENS


def test_a_tile_of_one_knob_leaves_those_of_others() -> None:
    both = FEW.assign(width=FEW["tokens"] + 1)
    text = TEXT.replace('"task_share"]', '"task_share", "width"]')
    assert tiles_of(text.replace("2 * tokens", "2 * width * tokens"), both) > OF_TOKENS
    rounded = text.replace("2 * tokens", "2 * ceil(width / 64) * 64 * tokens")
    assert tiles_of(rounded, both) == OF_TOKENS
    in_quantity = text.replace('rows = "tokens"', 'rows = "ceil(width / 64) * 64 * tokens"')
    assert tiles_of(in_quantity.replace("2 * tokens", "2 * rows"), both) == OF_TOKENS


def test_a_formula_writes_out_the_quantities_that_lead_to_the_size() -> None:
    spec = Spec.from_text(PRODUCT)
    written = Tile("compute", "rows", 64).applied(spec, "gemm").stages["gemm"].physics["compute"]
    assert written.expression.text == (
        "2 * ((ceil(rows / 64) * 64) * weights) / (bf16_tflops * 1e9)"
    )
    deeper = Tile("compute", "tokens", 64).formula(spec, "gemm")
    assert deeper == "2 * (((ceil(tokens / 64) * 64)) * weights) / (bf16_tflops * 1e9)"


def test_a_size_within_a_quantity_gains_what_it_does_in_the_term() -> None:
    truth = Tile("compute", "tokens", 256).applied(Spec.from_text(TEXT), "gemm")
    parameters = draw_parameters(truth, GPUS, configs=configs(), seed=1)
    frame = simulate(truth, configs(), GPUS, parameters=parameters, seed=1)
    product = Spec.from_text(PRODUCT.replace("rows * weights", "tokens * weights"))
    data = fit_posterior(product, frame, engine="laplace")
    best = find_missing_features(data, frame, hardware=load_hardware())[0]
    assert (best.name, best.expression) == ("tokens", "ceil(tokens / 256) * 256")
    assert best.formula == "2 * ((ceil(tokens / 256) * 256) * weights) / (bf16_tflops * 1e9)"
    assert best.gain == pytest.approx(found(256)[0].gain, rel=1e-6)
