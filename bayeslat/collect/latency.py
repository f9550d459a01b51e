"""Measuring one configuration from Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bayeslat.collect.collection import OUT_OF_MEMORY, Row, measured_row
from bayeslat.collect.device import choose_device, usual_dtype
from bayeslat.collect.dtypes import DTYPE_BYTES
from bayeslat.collect.knob_space import default_knobs, set_knobs
from bayeslat.collect.knobs import check_knobs
from bayeslat.collect.telemetry import open_telemetry
from bayeslat.collect.vlm import Source, Vlm, as_vlm, load_vlm
from bayeslat.counted import counted, listed
from bayeslat.errors import InputError
from bayeslat.traces import stage_columns

__all__ = ["InferenceLatency", "measure_inference_latency"]


@dataclass(frozen=True, eq=False, repr=False)
class InferenceLatency:
    """Measured latency of one configuration.

    Attributes
    ----------
    frame : DataFrame, one row a repeat
        Every repeat, with the columns of a trace.
    """

    frame: pd.DataFrame

    def __repr__(self) -> str:
        medians = listed(f"{name} {ms:.3g} ms" for name, ms in self.median_ms.items())
        return f"<InferenceLatency, median of {counted(len(self.frame), 'repeat')}: {medians}>"

    @property
    def median_ms(self) -> dict[str, float]:
        """Median over the repeats of each stage, and of their sum as `total`."""
        return {name: float(times.median()) for name, times in self._times().items()}

    @property
    def spread(self) -> dict[str, float]:
        """(largest - smallest) / median over the repeats, of each stage and of `total`."""
        return {
            name: float((times.max() - times.min()) / times.median())
            for name, times in self._times().items()
        }

    def _times(self) -> dict[str, pd.Series]:
        stages = {
            column.removeprefix("t_").removesuffix("_ms"): self.frame[column]
            for column in stage_columns(self.frame)
        }
        return {**stages, "total": self.frame["stage_sum_ms"]}


def measure_inference_latency(
    model: Any,
    *,
    image_crops: int | None = None,
    image_pixels: int | None = None,
    prompt_tokens: int | None = None,
    output_tokens: int | None = None,
    top_k: int | None = None,
    active_blocks: int | None = None,
    batch_size: int | None = None,
    task: str | None = None,
    dtype: str | None = None,
    device: str | None = None,
    repeats: int = 3,
    seed: int = 0,
) -> InferenceLatency:
    """Measure the stage latencies of one configuration of a vision-language model.

    Parameters
    ----------
    model : PreTrainedModel, Vlm, Source, str or Path
        A loaded model of transformers; or a Hugging Face folder or id, which is loaded.
    image_crops, image_pixels, prompt_tokens, output_tokens : int, optional
        Lengths of a sequence, see `Knobs`; by default one crop of the model's own size.
    top_k, active_blocks, batch_size : int, optional
        As many experts as the model was trained with, all blocks and one sequence by default.
    task : {"qa", "captioning"}, optional
        Sets the lengths of prompt and output that are not given.
    dtype : {"float32", "bfloat16", "float16"}, optional
        Dtype to load the model in: by default bfloat16 on a GPU (float16 before Ampere) and
        float32 on a CPU; not for a loaded model, which has its own.
    device : str, optional
        Torch device to load the model on: the first GPU by default, or the CPU; not for a loaded
        model.
    repeats : int
        Measurements; each after passes that warm it up.
    seed : int
        Seed of pixels and text.

    Returns
    -------
    InferenceLatency
        Every repeat, their median and spread.

    Raises
    ------
    InputError
        If a value is impossible for the model, with every reason; if the memory is too small; or
        if torch or transformers is not installed.
    """
    if repeats < 1:
        raise InputError(f"repeats = {repeats}: at least one measurement is needed")
    vlm = _loaded(model, dtype, device, seed)
    given: dict[str, int | str | None] = {
        "image_crops": image_crops,
        "image_pixels": image_pixels,
        "prompt_tokens": prompt_tokens,
        "output_tokens": output_tokens,
        "top_k": top_k,
        "active_blocks": active_blocks,
        "batch_size": batch_size,
        "task": task,
    }
    base = default_knobs(vlm.limits, str(vlm.model.dtype).removeprefix("torch."))
    knobs = set_knobs(base, {name: value for name, value in given.items() if value is not None})
    check_knobs(knobs, vlm.limits)
    telemetry = open_telemetry(str(vlm.model.device))
    rows: list[Row] = []
    with _evaluating(vlm.model):
        for repeat in range(repeats):
            rows.append({"repeat": repeat, **measured_row(vlm, knobs, telemetry, seed)})
            if rows[-1]["outcome"] == OUT_OF_MEMORY:
                raise InputError(
                    f"out of memory with {knobs}; ask for less work, or a larger device"
                )
    return InferenceLatency(pd.DataFrame(rows))


def _loaded(model: Any, dtype: str | None, device: str | None, seed: int) -> Vlm:
    """Return a model ready to be measured, whatever it was given as."""
    if isinstance(model, Source | str | Path):
        if dtype is not None and dtype not in DTYPE_BYTES:
            raise InputError(f"dtype = {dtype!r} is not one of {', '.join(DTYPE_BYTES)}")
        source = model if isinstance(model, Source) else Source(str(model))
        where = choose_device("auto" if device is None else str(device))
        return load_vlm(source, dtype or usual_dtype(where), where, seed)
    given = {"dtype": dtype, "device": device}
    unused = [f"{name} = {value!r}" for name, value in given.items() if value is not None]
    if unused:
        raise InputError(
            f"{' and '.join(unused)}: the model is loaded already, and has its own; leave it out, "
            "or give the model's folder or id"
        )
    if isinstance(model, Vlm):
        return model
    if not hasattr(getattr(model, "config", None), "model_type"):
        raise InputError(
            f"the model is a {type(model).__name__}; give a loaded model of transformers, or its "
            "Hugging Face folder or id"
        )
    return as_vlm(model, type(model).__name__)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Put a model into evaluation mode inside the block, and leave it as it was."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
