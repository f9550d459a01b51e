"""Where the rows of a collection come from."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata

from pydantic import JsonValue

from bayeslat.collect.backend import load_torch, load_transformers
from bayeslat.collect.vlm import Source, kernels, read_config
from bayeslat.traces import Provenance

__all__ = ["describe_origin"]


def describe_origin(
    source: Source,
    device: Mapping[str, JsonValue],
    *,
    seed: int,
    run: Mapping[str, JsonValue],
) -> Provenance:
    """Return the provenance of the rows that a run adds to a trace.

    Parameters
    ----------
    source : Source
        The model.
    device : mapping of str to JSON value
        What the device says of itself, and how it is used.
    seed : int
        Seed of random weights and inputs.
    run : mapping of str to JSON value
        What is asked of this run: it may differ between the runs of one trace.
    """
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    config = read_config(source)
    return Provenance.model_validate(
        {
            "source": "measured",
            "collected_at": now,
            "tool": f"bayeslat {_version()} collect vlm",
            "gpu": dict(device),
            "architecture": _plain(config.to_diff_dict()),
            "software": {
                "python": platform.python_version(),
                "torch": str(load_torch().__version__),
                "transformers": str(load_transformers().__version__),
            },
            "parameters": {
                "weights": "random" if source.random_weights else source.name,
                "seed": seed,
                **kernels(config),
            },
            "runs": [{"started_at": now, **run}],
        }
    )


def _version() -> str:
    """Return the version of bayeslat; a measuring machine may run it from its source folder."""
    try:
        return metadata.version("bayeslat")
    except metadata.PackageNotFoundError:
        return "from source"


def _plain(value: object) -> JsonValue:
    """Return a configuration's values as JSON has them."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
