from __future__ import annotations

from pathlib import Path

import pytest

from bayeslat.traces.sources import find_files, set_aside_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with tables, other files and hidden ones."""
    names = ["b.csv", "a.parquet", "sub/c.JSONL", ".hidden.csv", ".cache/d.csv", "README.md"]
    for name in [*names, "a.csv.meta.json", "[1].csv"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def _names(folder: Path, *sources: str | Path | list[str]) -> list[str]:
    """Return what the sources name, relative to the folder."""
    files, violations = find_files(sources)
    assert violations == ()
    return [str(file.relative_to(folder)) for file in files]


def test_folder_gives_its_tables_sorted(folder: Path) -> None:
    assert _names(folder, folder) == ["[1].csv", "a.parquet", "b.csv", "sub/c.JSONL"]


def test_globs(folder: Path) -> None:
    assert _names(folder, f"{folder}/*.csv") == ["[1].csv", "b.csv"]
    assert _names(folder, f"{folder}/*") == ["[1].csv", "a.parquet", "b.csv", "sub/c.JSONL"]
    assert _names(folder, f"{folder}/**/*.[Jj]*") == ["sub/c.JSONL"]


def test_relative_globs_and_folders(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert list(map(str, find_files(["*.csv", "sub"])[0])) == ["[1].csv", "b.csv", "sub/c.JSONL"]


def test_existing_file_is_not_taken_for_a_glob(folder: Path) -> None:
    assert _names(folder, folder / "[1].csv") == ["[1].csv"]


def test_order_of_the_sources_is_kept_and_a_file_is_read_once(folder: Path) -> None:
    sources = [str(folder / "sub/c.JSONL"), str(folder / "b.csv")]
    expected = ["sub/c.JSONL", "b.csv", "[1].csv", "a.parquet"]
    assert _names(folder, sources, folder, folder / "sub/../b.csv") == expected


def test_rows_that_were_set_aside_are_read_where_they_are_named(folder: Path) -> None:
    aside = set_aside_path(folder / "a.nc")
    assert aside == folder / "a.dropped.parquet"
    aside.touch()
    tables = ["[1].csv", "a.parquet", "b.csv", "sub/c.JSONL"]
    assert _names(folder, folder) == _names(folder, f"{folder}/*") == tables
    assert _names(folder, aside) == ["a.dropped.parquet"]


def test_rows_set_aside_lie_beside_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "sub")
    beside = folder / "sub.dropped.parquet"
    assert set_aside_path(Path()) == set_aside_path(folder / "sub") == beside
    assert set_aside_path(Path("..")) == folder.with_name(f"{folder.name}.dropped.parquet")
