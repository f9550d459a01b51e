"""What importers write is what the shipped specs read."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayeslat.features.spec import load_spec
from bayeslat.traces import read_traces
from bayeslat.traces.importers.convert import Settings, import_traces
from bayeslat.traces.importers.registry import find_importer
from tests.traces.importers.cases import write_case
from tests.traces.importers.workload import make_requests

MODELS = Path(__file__).parents[3] / "models"


@pytest.mark.parametrize(
    "name", ["vllm_bench", "guidellm", "aiperf", "inference_perf", "blis_trace"]
)
def test_requests_of_clients_have_the_knobs_of_models_requests(name: str, tmp_path: Path) -> None:
    spec = load_spec(MODELS / "requests.toml")
    path = write_case(name, tmp_path, make_requests(20))
    out = tmp_path / "o.parquet"
    import_traces(find_importer(name), [path], out, Settings(gpu="h100_sxm"))
    frame = read_traces(out)
    assert frame[list(spec.knobs)].notna().all(axis=None)
    for stage in spec.stages.values():
        assert frame[stage.column].notna().mean() > 0.5  # one token has no time after it


@pytest.mark.parametrize("name", ["vllm_logger", "blis_journey", "aiconfigurator"])
def test_steps_have_the_knobs_of_models_vllm(name: str) -> None:
    """Those that have a default would otherwise be taken for it."""
    spec = load_spec(MODELS / "vllm.toml")
    columns = {column.name for column in find_importer(name).columns}
    of_a_step = [knob for knob in spec.knobs if knob.startswith(("prefill_", "decode_"))]
    assert len(of_a_step) == 5
    assert set(of_a_step) <= columns
