"""Reading and checking a file of GPUs: every broken rule, with its cure."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bayeslat.errors import HardwareError
from bayeslat.features.gpu import FIELDS, PEAKS, Gpu, fold_name

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["build_gpu", "lines_to_fill", "read_entries", "shorten"]

_SHOWN_CHARACTERS = 80


def read_entries(path: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the tables under ``gpus`` of a TOML file, and what is wrong with its layout.

    Raises
    ------
    HardwareError
        When the file cannot be read or is not TOML.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise HardwareError(
            f"{path}: cannot be read ({error.strerror}); give the path of a readable TOML file"
        ) from error
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or nested too deeply
        raise HardwareError(
            f"{path}: is not valid TOML ({error}); write UTF-8 text, one table [gpus.KEY] per GPU"
        ) from error
    problems = [
        f"{shorten(name)} stands outside [gpus.KEY]; put every value into the table of a GPU"
        for name in document
        if name != "gpus"
    ]
    tables = document.get("gpus")
    if not isinstance(tables, dict):
        return {}, [*problems, "has no table [gpus.KEY]; add one for each GPU"]
    problems += [
        f"gpus.{shorten(key)} = {shorten(value)} must be a table; write [gpus.{_toml_key(key)}]"
        for key, value in tables.items()
        if not isinstance(value, dict)
    ]
    return {key: value for key, value in tables.items() if isinstance(value, dict)}, problems


def build_gpu(
    label: str, key: str, entry: dict[str, Any], old: Gpu | None, source: str
) -> tuple[Gpu | None, list[str]]:
    """Return the GPU that an entry describes, or None, and every rule that the entry breaks.

    Parameters
    ----------
    label : str
        The name in the brackets of the entry; messages show it.
    key : str
        The key of the GPU: `label`, or the key of `old`.
    entry : dict
        Field values as read from the file.
    old : Gpu or None
        The GPU whose values the entry replaces, or None for a new GPU.
    source : str
        The source of a new GPU that states none.
    """
    values = _complete(key, entry, old, source)
    where = f"[gpus.{_toml_key(label)}]"
    try:
        return Gpu.model_validate(values), []
    except ValidationError as error:
        broken = [f"{where} {_explain(item)}" for item in error.errors() if item["loc"]]
    # Pydantic checks the whole only when every field is right; users want it at once.
    if not any(peak in values for peak in PEAKS):
        broken.append(f"{where} has no peak; add at least one of {', '.join(PEAKS)}")
    return None, broken


def lines_to_fill(key: str, fields: tuple[str, ...], name: str = "") -> str:
    """Return TOML lines for the entry `key`, also known as `name`, with values to fill in.

    The values are 0: that parses, and is refused until it has been replaced.
    """
    lines = [f"[gpus.{_toml_key(key)}]"]
    if name:
        lines.append(f"aliases = [{_toml_string(name)}]")
    lines += [f"{field} = 0  # {Gpu.model_fields[field].description}" for field in fields]
    return "\n".join(lines)


def shorten(value: object) -> str:
    """Return the value as messages show it, at most about 80 characters long."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def _complete(key: str, entry: dict[str, Any], old: Gpu | None, source: str) -> dict[str, Any]:
    """Return the entry with the values it leaves out; aliases add to those of `old`."""
    # A user's `key` would rename the entry; as an unknown field it is reported instead.
    entry = {("key (a field)" if name == "key" else name): v for name, v in entry.items()}
    if old is None:
        name = key if fold_name(key) else "unnamed"  # an empty key is reported as such, once
        return {"name": name, "family": name, "source": source} | entry | {"key": key}
    kept = old.model_dump(exclude_none=True)
    added = entry.get("aliases", [])
    aliases = [*kept["aliases"], *added] if isinstance(added, list) else added
    return kept | entry | {"aliases": aliases}


def _explain(error: ErrorDetails) -> str:
    """Return one line for one broken field: the value, the rule and the cure."""
    name = str(error["loc"][0])
    info = Gpu.model_fields.get(name)
    if name == "key":
        return "has no letter or digit in its key; name the GPU in the brackets"
    if info is None:
        known = [field for field in Gpu.model_fields if field != "key"]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        return f"{shorten(name)} is not a field of a GPU; {hint}"
    if error["type"] == "missing":
        return f"{name} is missing; add `{name} = VALUE` ({info.description})"
    rule = "a positive, finite number"
    if name == "num_sm":
        rule = "a positive whole number"
    elif name == "aliases":
        rule = "a list of quoted names that hold a letter or digit"
    elif name not in FIELDS:
        rule = "quoted text that holds a letter or digit"
    return f"{name} = {shorten(error['input'])} must be {rule} ({info.description})"


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml_string(key)


def _toml_string(text: str) -> str:
    # JSON strings are TOML strings, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
