"""What a report writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bayeslat.report.assessment_files import write_assessment
from tests.assessments import drawn, page_of, recorded

pytestmark = pytest.mark.xdist_group("small posterior")


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_every_file_is_written_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "a new folder" / "report"
    paths = write_assessment(recorded(), drawn(), folder)
    names = [each.name for each in drawn()]
    figures = {f"figures/{name}.{kind}" for name in names for kind in ("png", "svg", "json")}
    others = {"index.html", "report.json", "e3_guardrail_analysis.json"}
    assert files_in(folder) == figures | others
    assert set(paths) == {"page", "record", "analysis", *names}
    assert all(path.is_file() for path in paths.values())
    assert json.loads(paths["record"].read_text()) == json.loads(json.dumps(recorded()))
    assert json.loads(paths["analysis"].read_text())["gpu"] == "l40s"
    assert paths["page"].read_text(encoding="utf-8") == page_of()
    assert (folder / "figures/e3_guardrail_effectiveness.png").read_bytes()[:4] == b"\x89PNG"


def test_the_same_report_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_assessment(recorded("nothing"), drawn("nothing"), tmp_path / name)
    one, two = tmp_path / "one", tmp_path / "two"
    assert files_in(one) == files_in(two)
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in files_in(one))


def test_a_report_that_finds_less_leaves_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    write_assessment(recorded(), drawn(), tmp_path)
    (tmp_path / "notes.txt").write_text("the user's own")
    (tmp_path / "figures" / "mine.png").write_text("the user's own")
    paths = write_assessment(recorded("nothing"), drawn("nothing"), tmp_path)
    assert set(paths) == {"page", "record", "coefficients"}
    assert files_in(tmp_path) == {
        "index.html", "report.json", "notes.txt", "figures/mine.png",
        *(f"figures/coefficients.{kind}" for kind in ("png", "svg", "json")),
    }  # fmt: skip


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_report_that_ends_early_leaves_the_earlier_one(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    write_assessment(recorded(), drawn(), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)}
    monkeypatch.setattr("bayeslat.report.assessment_files.assessment_page", fail)
    with pytest.raises(type(error)):
        write_assessment(recorded("nothing"), drawn("nothing"), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)} == before
