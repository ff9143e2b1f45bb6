"""Fields of a config.json that no size and no cost depends on, and notices about fields that are not known."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from engine.models.hf_fields import GENERATION, HARMLESS, IN_GENERATION_CONFIG, unknown_fields

OF_ROPE = {
    "alibi",
    "max_window_layers",  # only of windows that are not used
    "no_rope_layer_interval",
    "no_rope_layers",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "rope_parameters",
    "rope_scaling",  # a context is as long as max_position_embeddings says
    "rope_theta",
    "offset_alibi",
    "rotary",
    "rotary_dim",
    "rotary_emb_base",
    "rotary_pct",
    "use_mrope",
}
OF_SCALES = {
    "attention_multiplier",
    "attention_softmax_in_fp32",
    "attn_logit_softcapping",
    "clip_qkv",
    "embedding_multiplier",
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "masked_softmax_fusion",
    "norm_epsilon",
    "query_pre_attn_scalar",
    "reorder_and_upcast_attn",
    "residual_multiplier",
    "scale_attention_softmax_in_fp32",
    "scale_attn_by_inverse_layer_idx",
    "scale_attn_weights",
    "skip_bias_add",
    "skip_bias_add_qkv",
    "slow_but_exact",
}
OF_DROPOUT = {
    "attention_probs_dropout_prob",
    "attn_pdrop",
    "bias_dropout_fusion",
    "classifier_dropout",
    "embd_pdrop",
    "embedding_dropout",
    "hidden_dropout",
    "hidden_dropout_prob",
    "resid_pdrop",
    "residual_dropout",
}
OF_TASKS = {
    "apply_residual_connection_post_layernorm",
    "auto_map",
    "is_causal",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "unk_token_id",
    "use_bidirectional_attention",
}
OF_ROUTING = {
    "input_jitter_noise",
    "moe_norm_min",
    "n_group",
    "norm_topk_prob",
    "num_nextn_predict_layers",  # drafts of later tokens, which are not made here
    "output_router_logits",
    "routed_scaling_factor",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "topk_group",
}
COSTLESS = (
    OF_ROPE | OF_ROUTING | OF_SCALES | OF_DROPOUT | OF_TASKS | HARMLESS | GENERATION.keys() | IN_GENERATION_CONFIG
) | {
    "architectures",
    "model_type",
}
COSTLESS |= HARMLESS | GENERATION.keys() | IN_GENERATION_CONFIG


def unused_fields(config: Mapping[str, Any], used: Set[str]) -> tuple[str, ...]:
    """Notices about fields that are neither used nor known to change no cost."""
    return unknown_fields(config, COSTLESS | used)
