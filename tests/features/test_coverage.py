"""Which knobs' range the residual features tell: those that a feature follows without an end."""

from __future__ import annotations

import pytest

from bayeslat.features.coverage import covered_knobs
from bayeslat.features.design import coordinates, counting_knobs
from bayeslat.features.spec import Spec

TEXT = """
name = "any"
knobs = ["tokens", "batch", "beams", "prompt", "output"]

[quantities]
rows = "batch * tokens"
flops_ms = "rows / peak_tflops"
bytes_ms = "tokens / mem_bw_GBps"

[stages.step]
times = "output"
[stages.step.physics]
compute = "(rows + beams + prompt) / peak_tflops"
fixed = "1"
[stages.step.residual]
features = [FEATURES]
degree = 1
"""


def spec(*features: str) -> Spec:
    return Spec.from_text(TEXT.replace("FEATURES", ", ".join(f'"{each}"' for each in features)))


@pytest.mark.parametrize(
    ("features", "covered"),
    [
        (["log(tokens)"], {"tokens"}),
        (["log(rows)"], {"tokens", "batch"}),
        (["log(1 + tokens + prompt)", "batch ** 2"], {"tokens", "prompt", "batch"}),
        (["exp(tokens)", "sqrt(batch)", "-beams"], {"tokens", "batch", "beams"}),
        (["minimum(tokens, 8)"], set()),
        (["tokens / (tokens + 1)"], set()),
        (["where(tokens > 3, 1, 0)", "log(tokens)"], {"tokens"}),
        (["log(prompt / output)"], set()),
        (["log(prompt / output)", "log(prompt)"], {"prompt", "output"}),
        (["log(maximum(flops_ms, bytes_ms) / (flops_ms + bytes_ms))"], set()),
        (["log(maximum(flops_ms, bytes_ms) / (flops_ms + bytes_ms))", "log(rows)"],
         {"tokens", "batch"}),
        (["minimum(tokens, 8) * batch"], {"batch"}),
    ],
)  # fmt: skip
def test_a_knob_is_covered_that_no_feature_loses(features: list[str], covered: set[str]) -> None:
    assert covered_knobs(spec(*features), "step") == covered


def test_knobs_that_a_feature_hides_are_watched_by_themselves() -> None:
    assert coordinates(spec("log(rows)", "log(beams)"), "step")[2:] == ("prompt",)
    assert coordinates(spec("minimum(rows, 8)"), "step")[1:] == (
        *("tokens", "batch", "beams", "prompt"),
    )


def test_a_knob_of_times_that_a_feature_hides_counts_by_its_range() -> None:
    assert counting_knobs(spec("log(tokens)"), "step") == ("output",)
    assert counting_knobs(spec("log(output)"), "step") == ()
    assert counting_knobs(spec("minimum(output, 8)"), "step") == ("output",)


def test_a_stage_without_features_covers_nothing() -> None:
    text = TEXT.replace("[stages.step.residual]\nfeatures = [FEATURES]\ndegree = 1\n", "")
    assert covered_knobs(Spec.from_text(text), "step") == frozenset()
