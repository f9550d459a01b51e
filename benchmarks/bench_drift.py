"""Drift: false alarms on stable windows, and what shift of which coefficient is found.

Truths are drawn from the priors of models/vlm.toml, with a noise of 3 %; each is fitted to 200
configurations of three GPUs (Laplace), and compared with later windows of 200 further ones, all
four stages of a GPU a call, at an alarm rate of 1 %. Stable windows follow the same truth; shifted
ones have one coefficient 5 % larger (in the physics, not in its linearisation) from a row on. Then
measured traces: those of this repository, fitted on their first half in time, and compared with the
second; and they and `vlm_stages`, fitted on half of the configurations, and compared with the
others in random order, where nothing can have changed but the batch mix.

A fit takes 1 to 2 s, a call 0.5 to 0.9 s. By default, there are 400 calls on stable windows (20
fits) and 720 on shifted ones (144 of each of five fits), one process a core.

    python -m benchmarks.bench_drift [--fits N] [--windows N] [--jobs N] [-o FILE.json]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

import bayeslat as bl
from bayeslat.evaluation.drift import ALLOWANCE, Drift
from bayeslat.features.knob_range import parse_knob
from bayeslat.features.spec import Spec
from bayeslat.model.sample_configs import sample_configs
from bayeslat.model.simulate import draw_parameters, simulate
from bayeslat.model.simulation_parameters import SimulationParameters
from bayeslat.parallel import run
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json

GPUS = ("a100_sxm", "h100_sxm", "l40s")
RANGES = (
    "vision_tokens=144:2304",
    "image_crops=1:16",
    "prompt_tokens=16:2048:log",
    "top_k=2,4,6,8",
    "active_blocks=24,36,48",
    "batch_size=1,2,4,8,16",
    "output_tokens=16:512:log",
)
FITTED, ROWS = 200, 200
NOISE = 0.03
ALARM_RATE = 0.01
SHIFT = 0.05
ALLOWANCES = (ALLOWANCE, 0.0)
LEVELS = (0.01, 0.1, 0.5)
_SPLITS = 3  # of the shipped traces' configurations
STARTS = (0, 100)  # rows of a shift: before the window, and in its middle


@dataclass(frozen=True)
class Truth:
    """A simulated fleet, its fit, and the configurations of later windows.

    Attributes
    ----------
    posterior : Posterior
    parameters : SimulationParameters
    configs : DataFrame, one row a config
        Those of the fit first: a simulation spans its smooth corrections over all.
    windows : int
    """

    posterior: bl.Posterior
    parameters: SimulationParameters
    configs: pd.DataFrame
    windows: int


def main() -> None:
    options = _options()
    # The long parts first: the processes end together.
    parts = [*product([True], range(options.shifted_fits)), *product([False], range(options.fits))]
    found = list(run(_judge_fit, parts, options, jobs=options.jobs, on_progress=_tell))
    shifted, stable = (
        [row for rows in found[part] for row in rows]
        for part in (slice(options.shifted_fits), slice(options.shifted_fits, None))
    )
    rates = [sum_up_alarms(stable, allowance) for allowance in ALLOWANCES]
    print_table("Stable windows", pd.DataFrame(rates))
    power = sum_up_shifts(pd.DataFrame(shifted))
    print_table(f"One coefficient {SHIFT:.0%} larger", power)
    promised = sum_up_promises(pd.DataFrame(shifted))
    print_table("By what is said to be found with 90 % probability", promised)
    later, others = judge_later_half(), judge_other_configs(options.data, options.jobs)
    print_table("The second half of the shipped traces against the first", pd.DataFrame(later))
    mixes = sum_up_others(others)
    print_table("Other configurations, in random order", mixes)
    content = {
        "machine": machine(),
        "noise": NOISE,
        "rows": ROWS,
        "alarm_rate": ALARM_RATE,
        "stable": rates,
        "shifts": power.reset_index().to_dict("records"),
        "promises": promised.reset_index().to_dict("records"),
        "later_half": later,
        "other_configs": mixes.reset_index().to_dict("records"),
    }
    write_json(options.output, content)


def _judge_fit(options: argparse.Namespace, part: tuple[bool, int]) -> list[dict[str, Any]]:
    """Judge the windows of a fit in which a coefficient moves, or the stable ones."""
    moves, seed = part
    spec = bl.load_spec(root("models/vlm.toml"))
    try:
        truth = make_truth(spec, options.windows, seed)
    except bl.BayeslatError as error:  # a truth far out in the priors: there is no posterior
        print(f"fit {seed + 1}: {error}", flush=True)
        return []
    if moves:
        return list(judge_shifts(truth, spec, seed, options.shifted_windows))
    return list(judge_stable(truth, seed))


def _tell(done: int, total: int) -> None:
    print(f"part {done} of {total}", flush=True)


def make_truth(spec: Spec, windows: int, seed: int) -> Truth:
    """Draw a fleet and fit it."""
    ranges = [parse_knob(text) for text in RANGES]
    configs = sample_configs(ranges, FITTED + windows * ROWS, seed)
    configs = configs.sample(frac=1.0, random_state=seed).reset_index(drop=True)
    drawn = draw_parameters(spec, GPUS, configs=configs, seed=seed)
    stages = {
        name: part.model_copy(update={"noise": dict.fromkeys(part.noise, NOISE)})
        for name, part in drawn.stages.items()
    }
    parameters = SimulationParameters(stages=stages)
    frame = simulate(spec, configs, GPUS, parameters=parameters, seed=seed)
    fitted = frame[frame.groupby("gpu").cumcount() < FITTED].reset_index(drop=True)
    return Truth(bl.fit(spec, fitted, engine="laplace", seed=seed), parameters, configs, windows)


def judge_stable(truth: Truth, seed: int) -> Iterator[dict[str, Any]]:
    """Compare windows of the first GPU without any drift."""
    frame = _rows(truth, truth.parameters, 1000 + seed)
    for number, allowance in product(range(truth.windows), ALLOWANCES):
        found = _find(truth, frame, number, allowance)
        yield {
            "fit": seed,
            "allowance": allowance,
            "alarm": bool(found.drifted),
            "p_values": {each.stage: each.p_value for each in found.judged},
        }


def judge_shifts(truth: Truth, spec: Spec, seed: int, windows: int) -> Iterator[dict[str, Any]]:
    """Shift each coefficient of the first GPU in turn."""
    before = _rows(truth, truth.parameters, 2000 + seed)
    for stage, part in spec.stages.items():
        for term in part.physics:
            after = _rows(truth, _shift(truth.parameters, stage, term), 2000 + seed)
            for start in STARTS:
                for number in range(windows):
                    frame = after.where(_position(after) % ROWS >= start, before)
                    found = _find(truth, frame.astype(before.dtypes), number)
                    yield _outcome(found, stage, term, start)


def _outcome(found: Drift, stage: str, term: str, start: int) -> dict[str, Any]:
    """What was found of a shift."""
    own = next(each for each in found.stages if each.stage == stage)
    change = next(each for each in own.changes if each.feature == term)
    drifted = own.verdict == "drift"
    since = own.since
    return {
        "stage": stage,
        "term": term,
        "start": start,
        "share": change.share,
        "detectable": change.detectable,
        "found": drifted,
        "elsewhere": any(each.stage != stage for each in found.drifted),
        "named": drifted and own.changes[0].feature == term,
        "listed": drifted and (change.p_moved > 0.1 or term in own.changes[0].confused_with),
        "change": change.change if drifted else np.nan,
        "covered": change.low <= SHIFT <= change.high if drifted else np.nan,
        "start_covered": since.low <= start + 1 <= since.high if since else np.nan,
        "start_width": since.high - since.low if since else np.nan,
    }


def sum_up_alarms(stable: list[dict[str, Any]], allowance: float) -> dict[str, Any]:
    """Rate of false alarms, with its interval as if windows of a fit were independent."""
    table = pd.DataFrame([row for row in stable if row["allowance"] == allowance])
    count, alarms = len(table), int(table["alarm"].sum())
    interval = binomtest(alarms, count).proportion_ci(0.95)
    p_values = pd.DataFrame(table["p_values"].tolist())
    all_p = p_values.to_numpy(dtype=float)
    return {
        "allowance": allowance,
        "windows": count,
        "fits with alarms": int(table.groupby("fit")["alarm"].any().sum()),
        "fits": int(table["fit"].nunique()),
        "alarms": alarms,
        "rate": alarms / count,
        "low": float(interval.low),
        "high": float(interval.high),
        **{f"below {level}": float((all_p < level).mean()) for level in LEVELS},
    }


def sum_up_shifts(shifted: pd.DataFrame) -> pd.DataFrame:
    """Part of the windows whose shift was found, by coefficient."""
    groups = shifted.groupby(["stage", "term", "start"], sort=False)
    table = groups.mean(numeric_only=False)
    return table.astype(float).assign(windows=groups.size())


def sum_up_promises(shifted: pd.DataFrame) -> pd.DataFrame:
    """Part of the shifts before the window that were found, by the change that is said to be."""
    whole = shifted[shifted["start"] == 0]
    edges = [0.0, 0.02, 0.03, 0.05, 0.07, 0.10, 0.20, np.inf]
    names = [f"{low:.0%} to {high:.0%}" for low, high in pairwise(edges[:-1])] + ["more"]
    told = pd.cut(whole["detectable"], edges, labels=names)
    groups = whole.groupby(told.astype(str), sort=False)[["found", "covered", "share"]]
    return groups.mean().astype(float).assign(windows=groups.size()).reindex(names)


def judge_later_half() -> list[dict[str, Any]]:
    """Fit the shipped traces' first half in time, and compare the second."""
    traces, spec = _shipped()
    order = traces.groupby("gpu")["collected_at"].rank(method="first", pct=True)
    return list(_judge_part(traces, (order > 0.5).to_numpy(), spec, 0, ALLOWANCES[:1]))


def judge_other_configs(data: Path, jobs: int) -> list[dict[str, Any]]:
    """Fit half of the configurations of measured traces, and compare the others, reordered."""
    sources = [None, data] if data.exists() else [None]
    splits = list(product(sources, range(_SPLITS)))
    return [row for rows in run(_judge_split, splits, None, jobs=jobs) for row in rows]


def _judge_split(_: None, part: tuple[Path | None, int]) -> list[dict[str, Any]]:
    """Judge one split of the shipped traces, or of a file."""
    data, seed = part
    if data is None:
        traces, spec = _shipped()
    else:
        traces, spec = pd.read_parquet(data), bl.load_spec(root("models/vlm.toml"))
        traces = traces[[name for name in traces.columns if not name.startswith("true_")]]
    traces = traces.drop(columns="collected_at", errors="ignore")
    ids = np.random.default_rng(seed).permutation(traces["config_id"].unique())
    held_out = traces["config_id"].isin(ids[: len(ids) // 2]).to_numpy()
    about = {"traces": "shipped traces" if data is None else data.stem, "split": seed}
    return [{**about, **row} for row in _judge_part(traces, held_out, spec, seed, ALLOWANCES)]


def sum_up_others(found: list[dict[str, Any]]) -> pd.DataFrame:
    """How often stages of other configurations are called a drift, and p-values below levels."""
    groups = pd.DataFrame(found).groupby(["traces", "allowance"])
    p_value = groups["p_value"]
    return pd.DataFrame(
        {
            "stages": groups.size(),
            "drift": groups["verdict"].agg(lambda each: int((each == "drift").sum())),
            **{f"below {level}": p_value.agg(partial(_below, level)) for level in LEVELS},
        }
    )


def _below(level: float, p_values: pd.Series) -> float:
    return float((p_values < level).mean())


def _shipped() -> tuple[pd.DataFrame, Spec]:
    """Return the traces of this repository and their spec."""
    traces = bl.read_traces(str(root("traces/milan_*.parquet")))
    return traces, bl.load_spec(root("models/tiny_vlm.toml"))


def _judge_part(
    traces: pd.DataFrame,
    held_out: NDArray[np.bool_],
    spec: Spec,
    seed: int,
    allowances: Sequence[float],
) -> Iterator[dict[str, Any]]:
    """Fit some rows, and compare the others."""
    posterior = bl.fit(spec, traces[~held_out].reset_index(drop=True), engine="laplace")
    later = traces[held_out].sample(frac=1.0, random_state=seed).reset_index(drop=True)
    kept = ["gpu", "stage", "verdict", "p_value", "p_adjusted", "feature", "change", "since"]
    for allowance in allowances:
        found = posterior.find_drift(later, alarm_rate=ALARM_RATE, allowance=allowance).frame
        plain = found[kept].astype(object).where(found[kept].notna(), None)
        for row in plain.to_numpy().tolist():
            yield {"allowance": allowance, **dict(zip(kept, row, strict=True))}


def _rows(truth: Truth, parameters: SimulationParameters, seed: int) -> pd.DataFrame:
    """Draw all later rows of the first GPU."""
    spec = truth.posterior.spec
    frame = simulate(spec, truth.configs, GPUS[:1], parameters=parameters, seed=seed)
    return frame.iloc[FITTED:].reset_index(drop=True)


def _position(frame: pd.DataFrame) -> pd.Series:
    return pd.Series(np.arange(len(frame)), frame.index)


def _find(truth: Truth, frame: pd.DataFrame, number: int, allowance: float = ALLOWANCE) -> Drift:
    """Compare one window."""
    window = frame.iloc[number * ROWS : (number + 1) * ROWS].reset_index(drop=True)
    posterior = truth.posterior
    return posterior.find_drift(window, alarm_rate=ALARM_RATE, allowance=allowance, seed=number)


def _shift(parameters: SimulationParameters, stage: str, term: str) -> SimulationParameters:
    """Make one coefficient of the first GPU larger."""
    part, gpu = parameters.stages[stage], GPUS[0]
    own = {**part.offset[gpu], term: part.offset[gpu][term] + float(np.log1p(SHIFT))}
    moved = part.model_copy(update={"offset": {**part.offset, gpu: own}})
    return SimulationParameters(stages={**parameters.stages, stage: moved})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=20)
    parser.add_argument("--windows", type=int, default=10, help="stable ones, of each fit")
    parser.add_argument("--shifted-fits", type=int, default=5)
    parser.add_argument("--shifted-windows", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1: one a core")
    parser.add_argument("--data", type=Path, default=data_file("vlm_stages.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "drift.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
