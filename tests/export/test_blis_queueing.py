"""The queueing delay at one point, as predictions have it, and the same numbers from Go."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from bayeslat.decisions.predict_stage import predict_stage
from bayeslat.export.blis import make_blis, write_blis
from bayeslat.export.blis_export import BlisExport
from bayeslat.export.blis_queueing import QueueingPoint
from bayeslat.export.blis_queueing_files import queueing_json, queueing_vectors
from bayeslat.export.blis_queueing_stage import QUEUEING, STATE, why_left_out
from bayeslat.features.gpu import Gpu
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import load_spec
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.report.blis_tables import blis_record, show_blis
from tests.go_programs import go_test, needs_go
from tests.servers import SPEC_FILE, fitted_server, make_trace

GPU = load_hardware().resolve("h100_sxm")
MODEL, STACK = "qwen3", "vllm_1/qwen3"
QUEUE = (
    "queueing.go",
    "queueing_test.go",
    "student_t.go",
    "queueing.json",
    "queueing_vectors.json",
)


def export_of(data: PosteriorData, gpu: Gpu = GPU, tp: int = 1) -> BlisExport:
    return make_blis(data, gpu, MODEL, tensor_parallel=tp)


@lru_cache(maxsize=4)
def point_at(tp: int = 1) -> QueueingPoint:
    point = export_of(fitted_server().data, tp=tp).queueing
    assert point is not None
    return point


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Go keeps its own packages, once built."""
    return tmp_path_factory.mktemp("home")


def with_stage(**changes: object) -> PosteriorData:
    """The fit, with something else in the posterior of the queueing stage."""
    data = fitted_server().data
    part = replace(data.stages[QUEUEING], **changes)  # type: ignore[arg-type]
    return replace(data, stages={**data.stages, QUEUEING: part})


def stood_still(kv_usage: float) -> PosteriorData:
    """The fit, had a feature no training range: beyond a single value, its sign counts."""
    basis = fitted_server().data.stages[QUEUEING].basis
    low, high = basis.low.copy(), basis.high.copy()
    low[1] = high[1] = kv_usage
    return with_stage(basis=replace(basis, low=low, high=high))


def with_spec(old: str, new: str, folder: Path) -> PosteriorData:
    """The fit, of a spec that says something else."""
    text, path = SPEC_FILE.read_text(), folder / "other.toml"
    assert old in text
    path.write_text(text.replace(old, new))
    return replace(fitted_server().data, spec=load_spec(path))


def test_the_point_is_the_prediction_of_a_posterior_with_that_draw_alone() -> None:
    """Within the range and beyond it, where a prediction departs from what it holds at the edge."""
    point = point_at()
    data, stage = point.data, point.part
    assert stage.hurdle is not None
    group = data.groups.index((GPU.key, STACK))
    node = stage.problem.tree.node_of(group)
    effects = stage.effects.mean(axis=0, keepdims=True)
    hurdle = replace(stage.hurdle, effects=stage.hurdle.effects.mean(axis=0, keepdims=True))
    scales = stage.scales.mean(axis=0, keepdims=True)
    part = replace(stage, effects=effects, hurdle=hurdle, scales=scales)
    single = replace(data, stages={**data.stages, QUEUEING: part})
    states = point.states(400, seed=1)
    configs = point.data.spec.complete(states.assign(**point.knobs))
    told = predict_stage(single, QUEUEING, configs, GPU, stack=STACK, of="run", seed=0)
    assert told.hurdle is not None
    found = point.delay(states)
    inside = ~told.excess.any(axis=1) & (told.hurdle.chance[:, 0] > 0.05)
    assert inside.sum() > 30
    np.testing.assert_allclose(found.chance, told.hurdle.chance[:, 0], rtol=1e-9)
    np.testing.assert_allclose(found.typical_ms[inside], told.typical_ms[inside, 0], rtol=1e-9)
    np.testing.assert_allclose(found.delay_ms[inside], told.median_ms[inside, 0], rtol=1e-6)
    assert (found.delay_ms > 1).any()
    assert (found.delay_ms < 1).any()
    assert node != len(stage.effects[0]) - 1  # not what all groups share


def test_the_point_is_near_the_median_prediction() -> None:
    point = point_at()
    trace = make_trace(100, seed=2)
    states = trace.loc[trace["prompt_tokens"] > 0, list(STATE)].reset_index(drop=True)
    configs = point.data.spec.complete(states.assign(**point.knobs))
    told = predict_stage(point.data, QUEUEING, configs, GPU, stack=STACK, of="run", seed=0)
    assert told.hurdle is not None
    found, chance = point.delay(states), told.hurdle.chance.mean(axis=1)
    sure = ~told.excess.any(axis=1) & (chance > 0.8)
    assert sure.sum() > 100
    median_ms = np.median(told.run_ms, axis=1)
    np.testing.assert_allclose(found.delay_ms[sure], median_ms[sure], rtol=0.1)
    assert np.abs(found.chance - chance).mean() < 0.02


def test_the_factors_of_a_server_times_the_state_are_the_physics() -> None:
    point = point_at(2)
    unit_ms, held_unit_ms = point.units_ms()
    states = point.states(50, seed=3)
    tokens = states["waiting_prompt_tokens"] + states["prefill_tokens"]
    counts = np.column_stack([tokens, states["waiting"] + 1, states["kv_usage"], np.ones(50)])
    np.testing.assert_allclose(point.delay(states).terms_ms, counts * unit_ms, rtol=1e-12)
    alone = point_at(1).units_ms()[0]
    np.testing.assert_allclose(unit_ms[:3], alone[:3] / 2)
    np.testing.assert_allclose(held_unit_ms, alone)  # no server was on two GPUs


@needs_go
@pytest.mark.parametrize(
    ("changes", "gpu", "tp"),
    [
        ({}, "h100_sxm", 1),
        ({"noise_dof": 3.0}, "l40s", 2),
        ({"noise_dof": np.inf}, "a100_sxm", 1),
        ({"kv_usage": 0.3}, "h100_sxm", 1),
    ],
)
def test_go_computes_the_same_delays(
    changes: dict[str, float], gpu: str, tp: int, tmp_path: Path, home: Path
) -> None:
    data = stood_still(**changes) if "kv_usage" in changes else with_stage(**changes)
    export = export_of(data, load_hardware().resolve(gpu), tp)
    write_blis(export, tmp_path / "out")
    folder = tmp_path / "out" / "go"
    vectors = json.loads((folder / "queueing_vectors.json").read_text())
    assert 0.2 < np.mean([each["chance"] > 0.5 for each in vectors]) < 0.8
    done = go_test(folder, home)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_go
@pytest.mark.parametrize(
    "place",
    [
        ("hurdle", "coefficients", 3),
        ("physics", "coefficients", 1),
        ("physics", "unit_ms", 0),
        ("residual", "held_unit_ms", 1),
        ("residual", "coefficients", 16),
        ("noise", "coefficients", 0),
    ],
)
def test_go_tells_other_coefficients(
    place: tuple[str, str, int], tmp_path: Path, home: Path
) -> None:
    """The broken twins: a number that is off by a millionth."""
    write_blis(export_of(fitted_server().data), tmp_path / "out")
    folder = tmp_path / "out" / "go"
    content = json.loads((folder / "queueing.json").read_text())
    level, name, at = place
    content[level][name][at] += 1e-6 * max(1.0, abs(content[level][name][at]))
    (folder / "queueing.json").write_text(json.dumps(content))
    done = go_test(folder, home)
    assert done.returncode == 1
    assert "TestQueueing" in done.stdout


def test_the_files_hold_numbers_of_each_level() -> None:
    told, (first, *_) = queueing_json(point_at()), queueing_vectors(point_at())
    assert list(told) == ["server", "hurdle", "physics", "residual", "noise"]
    assert told["server"]["kv_blocks"] == 20000
    assert set(first["state"]) == set(told["residual"]["state"]) == set(STATE)
    assert len(told["hurdle"]["coefficients"]) == len(first["hurdle"]) == 7
    assert len(told["physics"]["coefficients"]) == len(first["terms_ms"]) == 4
    assert len(told["residual"]["coefficients"]) == len(first["residual"]) == 4 + 4 + 14
    json.dumps([told, first], allow_nan=False)


def test_the_stage_is_that_of_the_shipped_spec() -> None:
    data = replace(fitted_server().data, spec=load_spec(SPEC_FILE))
    assert why_left_out(data, point_at().knobs) == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kv_usage * weights_ms", "kv_usage ** 2 * weights_ms"),
        ('"running / max_num_seqs"', '"running"'),
        ('"log(1 + prompt_tokens)"]', '"sqrt(prompt_tokens)"]'),
        ('/ (tensor_parallel * mem_bw_GBps * 1e6)"\n\n# Beta', '* (1 + waiting)"\n\n# Beta'),
    ],
)
def test_another_stage_is_left_out_and_told(
    old: str, new: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other terms, features, or quantities that hold something of the state."""
    export = export_of(with_spec(old, new, tmp_path))
    write_blis(export, tmp_path / "out")
    found = {path.name for path in (tmp_path / "out" / "go").iterdir()}
    assert found == {"go.mod", "steptime.go", "steptime_test.go", "vectors.json"}
    show_blis(blis_record(export, tmp_path))
    told = " ".join(capsys.readouterr().out.split())
    assert "No queueing delay in go/: its stage is not that of models/vllm.toml" in told


def test_a_server_whose_cache_is_not_known_is_left_out_and_told() -> None:
    record = blis_record(export_of(fitted_server().data, load_hardware().resolve("t4")), Path())
    assert record["queueing"] is False
    assert record["queueing_left_out"] == "the traces have no one value of kv_blocks"


def test_a_delay_that_depends_on_the_task_is_left_out() -> None:
    basis = fitted_server().data.stages[QUEUEING].basis
    data = with_stage(basis=replace(basis, tasks=("caption", "chat")))
    assert why_left_out(data, point_at().knobs) == "it depends on the task of a request"


def test_a_fit_without_the_stage_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = fitted_server().data
    spec = data.spec.only(["step"])
    export = export_of(replace(data, spec=spec, stages={"step": data.stages["step"]}))
    write_blis(export, tmp_path / "out")
    assert not any((tmp_path / "out" / "go" / name).exists() for name in QUEUE)
    show_blis(blis_record(export, tmp_path))
    assert "queueing" not in capsys.readouterr().out


def test_the_files_stand_beside_the_step_time(tmp_path: Path) -> None:
    write_blis(export_of(fitted_server().data), tmp_path / "out")
    assert all((tmp_path / "out" / "go" / name).exists() for name in QUEUE)
