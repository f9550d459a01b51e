"""A model and its server, as a posterior knows them and as BLIS sees them."""

from __future__ import annotations

from collections.abc import Mapping

from bayeslat.errors import HardwareError, InputError
from bayeslat.export.blis_basis import BlisModel
from bayeslat.features.gpu import Gpu
from bayeslat.inference.posterior import PosteriorData

__all__ = ["blis_model", "find_stack", "model_knobs", "peak_tflops"]

_SIZES = ("layers", "hidden", "heads", "kv_heads", "intermediate", "dtype_bytes")
_EXPERTS = ("experts", "experts_per_token", "moe_intermediate")


def find_stack(data: PosteriorData, gpu: Gpu, model: str) -> str:
    """Return the stack of a model: that of this GPU, or else of another.

    Parameters
    ----------
    data : PosteriorData
    gpu : Gpu
    model : str

    Raises
    ------
    InputError
        If no stack, or several of the GPU, are of this model.
    """
    groups = [*data.groups, *data.targets]
    known = list(dict.fromkeys(stack for _, stack in groups))
    of_model = [stack for stack in known if stack == model or stack.endswith(f"/{model}")]
    own = [stack for name, stack in groups if name == gpu.key and stack in of_model]
    found = list(dict.fromkeys(own or of_model))
    if not found:
        models = ", ".join(dict.fromkeys(stack.rpartition("/")[2] for stack in known))
        raise InputError(f"model {model!r} is in no group of the posterior; it has {models}")
    if len(found) > 1:
        raise InputError(
            f"model {model!r} ran under several stacks ({', '.join(found)}); name one, as in "
            f"--model {found[0]}"
        )
    return found[0]


def model_knobs(data: PosteriorData, gpu: Gpu, stack: str) -> dict[str, float]:
    """Return the knobs that are the same in all rows of a stack.

    Parameters
    ----------
    data : PosteriorData
    gpu : Gpu
        Its own rows come first.
    stack : str

    Raises
    ------
    InputError
        If the sizes of the model are not among them.
    """
    found: dict[str, float] = {}
    targets = {group: target.rows for group, target in data.targets.items() if len(target.rows)}
    for group in sorted(targets, key=lambda group: group[0] != gpu.key):
        if group[1] == stack:
            rows = targets[group]
            found |= {
                knob: float(rows[knob].iloc[0])
                for knob in data.spec.knobs
                if rows[knob].nunique() == 1 and knob not in found
            }
    constants = data.attrs.get("constants", [{}] * len(data.groups))
    held = list(zip(data.groups, constants, strict=True))
    for (_, name), knobs in sorted(held, key=lambda each: each[0][0] != gpu.key):
        if name == stack:
            found = {**knobs, **found}
    lacking = [name for name in _SIZES if name not in found]
    if lacking:
        raise InputError(
            f"the rows of {stack!r} do not say what the model's {', '.join(lacking)} are, once and "
            "for all: fit traces with these columns, of one model a stack"
        )
    return found


def blis_model(knobs: Mapping[str, float], gpu: Gpu, tensor_parallel: int) -> BlisModel:
    """Describe a model on a GPU.

    Parameters
    ----------
    knobs : mapping of str to float
        Of `model_knobs`.
    gpu : Gpu
    tensor_parallel : int

    Raises
    ------
    HardwareError
        If the data sheet has no peak for the model's type.
    """
    width = knobs["dtype_bytes"]
    peak = peak_tflops(gpu, width)
    whole = {name: int(knobs[name]) for name in _SIZES if name != "dtype_bytes"}
    experts = {name: int(knobs.get(name, 0)) for name in _EXPERTS}
    return BlisModel(
        **whole,
        **experts,
        weight_bytes=width,
        tensor_parallel=tensor_parallel,
        tflops=(gpu.fp8_tflops or peak) if width == 1 else peak,
        mem_bw_TBps=gpu.mem_bw_GBps / 1000.0,
    )


def peak_tflops(gpu: Gpu, weight_bytes: float) -> float:
    """Return the peak that BLIS takes for all types but those of one byte.

    Parameters
    ----------
    gpu : Gpu
    weight_bytes : float
        Of a parameter.

    Raises
    ------
    HardwareError
        If the data sheet does not have it.
    """
    field = "fp32_tflops" if weight_bytes > 2 else "bf16_tflops"
    peak: float | None = getattr(gpu, field)
    if peak is None:
        raise HardwareError(
            f"{gpu.key} has no {field}, which BLIS needs: describe the GPU in a file and pass "
            "--hardware FILE"
        )
    return peak
