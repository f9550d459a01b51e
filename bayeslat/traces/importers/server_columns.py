"""What the logger's files say of the server and its model: columns that hold for all rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bayeslat.traces.importers.importer import Tally
from bayeslat.traces.importers.vllm_log import Log
from bayeslat.traces.importers.vocabulary import Column
from bayeslat.traces.model_limits import model_limits
from bayeslat.traces.model_parts import PARTS, model_parts
from bayeslat.traces.model_sizes import DTYPE_BYTES, FIELDS, language_config, model_sizes

__all__ = ["SERVER_COLUMNS", "server_columns", "tell_of_model"]

# Of the server's configuration: column, where it stands.
_CONFIG = {
    "tensor_parallel": "tensor_parallel_size",
    "max_num_seqs": "max_num_seqs",
    "max_num_batched_tokens": "max_num_batched_tokens",
    "max_model_len": "max_model_len",
    "prefix_caching": "prefix_caching",
    "chunked_prefill": "chunked_prefill",
    "kv_block_tokens": "block_size_tokens",
    "kv_blocks": "kv_blocks",
}
_EXPERTS = ("experts", "experts_per_token", "moe_intermediate")  # 0 where a model has none
SERVER_COLUMNS = (
    Column("max_model_len", "count", "most tokens of a request"),
    Column("prefix_caching", "count", "1 if prompts are looked up in a cache, or 0"),
    Column("chunked_prefill", "count", "1 if prompts may be spread over steps, or 0"),
    Column("kv_block_tokens", "count", "tokens of a block of the KV cache"),
    Column("kv_blocks", "count", "blocks of the KV cache"),
    Column("cpu_offload_GB", "number", "weights that stay in the memory of the host, 10^9 bytes"),
    Column("dtype_bytes", "count", "bytes of a value of the activations"),
    *(
        Column(name, "count", f"of the architecture{', 0 if it has none' * (name in _EXPERTS)}")
        for name in FIELDS
    ),
    *(Column(name, "number", what) for name, what in PARTS.items()),
)
"""Those that no other importer has."""

_WHOLE = 2**53
_GIB = 2**30  # bytes


def server_columns(log: Log) -> dict[str, Any]:
    """Return the columns that hold for all rows of a file.

    Parameters
    ----------
    log : Log

    Returns
    -------
    dict of str to int, float or str
        What is not known is left out, so that `--set` can say it.
    """
    config = log.told("config")
    found: dict[str, Any] = {
        column: int(config[name])
        for column, name in _CONFIG.items()
        if isinstance(config.get(name), int) and abs(config[name]) < _WHOLE
    }
    offload = config.get("cpu_offload_GiB")
    if isinstance(offload, int | float) and 0 <= offload < _WHOLE:
        found["cpu_offload_GB"] = float(offload) * _GIB / 1e9
    dtype = str(config.get("dtype"))
    if dtype in DTYPE_BYTES:
        found["dtype_bytes"] = DTYPE_BYTES[dtype]
    if log.told("architecture"):
        found |= _architecture(log)
    if isinstance(log.told("software").get("vllm"), str):
        found["stack"] = f"vllm_{log.told('software')['vllm']}"
    if isinstance(config.get("model"), str):
        found["model"] = _model(config["model"])
    return found


def _model(name: str) -> str:
    """Return a model's name: `owner/name` as it is, of a folder the last part of its path."""
    return name if re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", name) else Path(name).name


def _language(log: Log) -> dict[str, object]:
    """Return the configuration of the language model, and how it is quantised."""
    quantised = log.told("quantization")
    told = language_config(log.told("architecture"))
    return {**told, "quantization_config": quantised} if quantised else told


def _architecture(log: Log) -> dict[str, float]:
    """Return the sizes of a model under names that are the same for all."""
    language = _language(log)
    capability = log.told("device").get("capability")  # older GPUs do not multiply all types
    parts = model_parts(language, {**log.told("config"), "capability": capability})
    sizes = {**model_sizes(language), **parts}
    found: dict[str, float] = {
        name: int(sizes[name]) for name in FIELDS if 0 < sizes.get(name, 0) < _WHOLE
    }
    found |= {name: parts[name] for name in PARTS if name in parts}
    if not found.get("experts"):
        return found | dict.fromkeys(_EXPERTS, 0)
    return {"intermediate": 0, **found}  # perhaps no layer is without


def tell_of_model(log: Log, columns: Mapping[str, object], tally: Tally) -> None:
    """Tell what the columns of a server leave out of its model.

    Parameters
    ----------
    log : Log
    columns : mapping
        Of `server_columns`.
    tally : Tally
        Is told.
    """
    config = log.told("config")
    if not log.told("architecture"):
        return
    name = _model(str(config.get("model", "the model")))
    limits = model_limits(_language(log), config)
    if limits:
        tally.note(f"{name} is more than its columns say: {'; '.join(limits)}")
    unknown = [size for size in FIELDS if size != "vocab" and size not in columns]
    if unknown:
        tally.note(
            f"the configuration of {name} does not say its {', '.join(unknown)}, once for all "
            "layers; give what models/vllm.toml asks for by --set NAME=VALUE"
        )
