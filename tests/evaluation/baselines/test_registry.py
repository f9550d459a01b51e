from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from bayeslat.errors import InputError
from bayeslat.evaluation import baselines
from bayeslat.evaluation.baselines import BASELINES, find_baseline
from bayeslat.evaluation.baselines.libraries import require
from tests.evaluation.baselines.problem import make_donors

ASKED_FOR = {
    *("linear", "polynomial", "neural", "total_only"),
    *("direct", "A", "B", "C_neural", "C_ridge"),
    *("ridge", "gaussian_process", "boosted_trees", "bootstrap", "hfd_tl_ridge"),
    *("hfd_tl_ard", "picf", "mole_rd"),
}


def test_every_method_is_found_by_its_name() -> None:
    assert set(BASELINES) >= ASKED_FOR
    assert all(find_baseline(name).name == name for name in BASELINES)


def test_the_readme_explains_each_method_in_a_row_with_the_rows_that_it_needs() -> None:
    folder = Path(baselines.__file__).parent
    text = (folder / "README.md").read_text(encoding="utf-8")
    table = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    names = {name: cells for cells in table for name in re.findall(r"`(\w+)`", cells[0])}
    assert names.keys() == BASELINES.keys()
    for name, cells in names.items():
        least = cells[-1].strip()
        if least.isdecimal():
            assert int(least) == BASELINES[name].least_rows, name
        else:
            assert BASELINES[name].least_rows == 0, name


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no baseline 'rigde'; nearest: ridge"):
        find_baseline("rigde")


@pytest.mark.parametrize(
    ("method", "library", "package"),
    [
        ("boosted_trees", "xgboost", "xgboost"),
        ("gaussian_process", "sklearn", "scikit-learn"),
        ("neural", "sklearn", "scikit-learn"),
        ("hfd_tl_ard", "sklearn", "scikit-learn"),
        ("A", "sklearn", "scikit-learn"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(
    method: str, library: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=rf"{package} is not .* '\.\[baselines\]'"):
        find_baseline(method).train(make_donors())


@pytest.mark.parametrize("method", ["linear", "A_polynomial", "ridge", "bootstrap", "hfd_tl_ridge"])
def test_the_others_do_without(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("sklearn", "xgboost"):
        monkeypatch.setitem(sys.modules, library, None)
    find_baseline(method).train(make_donors())


def test_a_library_that_lacks_something_itself_speaks_for_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "lacking.py").write_text("import nonesuch_library", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nonesuch_library"):
        require("lacking")
