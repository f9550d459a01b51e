from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from bayeslat.errors import SpecError
from bayeslat.features.terms import DEFAULT_PRIORS, HARDWARE_FIELDS, KindPrior, TermKind, infer_kind


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ({"batch_size"}, TermKind.launch),
        (set(), TermKind.launch),
        ({"boost_GHz", "num_sm"}, TermKind.launch),
        ({"bf16_tflops", "batch_size"}, TermKind.flops),
        ({"fp8_tflops", "l2_MB"}, TermKind.flops),
        ({"fp32_tflops", "fp16_tflops"}, TermKind.flops),
        ({"mem_bw_GBps"}, TermKind.bytes),
        ({"mem_bw_GBps", "l2_MB", "boost_GHz"}, TermKind.bytes),
        ({"l2_MB"}, TermKind.cache),
        ({"l2_MB", "boost_GHz"}, TermKind.cache),
        ({"my_tflops"}, TermKind.launch),
    ],
)
def test_the_kind_follows_the_peak(names: set[str], kind: TermKind) -> None:
    assert infer_kind(names) is kind


def test_every_arithmetic_peak_gives_flops() -> None:
    peaks = [field for field in HARDWARE_FIELDS if field.endswith("_tflops")]
    assert {"fp32_tflops", "bf16_tflops", "fp16_tflops", "fp8_tflops", "fp4_tflops"} <= set(peaks)
    assert {infer_kind({peak}) for peak in peaks} == {TermKind.flops}


def test_two_kinds_of_peak_ask_for_a_kind() -> None:
    with pytest.raises(SpecError, match=r"'bf16_tflops' and 'mem_bw_GBps'.*kind = \"flops\""):
        infer_kind({"bf16_tflops", "mem_bw_GBps"})


def test_every_kind_has_a_prior_in_plausible_field_terms() -> None:
    assert set(DEFAULT_PRIORS) == set(TermKind)
    flops, memory = DEFAULT_PRIORS[TermKind.flops], DEFAULT_PRIORS[TermKind.bytes]
    # Shares of the data-sheet peak that 95 % of the prior covers.
    low, high = (
        1 / (flops.slowdown * math.exp(sign * 1.96 * flops.slowdown_log_sd)) for sign in (1, -1)
    )
    assert 0.35 < low < 0.45
    assert 1.0 < high < 1.15
    assert 1 / memory.slowdown == pytest.approx(0.8)
    vague = {TermKind.launch, TermKind.cache, TermKind.per_sequence}
    assert all(DEFAULT_PRIORS[kind].offset_scale > flops.offset_scale for kind in vague)


def test_the_defaults_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        DEFAULT_PRIORS[TermKind.launch] = DEFAULT_PRIORS[TermKind.flops]  # type: ignore[index]
    with pytest.raises(ValidationError):
        DEFAULT_PRIORS[TermKind.launch].slowdown = 2.0  # type: ignore[misc]


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan, True, "1"])
@pytest.mark.parametrize("field", list(KindPrior.model_fields))
def test_a_prior_is_positive_and_finite(field: str, value: object) -> None:
    good = DEFAULT_PRIORS[TermKind.flops].model_dump()
    with pytest.raises(ValidationError):
        KindPrior.model_validate({**good, field: value})


def test_the_page_on_specs_tells_the_defaults() -> None:
    page = (Path(__file__).parents[2] / "models" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", page, re.M
    )
    told = {
        kind: dict(zip(KindPrior.model_fields, map(float, row), strict=True)) for kind, *row in rows
    }
    assert told == {kind.value: prior.model_dump() for kind, prior in DEFAULT_PRIORS.items()}
