"""The importers by name."""

from __future__ import annotations

import difflib
from importlib import import_module

from bayeslat.errors import InputError
from bayeslat.traces.importers.importer import Importer

__all__ = ["FORMATS", "all_importers", "find_importer"]

#: Each format's module holds its `IMPORTER`. Modules load when they are used: asking for help
#: needs the names alone.
FORMATS: tuple[str, ...] = (
    "vllm_logger",
    "vllm_bench",
    "guidellm",
    "aiperf",
    "vllm_otel",
    "blis_journey",
    "inference_perf",
    "blis_trace",
    "optimum_benchmark",
    "llmd_predictor",
    "aiconfigurator",
)


def find_importer(name: str) -> Importer:
    """Return an importer.

    Parameters
    ----------
    name : str
        A format's name; - stands for _.

    Raises
    ------
    InputError
        There is none of this name; the message lists those there are.
    """
    wanted = name.strip().lower().replace("-", "_")
    if wanted not in FORMATS:
        near = difflib.get_close_matches(wanted, FORMATS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InputError(
            f"no importer reads the format {name!r}; {hint}there are {', '.join(FORMATS)}"
        )
    found: Importer = import_module(f"bayeslat.traces.importers.{wanted}").IMPORTER
    return found


def all_importers() -> tuple[Importer, ...]:
    """Return every importer, in the order of `FORMATS`."""
    return tuple(find_importer(name) for name in FORMATS)
