"""What commands read beside rows: specifications, configurations, data sheets, true parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bayeslat.cli_run import note
from bayeslat.cli_values import split_names
from bayeslat.counted import counted
from bayeslat.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from bayeslat.features.gpu import Gpu
    from bayeslat.features.hardware import HardwareTable
    from bayeslat.features.spec import Spec
    from bayeslat.model.simulation_parameters import SimulationParameters

__all__ = [
    "choose_configs",
    "choose_spec",
    "draw_configs",
    "hardware_with",
    "measured_gpus",
    "read_parameters",
]


def choose_spec(model: Path, stages: str | None) -> Spec:
    """Read a specification, with some of its stages if they are named.

    Parameters
    ----------
    model : Path
    stages : str or None
        Names that commas separate; all stages if none are given.

    Raises
    ------
    InputError
        If a name is empty or none of its stages.
    SpecError
        If the specification breaks a rule.
    """
    from bayeslat.features.spec import load_spec

    spec, chosen = load_spec(model), split_names(stages, "--stages")
    return spec.only(chosen) if chosen else spec


def measured_gpus(frame: pd.DataFrame, hardware: HardwareTable) -> tuple[str, ...]:
    """Return the GPUs of a trace that the hardware table knows, by key, in order."""
    names = frame["gpu"].dropna().astype(str).unique() if "gpu" in frame else ()
    found = [hardware.find(name) for name in names]
    return tuple(sorted({gpu.key for gpu in found if gpu is not None}))


def hardware_with(fitted: Mapping[str, Gpu], path: Path | None) -> HardwareTable:
    """Return the hardware table, with the GPUs that a posterior, or statistics, stand on.

    Parameters
    ----------
    fitted : mapping of GPU key to Gpu
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
        for key, gpu in fitted.items()
        if path and key in table.gpus and table.gpus[key].fields() != gpu.fields()
    ]
    if changed:
        note(
            f"{path}: {', '.join(changed)}: the values that were fitted, or compressed, with are "
            "kept; do so anew to change them"
        )
    return table.extended(fitted)


def draw_configs(
    frame: pd.DataFrame, spec: Spec, gpu: Gpu, hardware: HardwareTable, count: int, seed: int
) -> pd.DataFrame:
    """Draw some of the configurations that a GPU measured, with all of their repeats.

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
    from bayeslat.features.gpu_rows import gpu_rows
    from bayeslat.inference.rows.repeats import number_configs
    from bayeslat.inference.rows.stage_rows import with_latency

    own = with_latency(spec, admit(gpu_rows(frame, [gpu.key], hardware), spec, hardware))
    label = number_configs(own[spec.config_columns(own)])
    held = np.unique(label)
    if count > len(held):
        raise InputError(
            f"-n {count}: the traces hold latencies of {counted(len(held), 'configuration')} of "
            f"{gpu.key}; "
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
        If both or neither are given, or with every knob that is unknown, or has neither a range nor
        a default.
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
    missing = [name for name in wanted if name not in given and name not in spec.defaults]
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
