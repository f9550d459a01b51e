"""Copies of files count once, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayeslat.traces.importers import copies
from bayeslat.traces.importers.copies import without_copies


def write(folder: Path, **contents: bytes) -> list[Path]:
    paths = [folder / name for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        path.write_bytes(content)
    return paths


def test_the_first_of_copies_stays(tmp_path: Path) -> None:
    files = write(tmp_path, a=b"one", b=b"two", c=b"one", d=b"longer", e=b"two")
    assert without_copies(files) == [tmp_path / name for name in "abd"]


def test_files_of_other_sizes_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write(tmp_path, a=b"1", b=b"22", c=b"333")
    monkeypatch.setattr(copies, "_digest", None)
    assert without_copies(files) == files


def test_files_that_are_empty_or_cannot_be_opened_are_told_by_who_reads_them(
    tmp_path: Path,
) -> None:
    files = [*write(tmp_path, a=b"", b=b""), tmp_path / "gone", tmp_path / "gone, too"]
    assert without_copies(files) == files
