"""What the user sets for all rows: of the type of its column, and nothing that the files know."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayeslat.errors import InputError
from bayeslat.traces.importers.convert import Settings, import_traces
from bayeslat.traces.importers.registry import find_importer
from bayeslat.traces.importers.settings import parse_constants
from tests.traces.importers.cases import write_case
from tests.traces.importers.workload import make_requests


def test_values_have_the_type_of_their_column_or_of_their_text() -> None:
    assert parse_constants(
        ["tensor_parallel=2", "kv_usage=1", "note=night", "own=3", "part=.5"]
    ) == {
        **{"tensor_parallel": 2, "kv_usage": 1.0, "note": "night", "own": 3, "part": 0.5},
    }
    assert parse_constants(["tensor_parallel=2.0"]) == {"tensor_parallel": 2}


@pytest.mark.parametrize(
    "text",
    [
        *("tensor_parallel=2.5", "tensor_parallel=-3", "tensor_parallel=two"),
        *("tensor_parallel=nan", "kv_usage=nan", "kv_usage=inf", "own=nan", "own=-inf"),
    ],
)
def test_a_value_that_no_column_takes_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=text):
        parse_constants([text])


def test_all_that_is_wrong_is_told() -> None:
    with pytest.raises(InputError, match=r"tensor_parallel=2\.5.*kv_usage=nan.*'x'"):
        parse_constants(["tensor_parallel=2.5", "kv_usage=nan", "x"])


def test_a_number_that_is_too_large_for_a_file_is_one_of_floating_point() -> None:
    assert parse_constants(["own=99999999999999999999"]) == {"own": 1e20}


@pytest.mark.parametrize("name", ["in_flight", "arrived_s", "run", "prompt_tokens"])
def test_what_the_rows_tell_is_not_set(tmp_path: Path, name: str) -> None:
    file = write_case("vllm_bench", tmp_path, make_requests(6))
    settings = Settings(gpu="h100_sxm", constants={name: "x" if name == "run" else 3})
    with pytest.raises(InputError, match=f"the rows say {name} themselves"):
        import_traces(find_importer("vllm_bench"), [file], tmp_path / "o.parquet", settings)
    assert not (tmp_path / "o.parquet").exists()
