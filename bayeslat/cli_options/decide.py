"""Options of `suggest` and `guard`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

__all__ = [
    "Candidates",
    "Confidence",
    "Cost",
    "Exclude",
    "FalseAccepts",
    "GuardBudget",
    "HeldOut",
    "MaxRisk",
    "Method",
    "MethodName",
    "Objective",
    "ObjectiveName",
    "StageBudgets",
    "Strata",
    "SuggestBudget",
    "SuggestCount",
]

ObjectiveName = Literal["total", "guardrail"]
MethodName = Literal[
    "share_weighted", "maximum_variance", "d_optimal", "residual", "latin_hypercube", "uniform"
]
Candidates = Annotated[
    list[str],
    typer.Argument(
        help="Configurations to choose from: Parquet, CSV or JSON Lines files, folders, globs.",
        metavar="CANDIDATES",
    ),
]
SuggestCount = Annotated[
    int, typer.Option("-n", help="How many configurations to choose.", min=1, metavar="N")
]
Objective = Annotated[
    ObjectiveName,
    typer.Option(help="Lower the uncertainty of all totals alike, or of those near a budget."),
]
SuggestBudget = Annotated[
    float | None,
    typer.Option("--budget-ms", help="Latency budget, for --objective guardrail.", metavar="MS"),
]
Cost = Annotated[
    str,
    typer.Option(
        help="Choose what brings most for its cost: none, latency (the expected total), or a "
        "column of the candidates in ms.",
        metavar="COST",
    ),
]
Exclude = Annotated[
    str | None,
    typer.Option(help="Configurations not to choose: a file, folder or glob.", metavar="FILE"),
]
Method = Annotated[MethodName, typer.Option(help="How to choose.")]
Strata = Annotated[
    str | None,
    typer.Option(
        help="Cover operating regions: latency (five bands of the expected total), or each value "
        "of a column of the candidates (five bands of a number with more than ten).",
        metavar="COLUMN",
    ),
]
GuardBudget = Annotated[
    float | None, typer.Option("--budget-ms", help="Latency budget of the total.", metavar="MS")
]
StageBudgets = Annotated[
    list[str] | None,
    typer.Option(
        "--stage-budget",
        help="Budget of a stage, or of several joined by +: llm_decode_per_token=40.",
        metavar="STAGE=MS",
    ),
]
MaxRisk = Annotated[
    float, typer.Option(help="Largest P(latency > budget) that is accepted.", metavar="SHARE")
]
HeldOut = Annotated[
    list[str] | None,
    typer.Option(
        help="Measurements that calibrated nothing, to bound the false accepts: a file, folder or "
        "glob.",
        metavar="TRACES",
    ),
]
FalseAccepts = Annotated[
    float,
    typer.Option(help="Limit of false accepts that held-out rows shall show.", metavar="SHARE"),
]
Confidence = Annotated[float, typer.Option(help="Of that limit.", metavar="SHARE")]
