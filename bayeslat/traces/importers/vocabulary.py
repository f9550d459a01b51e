"""The columns that importers fill: one name a meaning, over all formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["VOCABULARY", "Column", "Kind", "columns_named"]

Kind = Literal["text", "count", "number"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an imported trace.

    Attributes
    ----------
    name : str
        With its unit, where it has one.
    kind : {"text", "count", "number"}
        Text, whole numbers, or numbers.
    meaning : str
    usual : tuple of float, optional
        Of a latency, ms: where at least half of a file's values lie, whatever the machine. A file
        with others is taken to be in another unit.
    """

    name: str
    kind: Kind
    meaning: str
    usual: tuple[float, float] | None = None

    @property
    def is_latency(self) -> bool:
        """Whether the column holds times of a stage, which are finite and above 0 ms."""
        return self.usual is not None

    @property
    def may_be_nothing(self) -> bool:
        """Whether the time may be shorter than a tick of the clock, which then tells 0."""
        return self.usual is not None and self.usual[0] == 0.0


_DAY_MS = 86_400_000.0

_ALL = (
    # What a row belongs to.
    Column("gpu", "text", "key or alias of the hardware table"),
    Column("stack", "text", "serving software and version"),
    Column("model", "text", "name of the served model"),
    Column("run", "text", "file, and its part, whose rows share one clock and one load"),
    Column("request_id", "text", "the request's name, unique in its run"),
    Column("step_id", "count", "number of the engine's iteration, unique in its run"),
    Column("observed_by", "text", "whose clock: client, gateway, server (its front end) or engine"),
    # Latencies. Where each starts and ends is a format's to say.
    Column("t_queueing_ms", "number", "from the engine's queue to the scheduler", (0.0, _DAY_MS)),
    Column("t_admission_ms", "number", "from the request to the engine's queue", (0.0, _DAY_MS)),
    Column("t_prefill_ms", "number", "from the scheduler to the first token", (0.01, 3.6e6)),
    Column("t_decode_ms", "number", "from the first token to the last", (0.01, _DAY_MS)),
    Column("t_departure_ms", "number", "from the last token to the response's end", (0.0, _DAY_MS)),
    Column("t_ttft_ms", "number", "from the request to its first token", (0.1, 3.6e6)),
    Column("t_tpot_ms", "number", "each output token after the first, mean", (0.01, 6e5)),
    Column("t_e2e_ms", "number", "from the request to its last token", (0.1, _DAY_MS)),
    Column("t_step_ms", "number", "one iteration of the engine", (0.01, 6e5)),
    # Work of a request.
    Column("prompt_tokens", "count", "tokens of the prompt, with cached and image tokens"),
    Column("cached_tokens", "count", "tokens of the prompt found in the prefix cache"),
    Column("image_tokens", "count", "tokens of the prompt that stand for images"),
    Column("output_tokens", "count", "tokens that were generated"),
    Column("preemptions", "count", "how often the scheduler took the request's memory away"),
    # Load that a request met, or that was asked for.
    Column("arrived_s", "number", "when the request was sent, from the first one of its run"),
    Column("in_flight", "count", "other requests of the run in flight when this one was sent"),
    Column("in_flight_prompt_tokens", "count", "tokens of their prompts"),
    Column("concurrency", "count", "most requests in flight that the client allowed"),
    Column("request_rate_per_s", "number", "requests that the client was to send a second"),
    # State of the engine, when a request arrived or a step began.
    Column("running", "count", "requests that the engine is working on"),
    Column("waiting", "count", "requests in the engine's queue"),
    Column("kv_usage", "number", "share of the KV cache in use, 0 to 1"),
    Column("waiting_prompt_tokens", "count", "tokens of the prompts in the queue before it"),
    # Work of a step.
    Column("prefill_requests", "count", "requests of the step in prefill"),
    Column("prefill_tokens", "count", "tokens of prompts in the step"),
    Column("decode_requests", "count", "requests of the step in decode"),
    Column("decode_tokens", "count", "tokens decoded in the step"),
    Column("kv_read_tokens", "count", "tokens in the KV cache that the step reads"),
    Column("prefill_attended_tokens", "count", "tokens attended to, summed over prompt tokens"),
    Column("decode_context_tokens", "count", "tokens of the requests in decode, so far"),
    Column("contexts", "text", "whether the two before are exact or estimated"),
    Column(
        "encoder_tokens", "count", "tokens that encoders (of images, sound) put out in the step"
    ),
    Column("batch_size", "count", "sequences in the batch"),
    # Configuration of the server.
    Column("tensor_parallel", "count", "GPUs that share each layer"),
    Column("max_num_seqs", "count", "most requests in a step"),
    Column("max_num_batched_tokens", "count", "most tokens in a step"),
)

VOCABULARY: dict[str, Column] = {column.name: column for column in _ALL}


def columns_named(*names: str) -> tuple[Column, ...]:
    """Return columns of the vocabulary.

    Raises
    ------
    KeyError
        If a name is not in it: an importer has to use the words of the others.
    """
    return tuple(VOCABULARY[name] for name in names)
