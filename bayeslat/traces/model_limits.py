"""What the sizes of a model do not tell: layers of other kinds than attention and one MLP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bayeslat.traces.model_parts import layers_without_experts, model_parts
from bayeslat.traces.model_sizes import model_sizes
from bayeslat.traces.value_types import kv_value_bytes, weight_types

__all__ = ["model_limits"]

type Config = Mapping[str, object]

_RECURRENT = (
    *("mamba_", "ssm_", "linear_attn", "linear_num_", "linear_conv", "conv_L_cache"),
    *("lru_width", "hybrid_override_pattern", "attn_layer_period", "state_size"),
)
_TWO_MATRICES = frozenset(
    {
        *("apertus", "arcee", "bloom", "codegen", "falcon", "gpt2", "gpt_bigcode", "gpt_neo"),
        *("gpt_neox", "gptj", "mpt", "nanochat", "nemotron", "nemotron_h", "opt", "persimmon"),
        *("phi", "starcoder2", "xglm"),
    }
)
_OF_ITS_OWN_KIND = frozenset(
    {"deepseek_v4", "gemma3n_text", "gemma4_text", "jetmoe", "longcat_flash"}
)


def model_limits(told: Config, server: Config) -> list[str]:
    """Return what formulas over a model's sizes and parts get wrong, in words.

    They know layers of attention, or latent attention, and an MLP of three matrices, or experts in
    its place, with weights and a cache of types of their own.

    Parameters
    ----------
    told : Mapping
        The configuration of its language model (`model_sizes.language_config`).
    server : Mapping
        Of the server: `dtype`, `quantization`, `kv_cache_dtype`, `max_model_len`.

    Returns
    -------
    list of str
    """
    return [
        *_of_attention(told, server),
        *_of_experts(told),
        *_of_kind(told),
        *_of_types(told, server),
    ]


def _of_attention(told: Config, server: Config) -> Iterator[str]:
    kinds = _kinds(told, "layer_types") | _kinds(told, "layers_block_type")
    if told.get("kv_lora_rank"):
        if "kv_width" in model_parts(told, {}):
            yield "decode over its latent (MLA) is counted as prompts are, with fewer operations"
        else:
            yield "its cache holds a latent (MLA), less than kv_heads x head_dim says"
    if kinds:
        is_hybrid = any("attention" not in kind or "linear" in kind for kind in kinds)
    else:
        is_hybrid = any(name.startswith(_RECURRENT) and told[name] for name in told)
    listed = told.get("attn_type_list")  # MiniMax-Text-01 says so, with 1 for attention
    if is_hybrid or (isinstance(listed, list) and 0 in listed):
        yield "layers without attention are counted as layers with it"
    most = server.get("max_model_len")
    below = float(most) if isinstance(most, int | float) and most > 0 else float("inf")
    windows = [told.get("attention_chunk_size")]
    if told.get("use_sliding_window") is not False:
        windows += [told.get("sliding_window")]
    narrow = any(isinstance(size, int | float) and 0 < size < below for size in windows)
    if narrow and not (kinds and kinds <= {"attention", "full_attention"}):
        yield "layers that attend to the last tokens only are counted as attending to all"


def _of_experts(told: Config) -> Iterator[str]:
    if not model_sizes(told).get("experts"):
        return
    if "layers" in model_sizes(told) and layers_without_experts(told) is None:
        yield "experts, of some layers only, are counted in all"


def _of_kind(told: Config) -> Iterator[str]:
    kind = str(told.get("model_type"))
    if kind in _TWO_MATRICES:
        yield "its MLP has two matrices, and three are counted"
    if kind in _OF_ITS_OWN_KIND or told.get("index_topk"):  # DeepSeek's sparse attention
        yield f"layers of {kind} have parts that no column tells of"


def _of_types(told: Config, server: Config) -> Iterator[str]:
    # Of what type activations are is no limit: the importer asks for it.
    types = {**server, "dtype": server.get("dtype") or told.get("dtype") or "bfloat16"}
    if weight_types(told, types) is None:
        quantised = server.get("quantization")
        yield f"its weights are quantised ({quantised}), in how many bits is not told"
    if kv_value_bytes(told, types) is None:
        yield f"its cache is of {server.get('kv_cache_dtype')}, and counted as of the activations"


def _kinds(told: Config, name: str) -> set[str]:
    """Return which kinds of layers a configuration lists."""
    value = told.get(name)
    return {each for each in value if isinstance(each, str)} if isinstance(value, list) else set()
