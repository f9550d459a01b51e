"""Which files are imported: none is left out without a word."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bayeslat.errors import TraceError
from bayeslat.traces.importers.find import find_importable
from bayeslat.traces.importers.registry import FORMATS, find_importer
from tests.traces.importers.cases import write_case
from tests.traces.importers.workload import make_requests


def packed(path: Path) -> Path:
    """A compressed copy of a file, beside it."""
    copy = path.with_name(path.name + ".gz")
    copy.write_bytes(gzip.compress(path.read_bytes()))
    return copy


@pytest.mark.parametrize("name", FORMATS)
def test_a_compressed_file_is_told_by_what_it_is(name: str, tmp_path: Path) -> None:
    importer = find_importer(name)
    copy = packed(write_case(name, tmp_path, make_requests(5)))
    with pytest.raises(TraceError, match=r"\.gz: is compressed \(gzip\).*unpack it first"):
        find_importable(importer, [copy])


def test_a_compressed_file_of_a_folder_is_not_left_out(tmp_path: Path) -> None:
    importer = find_importer("vllm_bench")
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        write_case("vllm_bench", tmp_path / run, make_requests(5))
    (file,) = (tmp_path / "two").iterdir()
    copy = packed(file)
    assert len(find_importable(importer, [tmp_path])) == 2  # what it holds is there
    file.unlink()
    with pytest.raises(TraceError, match="would be left out") as error:
        find_importable(importer, [tmp_path])
    assert [violation.file for violation in error.value.violations] == [str(copy)]


def test_other_compressed_files_do_not_matter(tmp_path: Path) -> None:
    write_case("aiperf", tmp_path, make_requests(5))
    (tmp_path / "logs.gz").write_bytes(gzip.compress(b"other"))
    assert len(find_importable(find_importer("aiperf"), [tmp_path])) == 1


def test_hidden_copies_are_not_imported(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / ".ipynb_checkpoints", tmp_path / "plots"):
        folder.mkdir(exist_ok=True)
        write_case("vllm_bench", folder, make_requests(5))
    (tmp_path / "plots" / "notes.txt").touch()
    importer = find_importer("vllm_bench")
    own = {file.parent.name for file in find_importable(importer, [tmp_path])}
    assert own == {tmp_path.name, "plots"}
    assert find_importable(importer, [f"{tmp_path}/*"]) == find_importable(importer, [tmp_path])
