"""Commands that are asked often load no library that they do not need."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Workshop
from tests.posteriors import make_frame
from tests.test_imports import HEAVY, loaded_by

pytestmark = pytest.mark.xdist_group("small posterior")


@pytest.mark.parametrize("command", ["predict", "suggest", "guard", "drift", "report"])
def test_a_command_loads_what_it_needs(command: str, workshop: Workshop) -> None:
    out, gpu = workshop.out, ("--gpu", "l40s")
    trace = workshop.trace(make_frame(5, ("a100_sxm", "l40s"), rows=30))
    known = workshop.trace(make_frame(), "known.parquet")
    budget, few = ("--budget-ms", "300"), ("--counts", "5", "--repetitions", "1", "-n", "2")
    words = {
        "predict": (workshop.configs(), *gpu, "-o", out),
        "suggest": (workshop.configs(), *gpu, "-n", "2", "-o", out),
        "guard": (workshop.configs(), *gpu, *budget, "--held-out", trace, "-o", out),
        "drift": (known, "-o", out),
        "report": (trace, *gpu, *budget, *few, "-o", out.parent),
    }[command]
    line = ["bayeslat", command, workshop.posterior, *map(str, words)]
    loaded = loaded_by(f"import sys; sys.argv = {line!r}\nfrom bayeslat.cli import main; main()")
    drawing = {"matplotlib"} if command == "report" else set()
    assert loaded & (HEAVY | {"sklearn", "xgboost"}) == drawing
    assert (out.parent / "index.html" if command == "report" else out).is_file()
