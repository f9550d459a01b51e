"""Which GPU, stack and model the rows belong to: what the files say, and what the user says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bayeslat.counted import counted
from bayeslat.errors import InputError, TraceError
from bayeslat.traces.importers.settings import Settings

__all__ = ["Groups", "settle_groups"]

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Groups:
    """What rows get whose file says nothing, or other than the user; None leaves them.

    Attributes
    ----------
    gpu, stack, model : str or None
    only_model : str or None
        The model that rows have to be of.
    overruled_gpu : str or None
        The GPU that rows name, where the user names one.
    """

    gpu: str | None
    stack: str | None
    model: str | None
    only_model: str | None
    overruled_gpu: str | None


def settle_groups(
    settings: Settings, named: Mapping[str, Counter[str | None]], files: str
) -> Groups:
    """Join what the user says with what the usable rows say.

    Parameters
    ----------
    settings : Settings
    named : mapping of {"gpu", "stack", "model"} to Counter
        How many rows name each; None counts those that name none.
    files : str
        What to call the files in messages.

    Returns
    -------
    Groups

    Raises
    ------
    InputError
        Rows name no GPU, or the user names one GPU or stack for files that name several.
    TraceError
        Rows are of several models, or none of the wanted one.
    """
    if settings.gpu is None and named["gpu"][None]:
        raise InputError(
            f"{files}: {counted(named['gpu'][None], 'row does', 'rows do')} not say which GPU they "
            "were measured on; add --gpu with its key or alias of the hardware table"
        )
    for group, wanted in (("gpu", settings.gpu), ("stack", settings.stack)):
        said = [name for name in named[group] if name is not None]
        if wanted is not None and len(said) > 1:
            raise InputError(
                f"--{group} {wanted}: the files name several ({_counted(named[group])}); import "
                f"their files one by one, or leave --{group} out"
            )
    models = [name for name in named["model"] if name is not None]
    if settings.model is None and len(models) > 1:
        raise TraceError(
            f"{files}: rows of several models ({_counted(named['model'])}), which one trace cannot "
            "hold: a spec is of one model; choose with --served-model"
        )
    if settings.model is not None and models and settings.model not in models:
        raise TraceError(
            f"{files}: no row is of the model {settings.model!r} ({_counted(named['model'])}); "
            "choose one of them with --served-model, or leave it out"
        )
    only = models[0] if len(models) == 1 else None
    overruled = next(filter(None, named["gpu"]), None) if settings.gpu else None
    model = settings.model or only
    return Groups(settings.gpu, settings.stack, model, settings.model, overruled)


def _counted(names: Counter[str | None]) -> str:
    """Return names with their numbers of rows, the most frequent first."""
    said = [f"{name}: {count}" for name, count in names.most_common() if name is not None]
    return ", ".join(said[:_SHOWN]) + (", ..." if len(said) > _SHOWN else "")
