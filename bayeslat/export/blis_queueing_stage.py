"""The stage that the queueing delay in Go is of: that of models/vllm.toml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bayeslat.features.expressions import Expression
from bayeslat.features.spec_fields import reachable
from bayeslat.features.stage import Stage
from bayeslat.inference.posteriors.posterior import PosteriorData

__all__ = ["QUEUEING", "STATE", "why_left_out"]

QUEUEING = "queueing"

STATE = (
    "running",
    "waiting",
    "waiting_prompt_tokens",
    "kv_usage",
    "prompt_tokens",
    "prefill_tokens",
)
"""Knobs that say what a request meets, its own prompt among them; the others are the server's."""

# As go/queueing.go has it.
_PHYSICS: Mapping[str, str] = {
    "prompts": "token_flops * (waiting_prompt_tokens + prefill_tokens)"
    " / (tensor_parallel * rate_tflops * 1e9)",
    "places": "30 * (waiting + 1) / max_num_seqs * weights_ms",
    "cache": "30 * kv_usage * weights_ms",
    "steps": "1",
}
_HURDLE = (
    "where(waiting > 0, 1, 0)",
    "where(running + waiting >= max_num_seqs, 1, 0)",
    "where(kv_usage + (waiting_prompt_tokens + prompt_tokens) / (kv_blocks * kv_block_tokens) > 1,"
    " 1, 0)",
    "where(waiting_prompt_tokens + prefill_tokens >= max_num_batched_tokens, 1, 0)",
    "kv_usage",
    "running / max_num_seqs",
)
_RESIDUAL = (
    "log(1 + waiting)",
    "kv_usage",
    "log(1 + waiting_prompt_tokens)",
    "log(1 + prompt_tokens)",
)


def why_left_out(data: PosteriorData, knobs: Mapping[str, float]) -> str:
    """Say why the delay of a posterior with a stage `queueing` is not exported; empty if it is.

    Parameters
    ----------
    data : PosteriorData
    knobs : mapping of str to float
        Of the model and the server.
    """
    stage, part = data.spec.stages[QUEUEING], data.stages[QUEUEING]
    links = data.spec.quantity_names
    used = reachable((name for each in _expressions(stage) for name in each.names), links)
    of_state = reachable((name for name in used if name in links), links) & set(STATE)
    if not _is_shipped(stage) or of_state:
        return "its stage is not that of models/vllm.toml"
    if part.basis.tasks:
        return "it depends on the task of a request"
    unknown = [name for name in data.spec.knobs if name in used - set(STATE) and name not in knobs]
    return f"the traces have no one value of {', '.join(unknown)}" if unknown else ""


def _expressions(stage: Stage) -> Iterator[Expression]:
    """Yield all that the delay is computed from."""
    yield from (term.expression for term in stage.physics.values())
    yield from stage.hurdle.features if stage.hurdle else ()
    yield from stage.residual.features if stage.residual else ()


def _is_shipped(stage: Stage) -> bool:
    """Tell whether a stage has the terms and features of models/vllm.toml, in their order."""
    if stage.hurdle is None or stage.residual is None:
        return False
    expected = (*_PHYSICS.values(), *_HURDLE, *_RESIDUAL)
    found = [each.canonical for each in _expressions(stage)]
    return list(stage.physics) == list(_PHYSICS) and found == _canonical(expected)


def _canonical(texts: Sequence[str]) -> list[str]:
    return [Expression(text).canonical for text in texts]
