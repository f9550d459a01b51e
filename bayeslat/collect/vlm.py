"""A loaded vision-language model, ready to be measured."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bayeslat.collect.backend import load_torch, load_transformers
from bayeslat.collect.clock import clock_of
from bayeslat.collect.families import Family, Parts, family_of, text_limits
from bayeslat.collect.generate import generate_greedily
from bayeslat.collect.knobs import Knobs
from bayeslat.collect.limits import VlmLimits
from bayeslat.collect.memory import is_out_of_memory
from bayeslat.collect.request import Request
from bayeslat.errors import InputError

__all__ = ["Source", "Vlm", "as_vlm", "kernels", "load_vlm", "read_config", "read_limits"]

_SHOWN = 300  # characters of a reason


@dataclass(frozen=True)
class Source:
    """Where a model comes from.

    Attributes
    ----------
    name : str
        A Hugging Face folder or id; with random weights, the file of a configuration.
    random_weights : bool
        Whether the weights are drawn, so that nothing but the configuration is needed.
    """

    name: str
    random_weights: bool = False


@dataclass(frozen=True)
class Vlm:
    """A model on its device.

    Attributes
    ----------
    model : PreTrainedModel
        In evaluation mode.
    family : Family
    limits : VlmLimits
    parts : Parts
    """

    model: Any
    family: Family
    limits: VlmLimits
    parts: Parts

    @property
    def gates(self) -> tuple[Any, ...]:
        """The modules that choose the experts of each token, in the order of the blocks."""
        return tuple(
            module
            for block in self.parts.language_model.layers
            for module in block.modules()
            if isinstance(getattr(module, "top_k", None), int)
        )

    def request(self, knobs: Knobs, seed: int) -> Request:
        """Draw the inputs of a request."""
        return self.family.request(self.model, knobs, self.limits, seed)

    @contextmanager
    def set_to(self, knobs: Knobs) -> Iterator[None]:
        """Set top_k and active_blocks inside the block, and restore them after it."""
        language_model = self.parts.language_model
        blocks, gates = language_model.layers, self.gates
        before = [gate.top_k for gate in gates]
        try:
            for gate in gates:
                gate.top_k = knobs.top_k
            language_model.layers = blocks[: knobs.active_blocks]
            yield
        finally:
            language_model.layers = blocks
            for gate, top_k in zip(gates, before, strict=True):
                gate.top_k = top_k


def read_config(source: Source) -> Any:
    """Return the configuration of a model, without its weights.

    Raises
    ------
    InputError
        If there is none, or transformers cannot read it.
    """
    transformers = load_transformers()
    name = source.name
    if source.random_weights and not Path(name).exists():
        raise InputError(
            f"{name}: no such file; give a model's config.json, such as "
            "models/tiny_qwen3_vl_moe.json"
        )
    with _explained(source, "its configuration cannot be read"):
        return transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)


def kernels(config: Any) -> dict[str, str]:
    """Return which of transformers' implementations run, so that no new default changes a trace."""
    chosen = {"attn_implementation": "sdpa"}
    if text_limits(config)["experts"] > 1:
        chosen["experts_implementation"] = "grouped_mm"
    return chosen


def _arguments(config: Any) -> dict[str, Any]:
    """Return `kernels` as transformers takes them: experts are the text part's."""
    chosen: dict[str, Any] = kernels(config)
    if "experts_implementation" in chosen:
        chosen["experts_implementation"] = {"text_config": chosen["experts_implementation"]}
    return chosen


def read_limits(source: Source) -> VlmLimits:
    """Return what a model allows the knobs to be, without its weights.

    Raises
    ------
    InputError
        If its configuration cannot be read, it is of no family that can be measured, or its weights
        are quantised.
    """
    config = read_config(source)
    family = _measurable(config, source)
    with _explained(source, "its configuration cannot be used"):
        return family.limits(config)


def _measurable(config: Any, source: Source) -> Family:
    """Return the family of a model that a row's dtype describes."""
    family = family_of(config, source.name)
    for part in (config, config.get_text_config(), config.vision_config):
        found = getattr(part, "quantization_config", None)
        if found:
            method = found.get("quant_method") if isinstance(found, dict) else None
            raise InputError(
                f"{source.name}: its weights are quantised ({method or 'quantization_config'}), "
                "and rows would say another dtype; give the model in float32, bfloat16 or "
                "float16, or its configuration without quantization_config"
            )
    return family


def load_vlm(source: Source, dtype: str, device: str = "cpu", seed: int = 0) -> Vlm:
    """Load a model, or build it with random weights.

    Parameters
    ----------
    source : Source
    dtype : str
        Dtype of weights and activations.
    device : str
        A torch device.
    seed : int
        Seed of random weights.

    Returns
    -------
    Vlm

    Raises
    ------
    InputError
        If the model cannot be loaded, is of no family that can be measured or quantised, or does
        not fit.
    """
    _measurable(read_config(source), source)  # before weights are loaded
    try:
        with _explained(source, "the model cannot be loaded"):
            model = (
                _built(source, dtype, device, seed)
                if source.random_weights
                else _read(source, dtype, device)
            )
            vlm = as_vlm(model.to(device).eval(), source.name)
        with _explained(source, "the model does not run"):
            _try_out(vlm, dtype)
        return vlm
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    raise InputError(
        f"{source.name}: the model in {dtype} does not fit into the memory of {device}; "
        "take a smaller dtype or model, or a larger device"
    )


def _built(source: Source, dtype: str, device: str, seed: int) -> Any:
    """Return a model with random weights, drawn where they stay."""
    torch, transformers = load_torch(), load_transformers()
    # Without a list it saves the state of every GPU of the machine, and warns of their number.
    forked = [device] if device.startswith("cuda") else []
    with torch.random.fork_rng(forked), torch.device(device):
        torch.manual_seed(seed)
        config = read_config(source)
        return transformers.AutoModelForImageTextToText.from_config(
            config, dtype=getattr(torch, dtype), **_arguments(config)
        )


def _read(source: Source, dtype: str, device: str) -> Any:
    """Return a model with its weights; without accelerate they pass through main memory."""
    torch, transformers = load_torch(), load_transformers()
    placed = {"device_map": {"": device}} if find_spec("accelerate") else {}
    chosen = _arguments(read_config(source))
    with _silent_in_a_pipe(transformers.utils.logging):
        return transformers.AutoModelForImageTextToText.from_pretrained(
            source.name, dtype=getattr(torch, dtype), **placed, **chosen
        )


@contextmanager
def _silent_in_a_pipe(logging: Any) -> Iterator[None]:
    """Show the progress of loading on a terminal only."""
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    if on_terminal or not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def _try_out(vlm: Vlm, dtype: str) -> None:
    """Run a small request: parts that do not fit each other are found before a row is measured.

    A GPU tells what went wrong only once it is waited for.
    """
    limits = vlm.limits
    smallest = Knobs(
        image_crops=1,
        image_pixels=limits.pixel_step or limits.image_pixels,
        prompt_tokens=limits.markers_per_crop + 1,
        output_tokens=2,
        top_k=limits.top_k,
        active_blocks=limits.blocks,
        batch_size=1,
        dtype=dtype,
    )
    generate_greedily(vlm.model, vlm.request(smallest, seed=0))
    clock_of(vlm.model.device).settle()


def as_vlm(model: Any, name: str = "model") -> Vlm:
    """Wrap a model that is loaded already.

    Parameters
    ----------
    model : PreTrainedModel
        A vision-language model in evaluation mode, on its device and in its dtype.
    name : str
        What to call it in errors.

    Raises
    ------
    InputError
        If the model is of no family that can be measured, or not all of it is on one device.
    """
    family = family_of(model.config, name)
    devices = sorted({str(weight.device) for weight in model.parameters()})
    if len(devices) > 1:
        raise InputError(
            f"{name}: its weights are on several devices ({', '.join(devices)}), and stages are "
            "timed on one; put all of it on one, as by model.to('cuda:0')"
        )
    return Vlm(model, family, family.limits(model.config), family.parts(model))


@contextmanager
def _explained(source: Source, problem: str) -> Iterator[None]:
    """Say what is wrong with a model, for whatever transformers raises about it."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise
        text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        raise InputError(
            f"{source.name}: {problem} ({' '.join(text.split())[:_SHOWN]}); correct it, or give a "
            "folder of a model in Hugging Face's form, an id that this machine may download, "
            "or --random-weights CONFIG.json"
        ) from error
