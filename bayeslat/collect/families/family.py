"""What a collection must know about a family of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from bayeslat.collect.knobs import Knobs
from bayeslat.collect.limits import VlmLimits
from bayeslat.collect.request import Request

__all__ = ["Family", "Parts", "text_limits"]


@dataclass(frozen=True)
class Parts:
    """The modules that the stages are.

    Attributes
    ----------
    vision : Module
        The vision encoder. It may hold the projectors.
    projectors : tuple of Module
        What turns vision features into tokens of the language model.
    language_model : Module
        The decoder, its blocks in `layers`.
    """

    vision: Any
    projectors: tuple[Any, ...]
    language_model: Any


class Family(Protocol):
    """Models that are alike in their modules and inputs."""

    @property
    def model_types(self) -> frozenset[str]:
        """`model_type` of the configurations of this family."""

    def limits(self, config: Any) -> VlmLimits:
        """Return what a model's configuration allows.

        Raises
        ------
        InputError
            If the model is of a kind that cannot be measured.
        """

    def parts(self, model: Any) -> Parts:
        """Return a model's stages."""

    def request(self, model: Any, knobs: Knobs, limits: VlmLimits, seed: int) -> Request:
        """Draw the pixels and the text of a request, on the model's device.

        Parameters
        ----------
        model : PreTrainedModel
        knobs : Knobs
            A configuration that `check_knobs` accepts.
        limits : VlmLimits
            The model's limits.
        seed : int
            Seed of pixels and text.
        """


def text_limits(config: Any) -> dict[str, int]:
    """Return the limits that the decoder sets, by name of `VlmLimits`."""
    text = config.get_text_config()
    experts = getattr(text, "num_experts", None) or getattr(text, "num_local_experts", None) or 1
    return {
        "experts": experts,
        "top_k": text.num_experts_per_tok if experts > 1 else 1,
        "blocks": text.num_hidden_layers,
        "context_tokens": text.max_position_embeddings,
    }
