"""A model and its server, as a posterior knows them and as BLIS sees them."""

from __future__ import annotations

from collections.abc import Mapping

from bayeslat.errors import HardwareError, InputError
from bayeslat.export.blis_basis import BlisModel
from bayeslat.features.gpu import Gpu
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.settings import group_settings, knob_values

__all__ = ["blis_model", "cache_blocks", "find_stack", "model_knobs", "peak_tflops"]

_SIZES = ("layers", "hidden", "heads", "kv_heads", "intermediate", "dtype_bytes")
_TP = "tensor_parallel"
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


def model_knobs(
    data: PosteriorData, gpu: Gpu, stack: str, tensor_parallel: int
) -> dict[str, float]:
    """Return what the rows of a stack say of its model and server.

    Parameters
    ----------
    data : PosteriorData
    gpu : Gpu
        What its own rows say counts; those of other GPUs, where it has none.
    stack : str
    tensor_parallel : int
        Rows with this one come first.

    Raises
    ------
    InputError
        If the sizes of the model are not among them.
    """
    found = _settings(data, (gpu.key, stack), tensor_parallel)
    if not found:
        for group in dict.fromkeys((*data.groups, *data.targets)):
            if group[1] == stack:
                found = {**_settings(data, group, tensor_parallel), **found}
    lacking = [name for name in _SIZES if name not in found]
    if lacking:
        raise InputError(
            f"the rows of {stack!r} do not say what the model's {', '.join(lacking)} are, once and "
            "for all: fit traces with these columns, of one model a stack"
        )
    return found


def cache_blocks(data: PosteriorData, gpu: Gpu, stack: str, tensor_parallel: int) -> int:
    """Return the blocks of the cache of a GPU's server, 0 where its rows do not say.

    Parameters
    ----------
    data : PosteriorData
    gpu : Gpu
    stack : str
    tensor_parallel : int
        Where no row has it, the blocks are those of the next one below, or else above, in
        proportion.
    """
    group = (gpu.key, stack)
    known = knob_values(data, group, _TP) or [tensor_parallel]
    nearest = max((each for each in known if each <= tensor_parallel), default=min(known))
    blocks = _settings(data, group, nearest).get("kv_blocks", 0.0)
    return int(blocks * tensor_parallel / nearest)


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
    told = knobs.get("weight_bytes") or knobs["dtype_bytes"]
    if knobs.get("experts"):  # of most weights
        told = knobs.get("expert_weight_bytes") or told
    width = round(8 * told) / 8  # BLIS reads whole bits: without the scales of quantised weights
    peak = peak_tflops(gpu, width)
    whole = {name: int(knobs[name]) for name in _SIZES if name != "dtype_bytes"}
    experts = {name: int(knobs.get(name, 0)) for name in _EXPERTS}
    if experts["experts"] and not experts["moe_intermediate"]:
        experts["moe_intermediate"] = whole["intermediate"]
    return BlisModel(
        **whole,
        **experts,
        weight_bytes=width,
        tensor_parallel=tensor_parallel,
        tflops=(gpu.fp8_tflops or peak) if width == 1 else peak,
        mem_bw_TBps=gpu.mem_bw_GBps / 1000.0,
    )


def _settings(
    data: PosteriorData, group: tuple[str, str], tensor_parallel: float
) -> dict[str, float]:
    """Settings of a group at a tensor parallelism, and those that it has at every one."""
    return {**group_settings(data, group), **group_settings(data, group, (_TP, tensor_parallel))}


def peak_tflops(gpu: Gpu, weight_bytes: float) -> float:
    """Return the peak that BLIS takes for all types but those of one byte.

    Of 16 bits it is fp16's on a chip without bf16.

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
    if weight_bytes <= 2:
        return gpu.peak_tflops
    if gpu.fp32_tflops is None:
        raise HardwareError(
            f"{gpu.key} has no fp32_tflops, which BLIS needs: describe the GPU in a file and pass "
            "--hardware FILE"
        )
    return gpu.fp32_tflops
