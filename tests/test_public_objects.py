"""What users hold: shown in a line, compared by identity where it holds arrays."""

from __future__ import annotations

import dataclasses
import pickle  # noqa: TID251  as workers get objects: nothing is pickled to a file
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.guard import Budget
from bayeslat.features.spec import load_spec
from bayeslat.posterior import Posterior, load_posterior
from tests.posteriors import make_configs, make_data, make_frame
from tests.public_objects import NAMES, public_objects

pytestmark = pytest.mark.xdist_group("small posterior")

MODELS = Path(__file__).resolve().parents[1] / "models"


def parts_of(value: object) -> Iterator[Any]:
    """Yield each dataclass in a value, itself included."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield value
        value = vars(value)
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        for each in value:
            yield from parts_of(each)


def holds_arrays(value: object) -> bool:
    """Tell whether what is compared of a value has an array or frame in it, however deep."""
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        value = tuple(getattr(value, each.name) for each in fields if each.compare)
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return any(map(holds_arrays, value))
    return isinstance(value, np.ndarray | pd.DataFrame)


@pytest.mark.parametrize("name", NAMES)
def test_every_object_is_shown_in_a_line_or_two(name: str) -> None:
    shown = repr(public_objects()[name])
    assert shown.startswith(f"<{name}")
    assert shown.endswith(">")
    assert len(shown.splitlines()) <= 3
    assert len(shown) < 400


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("PosteriorData", "<PosteriorData of small: prefill, decode; fitted .*; calibrated l40s>"),
        ("Spec", "<Spec of small: prefill, decode; knobs batch_size, context, output_tokens>"),
        ("Prediction", "<Prediction of l40s: 20 configs; prefill, decode; of run>"),
        ("Suggestion", r"<Suggestion of 3 from 20 of 20 candidates: expected MAPE .*% after>"),
        ("Transfer", r"<Transfer to l40s: trust; expected MAPE .*, threshold 10%>"),
        ("Drift", r"<Drift: no drift \(2 stages judged\)>"),
        ("StageDrift", r"<StageDrift of prefill of l40s: stable; p = .*, 20 rows>"),
        ("Compressed", "<Compressed of small: .*; 120 rows in 1 window: small.parquet>"),
        ("InferenceLatency", "<InferenceLatency, median of 2 .*: prefill 1.5 ms, total 1.5 ms>"),
    ],
)
def test_what_a_person_wants_to_know_is_shown(name: str, shown: str) -> None:
    assert re.fullmatch(shown, repr(public_objects()[name]))


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_specs_are_shown_in_a_line(path: Path) -> None:
    spec = load_spec(path)
    assert repr(spec) == str(spec)
    assert len(repr(spec)) < 400


def test_a_drift_says_its_verdict_in_a_sentence() -> None:
    drift: Any = public_objects()["Drift"]
    first, second = drift.stages
    moved = dataclasses.replace(first, stack="v1", verdict="drift")
    unknown = dataclasses.replace(second, verdict="not judged", reason="3 rows; give 8")
    found = dataclasses.replace(drift, stages=(moved, unknown))
    assert str(found) == "drift in prefill of l40s with v1 (1 stage judged, 1 not)"
    assert repr(unknown) == "<StageDrift of decode of l40s: not judged; 3 rows; give 8>"


def test_a_prediction_tells_its_stacks_and_what_was_not_measured() -> None:
    posterior, configs = Posterior(make_data(stacks=("v1", "v2"))), make_configs(2)
    known = posterior.predict(configs.assign(stack=["v1", "v2"]), "h100_sxm")
    assert repr(known) == "<Prediction of h100_sxm with v1, v2: 2 configs; prefill, decode; of run>"
    unseen = repr(posterior.predict(configs, "l40s", stack="v1"))
    assert unseen == "<Prediction of l40s with v1: 2 configs, zero-shot; prefill, decode; of run>"


@pytest.mark.parametrize("name", NAMES)
def test_what_holds_arrays_is_compared_by_identity(name: str) -> None:
    for part in parts_of(public_objects()[name]):
        kind: Any = type(part)
        assert not holds_arrays(part) or kind.__eq__ is object.__eq__, kind


@pytest.mark.parametrize("name", NAMES)
def test_objects_can_be_looked_for_and_be_keys(name: str) -> None:
    found = public_objects()[name]
    others = [each for each in public_objects().values() if each is not found]
    assert found in [*others, found]
    if name not in ("Spec", "HardwareTable", "Diagnostics", "Transfer"):  # values that are equal
        twin = dataclasses.replace(found)  # type: ignore[type-var]
        assert found != twin
        assert {found: 1, twin: 2}[found] == 1


def test_small_values_are_compared_by_what_they_hold() -> None:
    posterior, configs = Posterior(make_data()), make_configs(2)
    assert Budget(1.0, ("prefill",)) == Budget(1.0, ("prefill",))
    first, second = (posterior.predict(configs, "l40s").evidence for _ in range(2))
    assert first == second


def test_what_is_pickled_does_not_change_with_use(tmp_path: Path) -> None:
    Posterior(make_data()).save(tmp_path / "small.nc")
    posterior, configs = load_posterior(tmp_path / "small.nc"), make_configs(3)
    before = joblib.hash(posterior)
    frame = posterior.predict(configs, "l40s").frame
    posterior.suggest(configs, "h100_sxm", 1)
    posterior.calibrate(make_frame(5, ("l40s",), rows=3), "l40s")
    assert "names" in vars(posterior.data.stages["prefill"].basis)  # caches are filled
    assert "hash" in vars(posterior.spec)
    assert joblib.hash(posterior) == before
    copy = pickle.loads(pickle.dumps(posterior))
    assert "hash" not in vars(copy.spec)
    assert copy.spec == posterior.spec
    pd.testing.assert_frame_equal(copy.predict(configs, "l40s").frame, frame)
