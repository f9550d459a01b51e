"""What a comparison writes."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest

from bayeslat.decisions.prediction import TOTAL
from bayeslat.evaluation.comparison import CompareOptions, compare
from bayeslat.evaluation.comparison.compare import Comparison
from bayeslat.report.comparison_files import write_comparison
from tests.posteriors import GPUS, make_data, make_frame, small_spec

pytestmark = pytest.mark.xdist_group("small posterior")

TARGET = "l40s"
FIGURES = (
    "e3_predicted_vs_actual.png",
    "e3_prediction_error_vs_samples.png",
    "e3_transfer_curve.png",
)


@lru_cache(maxsize=2)
def compared(*methods: str) -> Comparison:
    """Compare methods; only the hierarchical one has configurations to show one by one."""
    options = CompareOptions(
        target=TARGET,
        donors=GPUS,
        source=GPUS[0],
        methods=methods,
        counts=(0, 5),
        repetitions=1,
        test_configs=15,
    )
    return compare(small_spec(), make_frame(0, (*GPUS, TARGET), rows=40), options)


def by_stage(comparison: Comparison) -> Comparison:
    """The same where the total was not measured: a figure for each stage."""
    scores = comparison.scores[comparison.scores["stage"] != TOTAL]
    return replace(comparison, scores=scores)


def write(comparison: Comparison, folder: Path) -> dict[str, Path]:
    return write_comparison(comparison, make_data(), folder)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_every_file_is_written_and_named(tmp_path: Path) -> None:
    paths = write(compared("bayeslat", "direct"), tmp_path / "a new folder")
    assert list(paths) == [
        *("results", "curves", "page", "estimator"),
        *("error_vs_samples", "transfer_curve", "predicted_vs_actual"),
    ]
    assert {path.name for path in paths.values() if path.suffix == ".png"} == set(FIGURES)
    assert files_in(tmp_path / "a new folder") == {
        str(path.relative_to(tmp_path / "a new folder")) for path in paths.values()
    }
    assert json.loads(paths["curves"].read_text())["target"] == TARGET
    assert paths["page"].read_text(encoding="utf-8").count("<img") == 3


def test_a_comparison_that_draws_less_shows_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    write(by_stage(compared("bayeslat", "direct")), tmp_path)
    write(compared("bayeslat", "direct"), tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == set(FIGURES)
    (tmp_path / "notes.txt").write_text("the user's own")
    (tmp_path / "figures" / "mine.png").write_text("the user's own")
    paths = write(compared("direct"), tmp_path)
    assert "predicted_vs_actual" not in paths
    assert paths["page"].read_text(encoding="utf-8").count("<img") == 2
    assert files_in(tmp_path) == {
        "e3_calibration_results.json", "e3_transfer_curves.json", "e3_estimator_model.nc",
        "index.html", "notes.txt", "figures/mine.png", *(f"figures/{name}" for name in FIGURES[1:]),
    }  # fmt: skip


def test_a_comparison_that_ends_early_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write(by_stage(compared("bayeslat", "direct")), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)}
    monkeypatch.setattr("bayeslat.report.comparison_files.write_posterior", no_space)
    with pytest.raises(OSError, match="No space left"):
        write(compared("direct"), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in files_in(tmp_path)} == before
