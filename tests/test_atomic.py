"""A folder is replaced whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayeslat.atomic import atomic_files, atomic_folder, atomic_path
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


NAMES = ("page", "figures/a_*", "data")


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def write_files(folder: Path, *names: str) -> None:
    with atomic_files(folder, NAMES) as fresh:
        for name in names:
            (fresh / name).parent.mkdir(exist_ok=True)
            (fresh / name).write_text("new")


def test_files_of_a_folder_are_replaced_and_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "out"
    write_files(folder, "page", "data", "figures/a_1", "figures/a_2")
    for name in ("mine", "figures/mine"):
        (folder / name).write_text("mine")
    (tmp_path / "real").write_text("old")
    (folder / "page").unlink()
    (folder / "page").symlink_to(tmp_path / "real")
    write_files(folder, "page", "figures/a_2")
    assert contents(folder) == {
        **dict.fromkeys(("page", "figures/a_2"), "new"),
        **dict.fromkeys(("mine", "figures/mine"), "mine"),
    }
    assert (folder / "page").is_symlink()
    assert [path.name for path in folder.rglob(".*")] == []


def test_the_first_of_the_files_moves_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved, replace = [], Path.replace

    def move(path: Path, to: Path) -> Path:
        moved.append(to.name)
        return replace(path, to)

    monkeypatch.setattr(Path, "replace", move)
    write_files(tmp_path, "page", "data", "figures/a_1")
    assert moved[-1] == "page"
    assert sorted(moved) == ["a_1", "data", "page"]


def test_an_error_leaves_the_files_as_they_were(tmp_path: Path) -> None:
    write_files(tmp_path, "page", "data", "figures/a_1")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="null"):
        write_files(tmp_path, "data", "no\0name")
    assert contents(tmp_path) == before
    (tmp_path / "page").unlink()
    (tmp_path / "page").mkdir()
    with pytest.raises(InputError, match="page: is a folder"):
        write_files(tmp_path, "page", "data", "figures/a_2")
    assert set(contents(tmp_path)) == {"data", "figures/a_1"}
    assert [path.name for path in tmp_path.rglob(".*")] == []
