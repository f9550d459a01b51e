"""The tables of a check: what to write into a spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayeslat.evaluation.checks import check_posterior
from bayeslat.evaluation.missing_features import MissingFeature
from bayeslat.report.check_tables import check_record, show_check
from tests.posteriors import make_data

pytestmark = pytest.mark.xdist_group("small posterior")


@pytest.mark.parametrize(
    ("formula", "written"),
    [
        ("2 * ((ceil(tokens / 64) * 64) * inner)", '"2 * ((ceil(tokens / 64) * 64) * inner)"'),
        ('where(task == "qa", 1, 2)', "'where(task == \"qa\", 1, 2)'"),
    ],
)
def test_a_tile_is_told_as_a_formula_to_write(
    formula: str, written: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tile = MissingFeature(
        *("gemm", "tile", "ceil(tokens / 64) * 64", 12.5, 3.6, 0.14, 0.139),
        *("compute", "tokens", formula),
    )
    record = check_record(make_data(), check_posterior(make_data()), Path("p.nc"), [tile])
    show_check(record)
    told = " ".join(capsys.readouterr().out.split())
    assert "ceil(tokens / 64) * 64 in compute" in told
    assert f"gemm: write {written} for compute of [stages.gemm.physics], fit again" in told
