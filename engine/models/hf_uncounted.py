"""Refuses models that the cost model would count wrongly, by fields of their config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.hf_experts import NUM_EXPERTS
from engine.models.hf_fields import is_neutral

Json = Mapping[str, Any]

# Reasons why models are not counted; for each the fields that tell such models, with the values that others have.
UNCOUNTED: Mapping[str, Mapping[str, tuple[object, ...]]] = {
    "multi-head latent attention is not counted": {"kv_lora_rank": ()},
    "mixtures of experts of this model_type are not counted": {
        **dict.fromkeys(NUM_EXPERTS, (0, 1)),
        "ffn_config": (),
    },
    "models with an encoder are not counted": {
        "is_encoder_decoder": (False,),
        "add_cross_attention": (False,),
        **dict.fromkeys(("encoder_layers", "decoder_layers", "num_decoder_layers", "type_vocab_size"), ()),
    },
    "models of more than text are not counted; the config.json of its text model is accepted": dict.fromkeys(
        ("text_config", "vision_config", "audio_config", "thinker_config", "cross_attention_layers"), ()
    ),
    "layers other than attention and an MLP are not counted": {
        **dict.fromkeys(("state_size", "ssm_cfg", "ssm_state_size", "mamba_d_state", "mamba_d_ssm", "lru_width"), ()),
        **dict.fromkeys(("block_types", "layers_block_type", "attn_layer_period", "hybrid_override_pattern"), ()),
        **dict.fromkeys(("conv_L_cache", "linear_num_value_heads", "attention_hidden_size"), ()),
    },
    "layers that differ from each other are not counted": {
        "attention_types": (),
        "block_configs": (),
        "per_layer_config": ({},),
        "pruned_heads": ({},),
        "kv_sharing_modes": ({},),
        "num_kv_shared_layers": (0,),
        "use_cla": (False,),
        "do_layer_norm_before": (True,),
        "_remove_final_layer_norm": (False,),
        "layer_norm_elementwise_affine": (True,),
    },
    "attention to a part of the tokens is not counted": {"attention_chunk_size": (), "attention_window": ()},
    "weights and caches of other than 16 bits are not counted": {"quantization_config": (), "compression_config": ()},
}
LOOKED_AT = {field for fields in UNCOUNTED.values() for field in fields} | {
    *("sliding_window", "use_sliding_window", "layer_types", "word_embed_proj_dim", "v_head_dim"),
}
UNCOUNTED_TYPES: Mapping[str, str] = {"qwen": "its intermediate_size is twice that of a matrix"}


def check_countable(config: Json, *, with_experts: bool = False) -> None:
    """Check that the model has nothing that would be counted wrongly; windows are checked by `check_windows`.

    Experts are accepted of families that are known with them.

    Raises
    ------
    InputError
        It has: field, value, why, and what is accepted.
    """
    model_type = str(config.get("model_type"))
    if model_type in UNCOUNTED_TYPES:
        raise InputError(f"model_type: {shown(model_type)} is not accepted: {UNCOUNTED_TYPES[model_type]}")
    for reason, fields in UNCOUNTED.items():
        for field, accepted in fields.items():
            if not (is_neutral(config.get(field), accepted) or (with_experts and field in NUM_EXPERTS)):
                options = " or ".join(map(shown, accepted)) or "null"
                raise InputError(f"{field}: {shown(config[field])} is not accepted: {reason}; {options} is accepted")
    _check_architectures(config)
    width = config.get("word_embed_proj_dim")
    if width is not None and width != config.get("hidden_size"):
        raise InputError(f"word_embed_proj_dim: {shown(width)} is not accepted; hidden_size is")
    if config.get("v_head_dim") is not None and config["v_head_dim"] != config.get("head_dim"):
        raise InputError(f"v_head_dim: {shown(config['v_head_dim'])} is not accepted; head_dim is")


def _check_architectures(config: Json) -> None:
    """Check by the name of the architecture that it makes text from text, token by token."""
    given = config.get("architectures") or []
    for name in given if isinstance(given, list) else [given]:
        if not str(name).endswith(("ForCausalLM", "LMHeadModel", "Model")):
            raise InputError(f"architectures: {shown(name)} is not accepted; a decoder, such as LlamaForCausalLM, is")


def check_windows(config: Json, max_positions: int) -> None:
    """Check that all layers attend to all earlier tokens, so that the cache keeps them all.

    Raises
    ------
    InputError
        A layer does not: field, value, what is accepted.
    """
    window = config.get("sliding_window")
    is_used = window is not None and config.get("use_sliding_window") is not False
    if is_used and not (type(window) is int and window >= max_positions):
        raise InputError(
            f"sliding_window: {shown(window)} is not accepted: windows of attention are not counted; null is, "
            f"use_sliding_window false, or at least the {max_positions} positions"
        )
    kinds = config.get("layer_types")
    accepted = {"full_attention", "sliding_attention"} if is_used else {"full_attention"}  # the window is wide enough
    if kinds is not None and not (isinstance(kinds, list) and {str(kind) for kind in kinds} <= accepted):
        raise InputError(
            f"layer_types: {shown(kinds)} is not accepted: windows, and layers other than attention, are not counted; "
            "null is, or 'full_attention' for each layer"
        )
