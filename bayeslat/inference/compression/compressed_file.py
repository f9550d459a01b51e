"""The file of a compressed trace: a sealed NetCDF file, as a posterior's.

Groups: `stages/<stage>` (the settled point), `windows/<stage>` (statistics, side by side),
`reference` (the knob grid) and `sample` (some of the rows).
"""

from __future__ import annotations

import json
from pathlib import Path

import xarray as xr

from bayeslat.errors import SpecError, StatisticsFileError
from bayeslat.features.gpu import Gpu
from bayeslat.features.spec import Spec
from bayeslat.inference.compression.compressed import Compressed
from bayeslat.inference.rows.settled import SettledPoint
from bayeslat.inference.storage.labelled import read_table, table_group
from bayeslat.inference.storage.sealed_file import SealedKind
from bayeslat.inference.storage.tree_settled import read_settled, settled_group
from bayeslat.inference.storage.tree_sums import read_windows, window_groups
from bayeslat.model.groups import label_group
from bayeslat.model.priors import stage_features

__all__ = ["check_statistics_path", "read_compressed", "write_compressed"]

_KIND = SealedKind(
    format="bayeslat statistics",
    version=1,
    noun="statistics",
    told="statistics are kept in",
    maker="bayeslat compress",
    again="compress the traces again",
    error=StatisticsFileError,
)


def check_statistics_path(path: str | Path) -> Path:
    """Return the path of statistics to be written, if it can be one.

    Raises
    ------
    InputError
        If the name does not end in .nc, or is a folder's.
    """
    return _KIND.check_path(path)


def write_compressed(data: Compressed, path: str | Path) -> None:
    """Write a compressed trace, whole or not at all.

    Equal ones make equal files, byte for byte.

    Parameters
    ----------
    data : Compressed
    path : str or Path
        Ends in .nc. Missing folders are made.

    Raises
    ------
    InputError
        If the name does not end in .nc, or is a folder's.
    """
    _KIND.write(_to_tree(data), path)


def read_compressed(path: str | Path) -> Compressed:
    """Read a compressed trace.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Compressed

    Raises
    ------
    StatisticsFileError
        If the file is missing, cut short, changed, of another format version, or holds none.
    """
    tree = _KIND.read(path)
    try:
        data = _from_tree(tree)
    except (KeyError, ValueError, TypeError, SpecError) as error:
        raise StatisticsFileError(
            f"{path}: holds statistics that cannot be rebuilt ({error}); compress the traces again"
        ) from error
    if data.point.spec.hash != tree.attrs["spec_hash"]:
        raise StatisticsFileError(
            f"{path}: its specification means something else to this version of bayeslat; "
            "compress the traces again, or use the version that wrote it"
        )
    return data


def _to_tree(data: Compressed) -> xr.DataTree:
    point = data.point
    labels = [label_group(*group) for group in point.groups]
    names = {
        stage: stage_features(point.spec, stage, part.basis).names
        for stage, part in point.stages.items()
    }
    hardware = {key: gpu.model_dump(mode="json") for key, gpu in point.hardware.items()}
    attrs = {
        "spec": point.spec.dumps(),
        "spec_hash": point.spec.hash,
        "hardware": json.dumps(hardware),
        "groups": json.dumps(point.groups),
        "settled_hash": point.hash,
        "rows": data.rows,
        "attrs": json.dumps(dict(data.attrs)),
    }
    groups = {"/": xr.Dataset(attrs=attrs)}
    groups["reference"] = table_group(point.reference, "config")
    groups["sample"] = table_group(data.sample, "row")
    for stage, part in point.stages.items():
        groups[f"stages/{stage}"] = settled_group(part, names[stage], point.gpus, labels)
    groups |= window_groups(data.windows, names, labels)
    return xr.DataTree.from_dict(groups)


def _from_tree(tree: xr.DataTree) -> Compressed:
    attrs = tree.attrs
    spec = Spec.loads(attrs["spec"])
    named = ("gpu", "stack", "task", *spec.stack_columns, *spec.knobs)
    columns = [*named, *spec.latency_columns]
    point = SettledPoint(
        spec=spec,
        hardware={key: Gpu(**entry) for key, entry in json.loads(attrs["hardware"]).items()},
        groups=tuple((gpu, stack) for gpu, stack in json.loads(attrs["groups"])),
        reference=read_table(tree["reference"].dataset, [*spec.knobs, "task"]),
        stages={
            stage: read_settled(tree["stages"].children[stage].dataset) for stage in spec.stages
        },
    )
    return Compressed(
        point=point,
        windows=read_windows(tree, list(spec.stages)),
        sample=read_table(tree["sample"].dataset, list(dict.fromkeys(columns))),
        attrs=json.loads(attrs["attrs"]),
    )
