"""What the sizes of a model do not tell: layers of other kinds than attention and one MLP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bayeslat.traces.model_sizes import model_sizes

__all__ = ["model_limits"]

type Config = Mapping[str, object]

_SHARED = (
    *("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"),
    *("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size"),
    *("shared_intermediate_size", "num_experts_shared"),
)
# Experts in some layers only, where more than this is told.
_SOME_LAYERS = {
    "first_k_dense_replace": 0,
    "num_dense_layers": 0,
    "moe_layer_start_index": 0,
    "interleave_moe_layer_step": 1,
    "decoder_sparse_step": 1,
    "expert_layer_period": 1,
    "moe_layer_freq": 1,
    "moe_layer_interval": 1,
}
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
    """Return what formulas over a model's sizes get wrong, in words; nothing of a plain model.

    A plain model has attention and an MLP of three matrices in each layer, or experts in each in
    place of the MLP, with weights and a cache of the type of its activations.

    Parameters
    ----------
    told : Mapping
        The configuration of its language model (`model_sizes.language_config`).
    server : Mapping
        Of the server: `quantization`, `kv_cache_dtype`, `max_model_len`.

    Returns
    -------
    list of str
    """
    return [*_of_attention(told, server), *_of_experts(told), *_of_kind(told), *_of_types(server)]


def _of_attention(told: Config, server: Config) -> Iterator[str]:
    kinds = _kinds(told, "layer_types") | _kinds(told, "layers_block_type")
    if _above(told, "kv_lora_rank", 0):
        yield "its cache holds a latent (MLA), less than kv_heads x head_dim says"
    if kinds:
        is_hybrid = any("attention" not in kind or "linear" in kind for kind in kinds)
    else:
        is_hybrid = any(name.startswith(_RECURRENT) and told[name] for name in told)
    if is_hybrid:
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
    is_shared = any(_above(told, name, 0) for name in _SHARED)
    if is_shared or told.get("model_type") == "llama4_text":
        yield "its shared experts are not counted"
    frequency = told.get("moe_layer_freq")
    only = (
        any(_above(told, name, plain) for name, plain in _SOME_LAYERS.items())
        or bool(told.get("mlp_only_layers"))
        or "dense" in _kinds(told, "mlp_layer_types")
        or (isinstance(frequency, list) and 0 in frequency)
    )
    if only:
        yield "experts, of some layers only, are counted in all"


def _of_kind(told: Config) -> Iterator[str]:
    kind = str(told.get("model_type"))
    if kind in _TWO_MATRICES:
        yield "its MLP has two matrices, and three are counted"
    if kind in _OF_ITS_OWN_KIND:
        yield f"layers of {kind} have parts that no column tells of"


def _of_types(server: Config) -> Iterator[str]:
    quantised, cache = server.get("quantization"), str(server.get("kv_cache_dtype"))
    if quantised:
        yield f"its weights are quantised ({quantised}), and dtype_bytes is of the activations"
    if cache != "None" and not cache.startswith(("auto", "bfloat16", "float", "half")):
        yield f"its cache is of {cache}, and dtype_bytes is of the activations"


def _above(told: Config, name: str, limit: int) -> bool:
    value = told.get(name)
    return isinstance(value, int | float) and value > limit


def _kinds(told: Config, name: str) -> set[str]:
    """Return which kinds of layers a configuration lists."""
    value = told.get(name)
    return {each for each in value if isinstance(each, str)} if isinstance(value, list) else set()
