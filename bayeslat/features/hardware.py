"""The hardware table: GPUs found by any of their names, and what users add to it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from bayeslat.counted import counted, listed
from bayeslat.errors import HardwareError, InputError
from bayeslat.features.frozen_map import FrozenMap
from bayeslat.features.gpu import FIELDS, PEAKS, Gpu, fold_name
from bayeslat.features.hardware_file import build_gpu, lines_to_fill, read_entries, shorten
from bayeslat.paths import as_path

__all__ = ["FIELDS", "Gpu", "HardwareTable", "explain_missing", "load_hardware", "missing_fields"]

_SHIPPED = Path(__file__).with_name("gpus.toml")
_COMPARED_CHARACTERS = 80


@dataclass(frozen=True, repr=False)
class HardwareTable:
    """GPUs by key, found by key, data-sheet name or alias.

    Attributes
    ----------
    gpus : Mapping of str to Gpu
        Read-only.

    Raises
    ------
    HardwareError
        When two GPUs claim the same name.
    """

    gpus: Mapping[str, Gpu]
    _keys: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the names, and copy the mapping so that nobody can change it."""
        keys, clashes = _index(self.gpus.values())
        if clashes:
            raise HardwareError(_report("hardware table", clashes))
        object.__setattr__(self, "gpus", FrozenMap(self.gpus))
        object.__setattr__(self, "_keys", FrozenMap(keys))

    def __repr__(self) -> str:
        return f"<HardwareTable of {counted(len(self.gpus), 'GPU')}: {listed(self.gpus)}>"

    def find(self, name: str) -> Gpu | None:
        """Return the GPU that `name` means, or None; see `resolve`."""
        key = self._keys.get(fold_name(name))
        return None if key is None else self.gpus[key]

    def resolve(self, name: str, needed: Iterable[str] = ()) -> Gpu:
        """Return the GPU that `name` means; case, spaces, ``-`` and ``_`` make no difference.

        Parameters
        ----------
        name : str
        needed : iterable of str
            Hardware fields that a spec uses: the lines to add for an unknown GPU ask for them.

        Raises
        ------
        InputError
            When the name is no text.
        HardwareError
            When no GPU has this name; the message shows the nearest keys and the lines to add.
        """
        if not isinstance(name, str):
            raise InputError(f"gpu is {name!r}; name one of the hardware table, as 'h100_sxm'")
        gpu = self.find(name)
        if gpu is None:
            raise HardwareError(self._explain_unknown(name, needed))
        return gpu

    def nearest(self, name: str, n: int = 3) -> tuple[str, ...]:
        """Return the keys of the `n` GPUs whose key, name or alias is most like `name`."""
        folded = fold_name(name[:_COMPARED_CHARACTERS])
        labels = difflib.get_close_matches(folded, self._keys, n=len(self._keys) or 1, cutoff=0.0)
        return tuple(dict.fromkeys(self._keys[label] for label in labels))[:n]

    def require(self, gpu: str, field: str) -> float:
        """Return one numeric field of a GPU, in the unit that its name states.

        Raises
        ------
        HardwareError
            When the GPU or the field is unknown, or the GPU has no value for the field; the
            message shows the lines to add.
        """
        entry = self.resolve(gpu)
        values = entry.fields()
        if field not in FIELDS:
            raise HardwareError(f"{field!r} is not a hardware field; known: {', '.join(FIELDS)}")
        if field not in values:
            raise HardwareError(explain_missing(entry, (field,)))
        return values[field]

    def extended(self, gpus: Mapping[str, Gpu]) -> HardwareTable:
        """Return the table with the GPUs of a fit, whose names and values come before its own.

        Parameters
        ----------
        gpus : Mapping of str to Gpu
            By key. Where the table has the key too, its aliases are added.
        """
        claimed = set(_index(gpus.values())[0])
        merged = dict(gpus)
        for key, gpu in self.gpus.items():
            free = tuple(name for name in gpu.aliases if fold_name(name) not in claimed)
            if key in gpus:
                merged[key] = gpus[key].model_copy(update={"aliases": gpus[key].aliases + free})
            elif claimed.isdisjoint({fold_name(key), fold_name(gpu.name)}):
                merged[key] = gpu.model_copy(update={"aliases": free})
        return HardwareTable(merged)

    def _explain_unknown(self, name: str, needed: Iterable[str]) -> str:
        key = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "my_gpu"
        while fold_name(key) in self._keys:
            key += "_new"
        return (
            f"GPU {shorten(name)} is not in the hardware table; nearest:"
            f" {', '.join(self.nearest(name))}. If it is none of them, save these lines as FILE,"
            " fill in the values of its data sheet, and pass `--hardware FILE`:\n\n"
            + lines_to_fill(
                key,
                _fields_to_fill(needed),
                name=name if fold_name(name) not in ("", fold_name(key)) else "",
            )
        )


def _fields_to_fill(needed: Iterable[str]) -> tuple[str, ...]:
    """Return what an entry must hold, and what a spec uses of it; `peak_tflops` follows."""
    asked = {*needed, "mem_bw_GBps", "boost_GHz", "l2_MB"} - {"peak_tflops"}
    if asked.isdisjoint(PEAKS):
        asked.add("bf16_tflops")
    return tuple(field for field in FIELDS if field in asked)


def missing_fields(gpu: Gpu, needed: Iterable[str]) -> tuple[str, ...]:
    """Return the hardware fields that are needed and that a GPU has no value of."""
    given = gpu.fields()
    return tuple(field for field in needed if field not in given)


def explain_missing(gpu: Gpu, fields: tuple[str, ...]) -> str:
    """Say that a GPU has no value of some fields, with the lines to add."""
    return (
        f"GPU {gpu.key!r} has no {', '.join(fields)} in the hardware table (a chip that lacks a "
        f"type has no peak for it). Use another field in the spec ({', '.join(gpu.fields())}), or"
        " save these lines as FILE, fill in the value, and pass `--hardware FILE`:\n\n"
        + lines_to_fill(gpu.key, fields)
    )


def load_hardware(path: str | Path | None = None) -> HardwareTable:
    """Return the shipped hardware table, overlaid by a user's file of the same form.

    Parameters
    ----------
    path : str or Path, optional
        TOML with one table ``[gpus.KEY]`` per GPU. Where KEY names a shipped GPU (by key, name or
        alias), the listed fields replace its values and the aliases are added; otherwise it is a
        new GPU, which needs ``mem_bw_GBps``, ``boost_GHz``, ``l2_MB`` and a peak.

    Raises
    ------
    HardwareError
        When the file cannot be read, or with every broken rule of every entry.
    InputError
        When `path` is no path.
    """
    if path is None:
        return _load_shipped()
    return _overlay(_load_shipped(), as_path(path, "hardware.toml"))


@lru_cache(maxsize=1)
def _load_shipped() -> HardwareTable:
    return _overlay(HardwareTable({}), _SHIPPED)


def _overlay(base: HardwareTable, path: Path) -> HardwareTable:
    """Return `base` with the entries of the file `path` on top."""
    entries, problems = read_entries(path)
    families = {fold_name(gpu.family): gpu.family for gpu in base.gpus.values()}
    gpus = dict(base.gpus)
    labels: dict[str, str] = {}
    for label, entry in entries.items():
        old = base.find(label)
        key = old.key if old else label
        if labels.setdefault(key, label) != label:
            problems.append(f"[gpus.{label}] and [gpus.{labels[key]}] are both {key!r}; merge them")
            continue
        gpu, broken = build_gpu(label, key, entry, old, source=path.name)
        problems += broken
        if gpu is not None:
            # One spelling a family: those who group by it compare the text.
            family = families.setdefault(fold_name(gpu.family), gpu.family)
            gpus[key] = gpu.model_copy(update={"family": family})
    problems += _index(gpus.values())[1]
    if problems:
        raise HardwareError(_report(str(path), problems))
    return HardwareTable(gpus)


def _index(gpus: Iterable[Gpu]) -> tuple[dict[str, str], list[str]]:
    """Return the key of every folded name, and the names that two GPUs claim."""
    keys: dict[str, str] = {}
    clashes: list[str] = []
    for gpu in gpus:
        for label in (gpu.key, gpu.name, *gpu.aliases):
            owner = keys.setdefault(fold_name(label), gpu.key)
            clash = (
                f"name {shorten(label)} belongs to both {owner!r} and {gpu.key!r} (case, spaces,"
                " - and _ make no difference); take it from one of them"
            )
            if owner != gpu.key and clash not in clashes:
                clashes.append(clash)
    return keys, clashes


def _report(where: str, problems: list[str]) -> str:
    count = counted(len(problems), "problem")
    lines = "".join(f"\n  - {problem}" for problem in problems)
    return f"{where}: {count} in the description of the hardware{lines}"
