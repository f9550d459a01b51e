"""What commands read: lists of names, traces, configurations, data sheets, true parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bayeslat.cli_run import note, writing
from bayeslat.counted import counted
from bayeslat.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from bayeslat.features.gpu import Gpu
    from bayeslat.features.hardware import HardwareTable
    from bayeslat.features.spec import Spec
    from bayeslat.inference.posterior import PosteriorData
    from bayeslat.model.simulation_parameters import SimulationParameters

__all__ = [
    "Dropped",
    "check_budget",
    "check_share",
    "check_stack",
    "choose_configs",
    "choose_jobs",
    "draw_configs",
    "hardware_with",
    "measured_gpus",
    "read_alpha",
    "read_parameters",
    "read_valid",
    "split_budgets",
    "split_counts",
    "split_names",
]


@dataclass(frozen=True)
class Dropped:
    """Rows that were set aside.

    Attributes
    ----------
    rows : int
    path : Path
        The file that holds them.
    """

    rows: int
    path: Path


def choose_jobs(jobs: int | None, engine_address: str | None, default: int = -1) -> int:
    """Return the processes of this machine to use.

    Parameters
    ----------
    jobs : int or None
        As the user has it.
    engine_address : str or None
        Of a cluster in place of this machine.
    default : int
        -1: one a core.

    Raises
    ------
    InputError
        If there is no such number of processes or no such address, or both are given.
    """
    from bayeslat.parallel import check_workers

    if jobs is not None and engine_address is not None:
        raise InputError(
            f"--jobs {jobs} is of this machine, and --engine-address {engine_address} of another; "
            "leave one out"
        )
    chosen = default if jobs is None else jobs
    check_workers(chosen, engine_address)
    return chosen


def split_names(text: str | None, option: str) -> list[str]:
    """Take names apart that commas separate.

    Parameters
    ----------
    text : str or None
        What was given, if anything.
    option : str
        Its name, for the message.

    Raises
    ------
    InputError
        If a name is empty.
    """
    if text is None:
        return []
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InputError(f"{option} {text!r}: a name is empty; write names as in a,b,c")
    return names


def split_budgets(texts: Sequence[str]) -> dict[str, float]:
    """Read budgets of stages.

    Parameters
    ----------
    texts : sequence of str
        As in `llm_prefill=300`, or `vision_encoder+llm_prefill=400`.

    Raises
    ------
    InputError
        With every text that is none.
    """
    found: dict[str, float] = {}
    problems = []
    for text in texts:
        stages, equals, number = text.rpartition("=")
        try:
            found[stages.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals or not stages.strip():
            problems.append(f"--stage-budget {text!r}; write it as in llm_prefill=300, in ms")
    if problems:
        raise InputError("; ".join(problems))
    return found


def split_counts(text: str, option: str) -> tuple[int, ...]:
    """Take numbers of rows apart that commas separate, and put them in order.

    Parameters
    ----------
    text : str
    option : str
        Its name, for the message.

    Raises
    ------
    InputError
        If one is no whole number from 0 on.
    """
    names = split_names(text, option)
    wrong = [name for name in names if not name.isdecimal()]
    if wrong:
        raise InputError(
            f"{option} {text!r}: {', '.join(wrong)} is no number of rows; write them as in 0,10,50"
        )
    return tuple(sorted({int(name) for name in names}))


def measured_gpus(frame: pd.DataFrame, hardware: HardwareTable) -> tuple[str, ...]:
    """Return the GPUs of a trace that the hardware table knows, by key, in order."""
    names = frame["gpu"].dropna().astype(str).unique() if "gpu" in frame else ()
    found = [hardware.find(name) for name in names]
    return tuple(sorted({gpu.key for gpu in found if gpu is not None}))


def note_unknown_gpus(frame: pd.DataFrame, hardware: HardwareTable) -> None:
    """Tell which rows name a GPU that the hardware table lacks, where one GPU's rows are taken."""
    if "gpu" not in frame:
        return
    for name, rows in frame["gpu"].dropna().astype(str).value_counts().items():
        if hardware.find(str(name)) is None:
            nearest = ", ".join(hardware.nearest(str(name)))
            note(
                f"left out: {rows:,} of {counted(len(frame), 'row')}: GPU {name!r} is not in the "
                f"hardware table; nearest: {nearest}"
            )


def check_budget(budget_ms: float | None) -> None:
    """Refuse a budget that no latency can be compared with, before long work starts.

    Raises
    ------
    InputError
        If it is not finite and above 0.
    """
    if budget_ms is not None and not 0 < budget_ms < float("inf"):
        raise InputError(f"--budget-ms is {budget_ms:g}; it must be a positive number of ms")


def check_share(share: float, option: str) -> None:
    """Refuse what is no share, before long work starts.

    Parameters
    ----------
    share : float
    option : str
        Its name, for the message.

    Raises
    ------
    InputError
        If it is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise InputError(f"{option} is {share:g}; it must be between 0 and 1, as 0.10 for 10 %")


def check_stack(stack: str | None) -> None:
    """Refuse a stack without a name, which would be a new one.

    Raises
    ------
    InputError
        If it is blank.
    """
    if stack is not None and not stack.strip():
        raise InputError(
            f"--stack {stack!r}: the name is empty; write one of the traces, or leave --stack out"
        )


def read_valid(
    sources: Sequence[str], spec: Spec, hardware: HardwareTable, output: Path
) -> tuple[pd.DataFrame, Dropped | None]:
    """Read traces, and set the rows aside that break a rule: in a file beside the output.

    Parameters
    ----------
    sources : sequence of str
    spec : Spec
    hardware : HardwareTable
    output : Path

    Returns
    -------
    kept : DataFrame, one row a measurement
    dropped : Dropped or None
        None if every row keeps every rule.

    Raises
    ------
    TraceError
        If a column breaks a rule, which dropping rows cannot cure, or no row is left.
    """
    from bayeslat.features.admit import find_violations
    from bayeslat.traces import drop_invalid, read_traces, report, write_table

    frame = read_traces(*sources, check=False)
    violations = find_violations(frame, spec, hardware)
    kept, broken = drop_invalid(frame, violations)
    if not len(broken):
        return kept, None
    path = output.with_name(f"{output.stem}.dropped.parquet")
    # A column of several types, as broken rows may have, is text in a file.
    mixed = [name for name in broken if broken[name].dtype == object]
    with writing(path):
        write_table(broken.astype(dict.fromkeys(mixed, str)), path)
    rows = counted(len(frame), "row")
    note(f"left out for breaking a rule: {len(broken):,} of {rows}; see {path}")
    note(report(violations))
    return kept, Dropped(len(broken), path)


def hardware_with(data: PosteriorData, path: Path | None) -> HardwareTable:
    """Return the hardware table, with the GPUs that a posterior was fitted with.

    Parameters
    ----------
    data : PosteriorData
    path : Path or None
        The user's own GPUs and values.

    Raises
    ------
    HardwareError
        If the file breaks a rule.
    """
    from bayeslat.features.hardware import load_hardware

    table = load_hardware(path)
    changed = [
        key
        for key, gpu in data.hardware.items()
        if path and key in table.gpus and table.gpus[key].fields() != gpu.fields()
    ]
    if changed:
        note(
            f"{path}: {', '.join(changed)}: the posterior keeps the values that it was fitted "
            "with; fit again to change them"
        )
    return table.extended(data.hardware)


def draw_configs(
    frame: pd.DataFrame, spec: Spec, gpu: Gpu, hardware: HardwareTable, count: int, seed: int
) -> pd.DataFrame:
    """Draw some of a GPU's configurations at random, with all of their repeats.

    Parameters
    ----------
    frame : DataFrame, one row a measurement
        Not checked; of any GPUs.
    spec : Spec
    gpu : Gpu
    hardware : HardwareTable
    count : int
    seed : int

    Returns
    -------
    DataFrame, one row a measurement

    Raises
    ------
    InputError
        If there are not so many.
    TraceError
        With every row of the GPU that breaks a rule.
    """
    import numpy as np

    from bayeslat.features.admit import admit
    from bayeslat.inference.calibrate import rows_of
    from bayeslat.inference.repeats import number_configs

    own = admit(rows_of(frame, gpu, hardware), spec, hardware)
    label = number_configs(own[[name for name in (*spec.knobs, "task") if name in own]])
    held = np.unique(label)
    if count > len(held):
        raise InputError(
            f"-n {count}: the traces hold {counted(len(held), 'configuration')} of {gpu.key}; "
            "ask for at most as many"
        )
    chosen = np.random.default_rng(seed).choice(held, count, replace=False)
    return own[np.isin(label, chosen)]


def choose_configs(
    spec: Spec, file: str | None, count: int | None, knobs: Sequence[str], seed: int
) -> pd.DataFrame:
    """Read configurations, or draw them from ranges of the knobs.

    Parameters
    ----------
    spec : Spec
    file : str or None
        A table of configurations, a folder or a glob.
    count : int or None
        How many to draw, without a file.
    knobs : sequence of str
        `name=low:high`, as `parse_knobs` reads it.
    seed : int

    Returns
    -------
    DataFrame, one row a config

    Raises
    ------
    InputError
        If both or neither are given, or with every knob that has no range or is unknown.
    """
    from bayeslat.features.knob_range import parse_knobs
    from bayeslat.model.sample_configs import sample_configs
    from bayeslat.traces import read_configs

    if file is not None and count is None and not knobs:
        return read_configs(file, check=False)  # simulating tells all that is wrong at once
    if file is not None or count is None:
        raise InputError("give either --configs FILE, or -n N with a --knob range for each knob")
    ranges = parse_knobs(knobs)
    wanted = (*spec.knobs, *(["task"] if spec.uses_task else []))
    given = [each.name for each in ranges]
    missing = [name for name in wanted if name not in given]
    unknown = [name for name in given if name not in (*wanted, "task")]
    problems = []
    if missing:
        problems.append(f"no range of knob {', '.join(missing)}; add --knob NAME=LOW:HIGH for each")
    if unknown:
        problems.append(f"spec {spec.name!r} has no knob {', '.join(unknown)}; take it out")
    if problems:
        raise InputError("; ".join(problems))
    return sample_configs(ranges, count, seed)


def read_parameters(path: Path) -> SimulationParameters:
    """Read the true parameters that `simulate` wrote beside a trace.

    Raises
    ------
    InputError
        If the file cannot be read, or with every rule that it breaks.
    """
    from bayeslat.model.simulation_parameters import SimulationParameters

    try:
        return SimulationParameters.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); name a file that `bayeslat simulate` wrote"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is not UTF-8 text; name a file that `bayeslat simulate` wrote"
        ) from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_alpha(text: str | None) -> tuple[float, float, float] | None:
    """Read three numbers, with commas between them; None without any.

    Raises
    ------
    InputError
        If they are not three numbers.
    """
    if text is None:
        return None
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"alpha is {text!r}; give three numbers of us, as in --alpha 15000,800,50"
        ) from None
    return first, second, third
