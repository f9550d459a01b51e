"""The guardrail on other GPUs from few rows: false accepts and rejects, and how true p_exceed is.

Targets, donors and splits of `bench_transfer`. Budgets are quantiles of the target's noise-free
totals. Rivals: a margin on the same posterior's point, tuned or the document's 1.1, and the same on
the document's affine estimator (each stage a line in the source GPU's own model). A configuration
is over the budget if its noisy measurement is (`run`), or its noise-free total (`typical`).

    python -m benchmarks.bench_guard [--seeds 3] [--data FILE] [-o FILE.json]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayeslat as bl
from bayeslat.evaluation.baselines import Donors, find_baseline
from bayeslat.evaluation.guardrail.operating_curve import curve_band, operating_curve
from bayeslat.evaluation.guardrail.reliability import reliability
from bayeslat.evaluation.guardrail.risk_control import control_risk
from bayeslat.evaluation.guardrail.violations import MARGIN
from bayeslat.evaluation.measured import measured_latencies
from benchmarks.bench_same_gpu import noise_free
from benchmarks.bench_transfer import TEST_CONFIGS, UNRELATED
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json

COUNTS = (0, 5, 10, 25)
QUANTILES = (0.3, 0.4, 0.5, 0.6, 0.7)
MAX_RISK = 0.05
FALSE_REJECT = 0.05  # at which false accepts are compared
LIMITS = (0.01, 0.02)  # of risk control
CONFIDENCE = 0.9
RULES = {
    "p_exceed": "p_exceed",
    "point": "margin on the posterior's point",
    "affine": "margin on the affine estimator",
}


def main() -> None:
    options = _options()
    frame = pd.read_parquet(options.data)
    decided = pd.concat(
        [part for target in UNRELATED for part in decide_target(frame, target, options.seeds)],
        ignore_index=True,
    )
    content: dict[str, Any] = {
        "command": f"python -m benchmarks.bench_guard --seeds {options.seeds}",
        "machine": machine(),
        "seeds": options.seeds,
        "max_risk": MAX_RISK,
    }
    tested = decided[decided["test"]]
    measured = tested[tested["rows"] > 0]
    tables = {
        "rates": (f"Per cent of the configurations, max_risk {MAX_RISK}", rates(measured)),
        "curves": (
            f"Per cent of those over that are accepted, at {FALSE_REJECT:.0%} false rejects",
            curves(tested),
        ),
        "margins": ("One margin for all, against one max_risk for all", margins(tested)),
        "reliability": ("p_exceed against what happened", calibration(measured)),
        "risk_control": (
            "max_risk chosen by held-out rows, counted on others",
            controlled(decided),
        ),
    }
    for name, (title, table) in tables.items():
        print_table(title, table)
        content[name] = table.to_dict("records")
    write_json(options.output, content)


def decide_target(frame: pd.DataFrame, target: str, seeds: int) -> Iterator[pd.DataFrame]:
    """Decide about a target's held-out configurations."""
    spec, hardware = bl.load_spec(root("models/vlm.toml")), bl.load_hardware()
    gpu = hardware.resolve(target)
    seen = [name for name in frame.columns if not name.startswith("true_")]
    own = frame[frame["gpu"] == target]
    for seed in range(seeds):
        order = np.random.default_rng(100 + seed).permutation(np.unique(frame["config_id"]))
        pool, tested = order[TEST_CONFIGS:], order[:TEST_CONFIGS]
        trained = frame[frame["config_id"].isin(pool) & frame["gpu"].isin(UNRELATED[target])]
        fitted = bl.fit(spec, trained[seen], engine="laplace", seed=seed)
        donors = Donors(spec, trained[seen], UNRELATED[target][0], hardware, seed)
        source = find_baseline("A").train(donors)
        for count in COUNTS:
            chosen = np.random.default_rng([seed, count]).choice(pool, count, replace=False)
            rows = own.loc[own["config_id"].isin(chosen), seen]
            posterior = fitted.calibrate(rows, target)
            line = source.calibrate(rows, gpu) if count else None
            # The rest of the pool stands for rows that a user holds out to control the risk.
            judged = own[~own["config_id"].isin(chosen)]
            prediction = posterior.predict(judged[seen], target)
            typical = posterior.predict(judged[seen], target, of="typical")
            point = prediction.frame["total_point_ms"].to_numpy()
            affine = line.predict(judged[seen]).total if line else np.full(len(judged), np.nan)
            run = measured_latencies(spec, judged, gpu)["total"]
            true = measured_latencies(spec, noise_free(judged), gpu)["total"]
            is_test = judged["config_id"].isin(tested).to_numpy()
            for quantile in QUANTILES:
                budget = float(np.quantile(true[is_test], quantile))
                risk = posterior.guard(target, budget).judge(prediction)
                columns: dict[str, Any] = {
                    "target": target,
                    "seed": seed,
                    "rows": count,
                    "test": is_test,
                    "config": judged["config_id"].to_numpy(),
                    "quantile": quantile,
                    "p_exceed": risk.p_exceed[0],
                    "p_typical": typical.p_exceed(budget),
                    "least_max_risk": risk.least_max_risk,
                    "decision": risk.decide(MAX_RISK)["decision"].to_numpy(),
                    "point": point / budget,
                    "affine": affine / budget,
                    "over_run": run > budget,
                    "over_typical": true > budget,
                }
                yield pd.DataFrame(columns)


def rates(decided: pd.DataFrame) -> pd.DataFrame:
    """Rates by number of calibration rows, in per cent of all configurations."""
    over, p_exceed = decided["over_run"], decided["p_exceed"]
    table = pd.DataFrame(
        {
            "rows": decided["rows"],
            "false accept": (decided["decision"] == "accept") & over,
            "false accept, p_exceed alone": (p_exceed <= MAX_RISK) & over,
            "false reject, p_exceed alone": (p_exceed > MAX_RISK) & ~over,
            "measure": decided["decision"] == "measure",
        }
    )
    for rule in ("point", "affine"):
        accepted = MARGIN * decided[rule] <= 1.0
        table[f"false accept, {MARGIN} x {rule}"] = accepted & over
        table[f"false reject, {MARGIN} x {rule}"] = ~accepted & ~over
    return (100 * table.groupby("rows").mean()).round(3).reset_index()


def curves(decided: pd.DataFrame) -> pd.DataFrame:
    """False accepts at the same false rejects, by rule; per cent of those over the budget."""
    rows = []
    for of in ("run", "typical"):
        together = [("all", decided)]
        for count, part in [*decided.groupby("rows"), *together]:
            over = part[f"over_{of}"].to_numpy()
            config = pd.factorize(part["target"] + part["config"].astype(str))[0]
            for rule, title in RULES.items():
                name = f"p_{'exceed' if of == 'run' else of}" if rule == "p_exceed" else rule
                score = part[name].to_numpy()
                if np.isnan(score).any():
                    continue
                curve, at = operating_curve(score, over), np.array([FALSE_REJECT])
                band = curve_band(score, over, config, at).iloc[0]
                rows.append(
                    {
                        "of": of,
                        "rows": count,
                        "rule": title,
                        "area": round(curve.area, 5),
                        "false accept": round(100 * curve.false_accept_at(at)[0], 3),
                        "low": round(100 * band["false_accept_low"], 3),
                        "high": round(100 * band["false_accept_high"], 3),
                    }
                )
    return pd.DataFrame(rows)


def margins(decided: pd.DataFrame) -> pd.DataFrame:
    """One margin on the point for all, tuned on the other targets and 25 rows, against max_risk.

    Tuned to 0.1 % false accepts of those over. The last column is the margin that a target and
    number of rows would need for that by itself.
    """
    rows = []
    tuned_on = decided[decided["rows"] == max(COUNTS)]
    for (target, count), part in decided.groupby(["target", "rows"]):
        others = tuned_on[tuned_on["target"] != target]
        tuned = _threshold(others["point"], others["over_run"])
        over = part["over_run"]
        row = {"target": target, "rows": count, "margin": 1 / tuned}
        for rule, accepted in (
            ("margin", part["point"] <= tuned),
            ("max_risk", part["p_exceed"] <= MAX_RISK),
        ):
            row[f"false accept, {rule}"] = 100 * float((accepted & over).sum() / over.sum())
            row[f"false reject, {rule}"] = 100 * float((~accepted & ~over).sum() / (~over).sum())
        row["margin needed"] = 1 / _threshold(part["point"], over)
        rows.append(row)
    table = pd.DataFrame(rows)
    mean = table.groupby("rows").mean(numeric_only=True).reset_index().assign(target="mean")
    return pd.concat([table, mean], ignore_index=True).round(3)


def _threshold(score: pd.Series, over: pd.Series) -> float:
    """Return the greatest score with at most 0.1 % false accepts (of those over)."""
    bad = np.sort(score[over].to_numpy())
    return float(bad[int(0.001 * len(bad))])


def calibration(decided: pd.DataFrame) -> pd.DataFrame:
    """Mean p_exceed and observed frequency in ten bins, by number of rows, over all targets."""
    parts = [
        reliability(part["p_exceed"].to_numpy(), part["over_run"].to_numpy()).assign(rows=count)
        for count, part in decided.groupby("rows")
    ]
    return pd.concat(parts, ignore_index=True).round(4)


def controlled(decided: pd.DataFrame) -> pd.DataFrame:
    """Choose max_risk on a GPU's rows that neither calibrated nor test, and count on the test's."""
    rows = []
    for limit in LIMITS:
        found: list[tuple[float, int, float]] = []
        for _, part in decided[decided["rows"] > 0].groupby(["target", "seed", "rows", "quantile"]):
            held, rest = part[~part["test"]], part[part["test"]]
            control = control_risk(
                held["least_max_risk"].to_numpy(),
                held["p_exceed"].to_numpy(),
                held["over_run"].to_numpy(),
                limit=limit,
                confidence=CONFIDENCE,
            )
            level = control.largest or 0.0
            wrong = (rest["least_max_risk"] <= level) & rest["over_run"]
            found.append((level, control.configs, float(wrong.mean())))
        levels, configs, wrong_rates = (np.array(each) for each in zip(*found, strict=True))
        rows.append(
            {
                "limit, %": 100 * limit,
                "confidence": CONFIDENCE,
                "held-out configs": round(float(configs.mean()), 1),
                "a max_risk was shown, %": round(100 * float((levels > 0).mean()), 1),
                "median max_risk": float(np.median(levels)),
                "false accepts, %": round(100 * float(wrong_rates.mean()), 3),
                "false accepts above the limit, %": round(
                    100 * float((wrong_rates > limit).mean()), 1
                ),
            }
        )
    return pd.DataFrame(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=data_file("vlm_stages.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "guard.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
