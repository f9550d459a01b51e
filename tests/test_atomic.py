"""A folder is replaced whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayeslat.atomic import atomic_folder, atomic_path
from bayeslat.errors import InputError


def write(path: Path | str, content: str) -> None:
    with atomic_folder(path, mark="mark") as fresh:
        (fresh / "mark").write_text(content)


def test_a_folder_of_the_same_kind_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "out"
    write(folder, "one")
    (folder / "more").touch()
    write(folder, "two")
    assert [file.name for file in folder.iterdir()] == ["mark"]
    assert (folder / "mark").read_text() == "two"
    assert [each.name for each in folder.parent.iterdir()] == ["out"]


def test_what_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", "one")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "mark").read_text() == "one"


def test_an_error_leaves_it_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "out", "one")
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "out", "mark") as fresh:
        (fresh / "mark").write_text(str(1 / 0))
    assert (tmp_path / "out" / "mark").read_text() == "one"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_replaced_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="file: is a file; name a folder"):
        write("file", "")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "other").touch()
    with pytest.raises(InputError, match="full: holds other files"):
        write("full", "")
    monkeypatch.chdir(tmp_path / "full")
    (tmp_path / "full" / "mark").touch()
    for here in (".", "..", tmp_path):
        (tmp_path / "mark").touch()
        with pytest.raises(InputError, match="is the folder that this runs in, or above it"):
            write(here, "")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with (
        pytest.raises(InputError, match="out: is a folder; name a file"),
        atomic_path(tmp_path / "out"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
