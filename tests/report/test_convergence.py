from __future__ import annotations

import re
from io import StringIO

import pytest
from rich.console import Console

from bayeslat.report.convergence import convergence_record, show_convergence, show_verdict
from tests.posteriors import make_data

pytestmark = pytest.mark.xdist_group("small posterior")

GOOD = {
    "rows": 1200,
    "rhat": 1.002,
    "ess_bulk": 1234.0,
    "ess_tail": 900.0,
    "divergences": 0,
    "pareto_k": float("nan"),
    "noise": 0.034,
    "noise_dof": float("inf"),
}
RED = "\x1b[1;31m"


def show(**changes: float) -> str:
    console = Console(file=StringIO(), width=100, force_terminal=True, color_system="standard")
    show_convergence(console, {"prefill": GOOD | changes})
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_what_is_fine_does_not_stand_out() -> None:
    shown = show()
    assert RED not in shown
    for text in ("1,200", "1.002", "1,234", "900", "3.4", "normal"):
        assert text in shown


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rhat": 1.02}, "1.020"),
        ({"ess_bulk": 399.0}, "399"),
        ({"ess_tail": 80.0}, "80"),
        ({"divergences": 3}, "3"),
        ({"pareto_k": 0.71}, "0.71"),
    ],
)
def test_what_is_wrong_is_red(changes: dict[str, float], text: str) -> None:
    red = re.findall(re.escape(RED) + r" *([^ \x1b]+)\x1b", show(**changes))
    assert red == [text]


def test_the_record_names_the_worst_parameters() -> None:
    data = make_data()
    record = convergence_record(data)
    assert record["converged"] is True
    assert record["gpus"] == list(data.gpus)
    assert record["stages"]["decode"]["rows"] == 120
    assert record["stages"]["decode"]["ess_bulk_parameter"]


@pytest.mark.parametrize(("gpus", "text"), [(["a"], "1 GPU,"), (["a", "b"], "2 GPUs,")])
def test_the_verdict_is_a_line(gpus: list[str], text: str) -> None:
    console = Console(file=StringIO(), width=100)
    record = {"spec": "s", "gpus": gpus, "rows": 1000, "converged": False, "engine": "nuts"}
    show_verdict(console, record)
    line = console.file.getvalue().splitlines()[0]  # type: ignore[attr-defined]
    assert line == f"s on {text} 1,000 rows: not converged (nuts)"
