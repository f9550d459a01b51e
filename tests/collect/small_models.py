"""Configurations of the smallest models of each type that a collection can measure."""

from __future__ import annotations

from typing import Any

__all__ = ["MODELS"]

_MROPE = {"rope_type": "default", "rope_theta": 500000.0, "mrope_section": [4, 2, 2]}
_TEXT: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 128,
}
_QWEN_TEXT: dict[str, Any] = {**_TEXT, "rope_parameters": {**_MROPE, "mrope_interleaved": True}}
_QWEN_TOKENS = {
    "vision_start_token_id": 124,
    "vision_end_token_id": 125,
    "image_token_id": 126,
    "video_token_id": 127,
}
_QWEN3_VISION: dict[str, Any] = {
    "depth": 3,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "out_hidden_size": 32,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "in_channels": 3,
    "num_position_embeddings": 64,
    "deepstack_visual_indexes": [0, 2],
}
_OLD_TEXT = {**_TEXT, "rope_parameters": _MROPE}
_CLIP: dict[str, Any] = {
    "model_type": "clip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
    "projection_dim": 32,
}

MODELS: dict[str, dict[str, Any]] = {
    "qwen3_vl_moe": {
        "model_type": "qwen3_vl_moe",
        **_QWEN_TOKENS,
        "text_config": {
            **_QWEN_TEXT,
            "model_type": "qwen3_vl_moe_text",
            "num_experts": 8,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 16,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
        },
        "vision_config": {**_QWEN3_VISION, "model_type": "qwen3_vl_moe_vision"},
    },
    "qwen3_vl": {
        "model_type": "qwen3_vl",
        **_QWEN_TOKENS,
        "text_config": {**_QWEN_TEXT, "model_type": "qwen3_vl_text"},
        "vision_config": {**_QWEN3_VISION, "model_type": "qwen3_vl_vision"},
    },
    "qwen2_5_vl": {
        "model_type": "qwen2_5_vl",
        **_QWEN_TOKENS,
        "text_config": {**_OLD_TEXT, "model_type": "qwen2_5_vl_text"},
        "vision_config": {
            "model_type": "qwen2_5_vl_vision",
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "in_channels": 3,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
    },
    "qwen2_vl": {
        "model_type": "qwen2_vl",
        **_QWEN_TOKENS,
        "text_config": {**_OLD_TEXT, "model_type": "qwen2_vl_text"},
        "vision_config": {
            "model_type": "qwen2_vl_vision",
            "depth": 3,
            "embed_dim": 32,
            "hidden_size": 32,
            "mlp_ratio": 2,
            "num_heads": 2,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "in_channels": 3,
        },
    },
    "llava": {
        "model_type": "llava",
        "image_token_index": 127,
        "text_config": {**_TEXT, "model_type": "llama"},
        "vision_config": _CLIP,
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
    },
    "internvl": {
        "model_type": "internvl",
        "image_token_id": 127,
        "image_seq_length": 4,
        "downsample_ratio": 0.5,
        "text_config": {**_TEXT, "model_type": "qwen2"},
        "vision_config": {
            "model_type": "internvl_vision",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "image_size": [32, 32],
            "patch_size": [8, 8],
        },
    },
}
_INTERNVL = MODELS["internvl"]
MODELS["internvl_moe"] = {
    **_INTERNVL,
    "text_config": {
        **_TEXT,
        "model_type": "qwen3_moe",
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
    },
}
