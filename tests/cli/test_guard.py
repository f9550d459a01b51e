"""`bayeslat guard` writes its decisions."""

from __future__ import annotations

import json
from collections.abc import Callable

import pandas as pd
import pytest
from typer.testing import Result

from bayeslat.posterior import load_posterior
from tests.cli.conftest import Workshop
from tests.posteriors import make_configs

pytestmark = pytest.mark.xdist_group("small posterior")


def guard(run: Callable[..., Result], workshop: Workshop, *words: str) -> Result:
    configs = workshop.configs(make_configs(40))
    return run(
        "guard", workshop.posterior, configs, "--gpu", "h100_sxm", "-o", workshop.out, *words
    )


def test_it_writes_what_python_decides(workshop: Workshop, run: Callable[..., Result]) -> None:
    words = ("--budget-ms", "300", "--max-risk", "0.1", "--stage-budget", "decode=20")
    done = guard(run, workshop, *words, "--json")
    assert done.exit_code == 0, done.output
    rule = load_posterior(workshop.posterior).guard(
        "h100_sxm", 300.0, max_risk=0.1, stage_budgets_ms={"decode": 20.0}
    )
    expected = rule.decide(make_configs(40))
    found = pd.read_parquet(workshop.out)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    record = json.loads(done.stdout)
    counts = {name: each["configs"] for name, each in record["decisions"].items()}
    assert counts == {
        name: int((expected["decision"] == name).sum()) for name in ("accept", "reject", "measure")
    }
    assert record["budgets_ms"] == {"total": 300.0, "decode": 20.0}


def test_the_table_tells_why_to_measure(workshop: Workshop, run: Callable[..., Result]) -> None:
    configs = workshop.configs(make_configs(5))
    done = run(
        "guard", workshop.posterior, configs, "--gpu", "l40s", "--budget-ms", "1e9",
        "-o", workshop.out,
    )  # fmt: skip
    assert "measure: 5 because the GPU was not measured" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "no budget is given"),
        (["--budget-ms", "0"], "the budget of total is 0"),
        (["--budget-ms", "10", "--max-risk", "1"], "max_risk is 1"),
        (["--stage-budget", "decode"], "write it as in llm_prefill=300"),
        (["--stage-budget", "encode=10"], "no stage 'encode'"),
    ],
)
def test_bad_options(
    words: list[str], told: str, workshop: Workshop, run: Callable[..., Result]
) -> None:
    done = guard(run, workshop, *words)
    assert done.exit_code == 1
    assert told in done.stderr
    assert not workshop.out.exists()
