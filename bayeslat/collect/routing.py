"""How many experts the tokens of a request reach: random weights must not route to a few."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from bayeslat.collect.vlm import Vlm
from bayeslat.counted import counted
from bayeslat.errors import InputError

__all__ = ["RoutedExperts", "recorded_routing"]


@dataclass
class RoutedExperts:
    """Distinct experts reached by each call of each block.

    Attributes
    ----------
    prefill, decode : list of int
        One entry per block call: of the prefill, and of all decode steps.
    """

    prefill: list[int] = field(default_factory=list)
    decode: list[int] = field(default_factory=list)

    def means(self) -> dict[str, float]:
        """Return the mean number of distinct experts per block, by column name."""
        return {
            "routed_experts_prefill": _mean(self.prefill),
            "routed_experts_decode": _mean(self.decode),
        }


@contextmanager
def recorded_routing(vlm: Vlm) -> Iterator[RoutedExperts]:
    """Count the experts that each block reaches inside the block; not for timed passes.

    Parameters
    ----------
    vlm : Vlm
        The model, with its knobs set.

    Yields
    ------
    RoutedExperts
        Filled call by call; empty for a dense model.

    Raises
    ------
    InputError
        In the pass, if the model sends tokens to another number of experts than `top_k` says.
    """
    routed = RoutedExperts()
    wanted = {gate.top_k for gate in vlm.gates}
    with ExitStack() as hooks:
        for block in vlm.parts.language_model.layers:
            for name, module in block.named_modules():
                if name.split(".")[-1] == "experts":
                    hook = _counter(routed, wanted, seen=[])
                    hooks.callback(module.register_forward_pre_hook(hook).remove)
        yield routed


def _counter(routed: RoutedExperts, wanted: set[int], seen: list[bool]) -> Any:
    def count(_module: Any, inputs: tuple[Any, ...]) -> None:
        # inputs: hidden states, experts of each token (token, top_k), their weights
        if (found := inputs[1].shape[-1]) not in wanted:
            raise InputError(
                f"the model sends a token to {counted(found, 'expert')} where top_k is "
                f"{', '.join(map(str, wanted))}: its router does not follow top_k; keep that as it "
                f"is, by --knob top_k={found}:{found}"
            )
        (routed.decode if seen else routed.prefill).append(len(inputs[1].unique()))
        seen.append(True)

    return count


def _mean(counts: list[int]) -> float:
    return sum(counts) / len(counts) if counts else math.nan
