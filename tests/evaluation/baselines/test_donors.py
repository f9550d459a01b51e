from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bayeslat.errors import HardwareError, InputError
from bayeslat.evaluation.baselines import Donors
from bayeslat.evaluation.baselines.source_models import LEARNERS, validation_error
from bayeslat.features.hardware import load_hardware
from tests.evaluation.baselines.problem import SPEC, make_donors, shared_donors

pytestmark = pytest.mark.xdist_group("baselines")


def test_the_source_may_be_named_by_an_alias() -> None:
    donors = make_donors()
    aliased = donors.traces.assign(gpu=donors.traces["gpu"].replace("h100_sxm", "H100-SXM"))
    assert set(replace(donors, traces=aliased, source="h100 sxm").rows["gpu"]) == {
        "a100_sxm",
        "h100_sxm",
    }


def test_a_source_without_rows_is_refused() -> None:
    with pytest.raises(InputError, match=r"source GPU 'l40s' has no rows; .* a100_sxm, h100_sxm"):
        replace(make_donors(), source="l40s")
    with pytest.raises(HardwareError):
        replace(make_donors(), source="nonesuch")


def test_too_few_rows_of_a_stage_are_counted() -> None:
    donors = make_donors()
    traces = donors.traces.copy()
    source = traces.index[traces["gpu"] == "h100_sxm"]
    traces.loc[source[4:], "t_decode_ms"] = np.nan
    with pytest.raises(InputError, match=r"of 60 rows of h100_sxm, stage 'decode' is in 4; .* 10"):
        Donors(SPEC, traces, "h100_sxm", load_hardware()).source_model("linear")


def test_the_best_source_model_errs_least_on_configs_held_out() -> None:
    donors = shared_donors()
    stages = list(SPEC.stages)
    observed = donors._observed(stages)
    errors = {
        name: validation_error(LEARNERS[name], observed, donors.features, SPEC, seed=donors.seed)
        for name in ("linear", "polynomial", "neural")
    }
    best = min(errors, key=errors.__getitem__)
    note = donors.source_model().note
    assert note.startswith(f"source model {best}, validation MAPE of a stage {errors[best]:.1%}")
    assert donors.source_model().models is donors.source_model(best).models
    # What is additive is no power law.
    assert errors["linear"] > 3 * errors["polynomial"]


def test_a_source_model_is_fitted_once() -> None:
    donors = make_donors()
    assert donors.source_model("linear") is donors.source_model("linear")


def test_an_unknown_source_model_is_named() -> None:
    with pytest.raises(InputError, match=r"no source model 'cubic'; there are linear, polynomial"):
        make_donors().source_model("cubic")
